"""Picking single hits, misses and false alarms to look at."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from image_results import detections, random_results, square

from signetscan.evaluation import ImageResult, make_tally
from signetscan.evaluation.examples import Example, pick_examples


def image(
    found: list[tuple[list[float], float]], cells: list[list[float]], *, normal: bool = False, label: int = 0
) -> ImageResult:
    boxes, scores = [box for box, _ in found], [score for _, score in found]
    return ImageResult(
        detections=detections(boxes, scores),
        truth=np.array(cells, np.float64).reshape(-1, 4),
        labels=np.full(len(cells), label, np.int64),
        normal=normal,
    )


def scores_of(examples: tuple[Example, ...]) -> list[float]:
    return [round(example.score, 4) for example in examples]


def test_each_kind_is_told_from_the_others() -> None:
    results = [
        image([], [], normal=True),
        image(
            [(square(0, 0), 0.9), (square(100, 0), 0.4), (square(300, 0), 0.8), (square(2, 0), 0.7)],
            [square(0, 0), square(100, 0), square(200, 0)],
        ),
        image([(square(0, 0), 0.6), (square(50, 50), 0.3)], [], normal=True),
    ]
    found = pick_examples(results, 0.5, limit=8)
    assert [(one.image, one.box[0], round(one.score, 4)) for one in found.best_hits] == [(1, 0.0, 0.9)]
    assert found.worst_hits == ()
    assert [(one.box[0], round(one.score, 4)) for one in found.unmatched] == [(300.0, 0.8), (2.0, 0.7)]
    assert [(one.image, round(one.score, 4)) for one in found.false_positives] == [(2, 0.6)]
    nearly, never = found.misses
    assert (nearly.box, round(nearly.score, 4)) == ((100.0, 0.0, 150.0, 50.0), 0.4), "found below the threshold"
    assert never.box == (200.0, 0.0, 250.0, 50.0)
    assert math.isnan(never.score)
    totals = found.hits_in_all, found.misses_in_all, found.false_positives_in_all, found.unmatched_in_all
    assert totals == (1, 2, 1, 2)


def test_a_limit_keeps_the_telling_ones() -> None:
    cells = [square(100 * number, 0) for number in range(20)]
    hits = image([(cell, (number + 1) / 100) for number, cell in enumerate(cells)], cells)
    found = pick_examples([hits], 0.0, limit=5)
    assert scores_of(found.best_hits) == [0.2, 0.19, 0.18]
    assert scores_of(found.worst_hits) == [0.01, 0.02]
    found = pick_examples([hits], 0.0, limit=39)
    assert len(found.best_hits) == len({one.box for one in found.best_hits + found.worst_hits}) == 20
    missed = [image([], [square(0, 0)]) for _ in range(9)]
    assert [one.image for one in pick_examples(missed, 0.0, limit=3).misses] == [0, 4, 8]
    alarms = [image([(square(0, 0), score)], [], normal=True) for score in (0.2, 0.9, 0.5)]
    assert [one.image for one in pick_examples(alarms, 0.0, limit=2).false_positives] == [1, 2]


def test_a_cell_of_another_class_is_not_found() -> None:
    wrong = image([(square(0, 0), 0.9)], [square(0, 0)], label=1)
    found = pick_examples([wrong], 0.5, limit=4)
    assert (found.hits_in_all, found.unmatched[0].label, found.misses[0].label) == (0, 0, 1)
    assert math.isnan(found.misses[0].score)


@given(st.integers(0, 10**6))
def test_numbers_are_those_of_the_tally(seed: int) -> None:
    results = random_results(seed)
    tally = make_tally(results)
    above = tally.scores >= 0.5
    for chosen in (results, [replace(one, labels=np.zeros(len(one.truth), np.int64)) for one in results]):
        found = pick_examples(chosen, 0.5, limit=3)
        assert found.hits_in_all == int((tally.hits & above).sum())
        assert found.misses_in_all == int(tally.cells.sum()) - found.hits_in_all
        assert found.false_positives_in_all == int((above & tally.normal[tally.image]).sum())
        assert found.hits_in_all + found.false_positives_in_all + found.unmatched_in_all == int(above.sum())
        assert max(map(len, (found.misses, found.false_positives, found.unmatched))) <= 3

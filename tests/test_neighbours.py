"""The search for overlapping boxes against a comparison of all pairs, and the number of pairs that it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.boxes import iou_matrix, paired_iou
from signetscan.scan import neighbours
from signetscan.scan.neighbours import Neighbours, Runs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from numpy.typing import NDArray

    from signetscan.boxes import Boxes

THRESHOLDS = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.95, 1.0]) | st.floats(0, 1)


@st.composite
def fields(draw: st.DrawFn, most: int = 40) -> tuple[Boxes, NDArray[np.int64]]:
    """Boxes and labels: any, or on a coarse grid where overlaps at the threshold are common, thin, huge and tiny."""
    corner = st.floats(-200, 200) | st.integers(-4, 12).map(lambda n: n * 10.0)
    side = st.floats(0.5, 120) | st.sampled_from([0.0, 1e-3, 10.0, 20.0, 30.0, 60.0, 1e4])
    scale = draw(st.sampled_from([1e-3, 1.0, 1e3]))
    offset = draw(st.sampled_from([0.0, 1e5, -3e7, 3e8]))
    rows = draw(st.lists(st.tuples(corner, corner, side, side), max_size=most))
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float64).reshape(-1, 4) * scale + offset
    labels = draw(st.lists(st.sampled_from([-1, 0, 7]), min_size=len(boxes), max_size=len(boxes)))
    kind = draw(st.sampled_from([np.float64, np.float32]))
    return boxes.astype(kind), np.array(labels, np.int64)


def listed(pairs: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]]) -> list[tuple[int, int]]:
    return [pair for some, others in pairs for pair in zip(some.tolist(), others.tolist(), strict=True)]


def by_all_pairs(boxes: Boxes, labels: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
    """Which boxes overlap, (N, N)."""
    over: NDArray[np.bool_] = (iou_matrix(boxes, boxes) > threshold) & (labels[:, None] == labels[None, :])
    return over


@given(fields(), THRESHOLDS)
def test_each_overlapping_pair_is_given_once(field: tuple[Boxes, NDArray[np.int64]], threshold: float) -> None:
    boxes, labels = field
    search = Neighbours.of(boxes, labels, threshold)
    pairs_found = sorted(sorted(pair) for pair in listed(search.overlapping(search.within(np.arange(len(boxes))))))
    assert pairs_found == np.argwhere(np.triu(by_all_pairs(boxes, labels, threshold), 1)).tolist()


@pytest.mark.parametrize("top", range(-60, 30, 10))
def test_labels_never_mix_on_either_side_of_zero(top: int) -> None:
    """Lanes of labels follow one another at the height of the plane, wherever its origin is."""
    rng = np.random.default_rng(0)
    corner = rng.uniform((0, top), (60, top + 40), (120, 2))
    boxes, labels = np.concatenate([corner, corner + 10], axis=1), rng.integers(0, 3, 120)
    search = Neighbours.of(boxes, labels, 0.1)
    pairs_found = sorted(sorted(pair) for pair in listed(search.overlapping(search.within(np.arange(120)))))
    assert pairs_found == np.argwhere(np.triu(by_all_pairs(boxes, labels, 0.1), 1)).tolist()


@given(fields(), THRESHOLDS, st.randoms(use_true_random=False))
def test_pairs_between_two_sets(field: tuple[Boxes, NDArray[np.int64]], threshold: float, random: Random) -> None:
    boxes, labels = field
    order = np.array(random.sample(range(len(boxes)), len(boxes)), np.intp)
    some, others = order[: len(order) // 3], order[len(order) // 3 :]
    search = Neighbours.of(boxes, labels, threshold)
    pairs_found = listed(search.overlapping(search.between(some, others)))
    between = np.zeros((len(boxes), len(boxes)), np.bool_)
    between[np.ix_(some, others)] = True
    assert sorted(map(list, pairs_found)) == np.argwhere(between & by_all_pairs(boxes, labels, threshold)).tolist()


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("threshold", [0.05, 0.4, 0.5, 0.9, 0.999, 0.9999999])
@pytest.mark.parametrize(("side", "far", "spread"), [(60, 0, 1), (60, 1e5, 1000), (0.7, 1e6, 1000), (1e-3, 0, 100)])
def test_pairs_at_the_threshold(
    side: float, far: float, spread: float, threshold: float, kind: type[np.floating]
) -> None:
    """Pairs of equal boxes, one pair per label, shifted by the reach and by the smallest steps less and more."""
    rng = np.random.default_rng(0)
    count = 2000
    corner = (far + rng.uniform(0, spread * side, (count, 2))).astype(kind)
    ways = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])[np.arange(count) % 4]
    moved = (corner + ways * side * (1 - threshold) / (1 + threshold)).astype(kind)
    moved += (ways != 0) * rng.integers(-3, 4, (count, 2)).astype(kind) * np.spacing(moved)
    boxes = np.concatenate([np.concatenate([at, at + kind(side)], axis=1) for at in (corner, moved)])
    assert boxes.dtype == kind
    over = np.flatnonzero(paired_iou(boxes[:count], boxes[count:]) > threshold)
    labels = np.arange(2 * count) % count
    search = Neighbours.of(boxes, labels, threshold)
    within = listed(search.overlapping(search.within(np.arange(2 * count))))
    assert sorted(min(pair) for pair in within) == over.tolist()
    between = listed(search.overlapping(search.between(np.arange(count), np.arange(count, 2 * count))))
    assert sorted(between) == [(index, index + count) for index in over.tolist()]
    # On a short line, of two boxes, nothing is added to the reach for the length of the line.
    for index in over[:200].tolist():
        search = Neighbours.of(boxes[[index, index + count]], np.zeros(2, np.int64), threshold)
        assert len(listed(search.overlapping(search.within(np.arange(2))))) == 1


def test_a_wide_box_and_a_taller_thin_one() -> None:
    """The class of the smaller boxes may have the greater width."""
    boxes = np.concatenate([[[0, 0, 100, 60], [88, 0, 98, 500]], scattered(50) + 1000])
    search = Neighbours.of(boxes, np.zeros(52, np.int64), 0.05)
    assert len(search.sides) == 2
    assert listed(search.overlapping(search.within(np.arange(2)))) == [(1, 0)]
    assert listed(search.overlapping(search.between(np.arange(1), np.arange(1, 2)))) == [(0, 1)]


@pytest.mark.parametrize("unit", [0.013, 1, 1.1, 1.7, 2.5, 4, 6, 1000])
def test_usual_boxes_are_one_class_in_any_unit(unit: float) -> None:
    assert len(Neighbours.of(scattered(50) * unit, np.zeros(50, np.int64), 0.4).sides) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.integers(1, 7))
def test_blocks_hold_every_pair_once_and_no_more_than_asked_for(bounds: list[tuple[int, int]], most: int) -> None:
    some, others = np.arange(len(bounds)) + 100, np.arange(9) + 200
    starts, ends = np.array([sorted(pair) for pair in bounds], np.intp).reshape(-1, 2).T
    runs = Runs(some=some, others=others, starts=starts, ends=ends)
    blocks = list(runs.blocks(most))
    assert all(0 < len(one) == len(other) <= most for one, other in blocks)
    expected = [(100 + k, 200 + n) for k, pair in enumerate(bounds) for n in range(*sorted(pair))]
    assert listed(blocks) == expected
    assert runs.pairs == len(expected)


def scattered(count: int, seed: int = 0) -> Boxes:
    """Boxes about 60 px wide on a square where each has a handful of neighbours."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60 * count**0.5, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(50, 70, (count, 2))], axis=1)


def looked_at(boxes: Boxes, labels: NDArray[np.int64] | None = None, threshold: float = 0.4) -> int:
    """Number of pairs that the search compares to find all overlaps among the boxes."""
    labels = np.zeros(len(boxes), np.int64) if labels is None else labels
    search = Neighbours.of(boxes, labels, threshold)
    return sum(run.pairs for run in search.within(np.arange(len(boxes))))


def test_few_more_pairs_are_compared_than_overlap() -> None:
    assert looked_at(scattered(3000)) < 3 * 3000


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param([[0, 0, 3e4, 3e4]], id="a huge box"),
        pytest.param([[1e12, 1e12, 1e12 + 60, 1e12 + 60]], id="a box gone astray"),
        pytest.param([[-1e300, 0, -1e299, 60]], id="a box at the end of numbers"),
        pytest.param([[n, n, n + 1e-9, n + 1e-9] for n in range(100)], id="boxes of almost no size"),
        pytest.param([[n, 0, n + 1, 3e4] for n in range(0, 3000, 30)], id="lines"),
    ],
)
def test_odd_boxes_do_not_widen_the_search_for_the_others(odd: list[list[float]]) -> None:
    usual = scattered(3000)
    assert looked_at(np.concatenate([usual, odd])) <= 1.5 * looked_at(usual)


def test_boxes_of_different_labels_make_no_pair() -> None:
    """Identical boxes that all have different labels."""
    same = np.tile(scattered(1), (500, 1))
    assert looked_at(same) == 500 * 499 // 2
    assert looked_at(same, labels=np.arange(500)) == 0


def test_pairs_are_made_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "PAIRS_AT_ONCE", 50)
    sizes: list[int] = []

    def counted(a: Boxes, b: Boxes) -> NDArray[np.floating]:
        sizes.append(len(a))
        return paired_iou(a, b)

    monkeypatch.setattr(neighbours, "paired_iou", counted)
    search = Neighbours.of(np.tile(scattered(1), (40, 1)), np.zeros(40, np.int64), 0.4)
    assert len(listed(search.overlapping(search.within(np.arange(40))))) == 780
    assert max(sizes) == 50
    assert sum(sizes) == 780


def test_a_search_among_no_boxes() -> None:
    search = Neighbours.of(np.empty((0, 4)), np.empty(0, np.int64), 0.4)
    assert search.within(np.arange(0)) == []
    assert search.between(np.arange(0), np.arange(0)) == []

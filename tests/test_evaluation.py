"""DigestPath's metrics against a loop written from their description, and against cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_results import detections, random_results, square

from signetscan.detections import Detections
from signetscan.evaluation import (
    FROC_LEVELS,
    MATCH_IOU,
    ImageResult,
    evaluate,
    evaluate_classes,
    make_tally,
    match,
    match_nearest_free,
    threshold_for,
)
from signetscan.evaluation.digestpath import LEAST_PRECISION, scores_of
from signetscan.evaluation.matching import matched_cells

if TYPE_CHECKING:
    from signetscan.evaluation.tally import Rule


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def slow_hits(found: Detections, truth: np.ndarray) -> list[bool]:
    hits, used = [False] * len(found), set()
    for index in sorted(range(len(found)), key=lambda i: -found.scores[i]):
        overlaps = [iou(found.boxes[index], cell) for cell in truth]
        if overlaps and max(overlaps) >= 0.3 and overlaps.index(max(overlaps)) not in used:
            used.add(overlaps.index(max(overlaps)))
            hits[index] = True
    return hits


def slow_recall(results: list[ImageResult], threshold: float, *, include: bool) -> float:
    found = cells = 0
    for result in results:
        if result.normal:
            continue
        cells += len(result.truth)
        for score, hit in zip(result.detections.scores, slow_hits(result.detections, result.truth), strict=True):
            found += hit and (score >= threshold if include else score > threshold)
    return found / cells


@given(st.integers(0, 10**6))
def test_scores_are_those_of_the_slow_loop(seed: int) -> None:
    results = random_results(seed)
    scores = evaluate(results, 0.5)
    normals = [result for result in results if result.normal]
    alarms = sorted((score for result in normals for score in result.detections.scores), reverse=True)
    for level, recall in zip(FROC_LEVELS, scores.recall_at, strict=True):
        allowed = level * len(normals)
        # Lower the threshold as far as the false alarms allow; with too few alarms, to the ground.
        limit = alarms[allowed] if allowed < len(alarms) else -1.0
        if not normals:  # nothing limits the threshold, so there is no such recall
            assert math.isnan(recall)
            continue
        assert recall == pytest.approx(slow_recall(results, limit, include=False))
    assert scores.froc == pytest.approx(sum(scores.recall_at) / 6, nan_ok=True)
    assert scores.recall == pytest.approx(slow_recall(results, 0.5, include=True))
    for result in results:
        assert match(result.detections, result.truth).tolist() == slow_hits(result.detections, result.truth)
    if normals:
        per_image = sum(score >= 0.5 for score in alarms) / len(normals)
        assert scores.fps_score == pytest.approx(100 - per_image)
    else:
        assert math.isnan(scores.fps_score)


def test_a_case_by_hand() -> None:
    cells = np.array([square(0, 0), square(100, 0), square(200, 0), square(300, 0)], np.float64)
    found = detections(
        [square(5, 0), square(0, 5), square(101, 0), square(400, 0), square(200, 28)], [0.9, 0.8, 0.6, 0.7, 0.95]
    )
    # 0.95 overlaps its cell by 22/78 = 0.28: no; 0.9 finds the first; 0.8 is a double; 0.7 nothing; 0.6 the second.
    assert match(found, cells).tolist() == [True, False, True, False, False]
    quiet = ImageResult(detections=detections([square(0, 0)], [0.65]), truth=np.empty((0, 4)), normal=True)
    scores = evaluate([ImageResult(detections=found, truth=cells, normal=False), quiet], 0.65)
    assert (scores.recall, scores.precision, scores.fps_score) == (0.25, 0.25, 99.0)
    assert scores.recall_at == (0.5,) * 6, "one alarm in one normal image never limits the threshold"
    assert (scores.cells, scores.positives, scores.normals) == (4, 1, 1)


def test_false_alarms_cost_recall_level_by_level() -> None:
    cells = np.array([square(100 * i, 0) for i in range(4)], np.float64)
    found = detections([square(100 * i, 0) for i in range(4)], [0.9, 0.7, 0.5, 0.3])
    noise = [0.8, 0.6, 0.4, 0.2] + [0.1] * 10
    normal = ImageResult(
        detections=detections([square(60 * i, 0) for i in range(14)], noise), truth=np.empty((0, 4)), normal=True
    )
    scores = evaluate([ImageResult(detections=found, truth=cells, normal=False), normal], 0.0)
    # One alarm allowed: the threshold lies above 0.6, and 0.9 and 0.7 are found; two: above 0.4; four: above 0.1.
    assert scores.recall_at == (0.5, 0.75, 1.0, 1.0, 1.0, 1.0)
    assert scores.fps_score == 86.0


def test_threshold_lets_in_just_so_many_alarms() -> None:
    noise = [0.8, 0.6, 0.4, 0.2]
    normals = [
        ImageResult(detections=detections([square(0, 0)] * 4, noise), truth=np.empty((0, 4)), normal=True)
        for _ in range(2)
    ]
    for allowed, expected in ((0, 0), (1, 2), (2, 4), (3.5, 6), (4, 8), (100, 8)):
        threshold = threshold_for(normals, allowed)
        above = sum((np.array(noise, np.float32) >= np.float32(threshold)).sum() for _ in normals)
        assert above == expected


@pytest.mark.parametrize(("alarms", "allowed", "threshold"), [([], 0, 0.0), ([0.5, 0.5], 1, 0.0), ([1.0], 0, 1.0)])
def test_a_threshold_is_a_score(alarms: list[float], allowed: float, threshold: float) -> None:
    found = detections([square(0, 0)] * len(alarms), alarms)
    normals = [ImageResult(detections=found, truth=np.empty((0, 4)), normal=True)]
    if len(alarms) == 2:
        normals.append(ImageResult(detections=Detections.empty(), truth=np.empty((0, 4)), normal=True))
    assert threshold_for(normals, allowed) == threshold


def test_the_levels_are_digestpaths() -> None:
    assert (FROC_LEVELS, LEAST_PRECISION, MATCH_IOU) == ((1, 2, 4, 8, 16, 32), 0.2, 0.3)


def test_more_than_a_hundred_alarms_score_nothing() -> None:
    found = detections([square(0, 0)] * 150, [0.5] * 150)
    normal = ImageResult(detections=found, truth=np.empty((0, 4)), normal=True)
    assert evaluate([normal], 0.1).fps_score == 0


def test_which_cell_a_detection_finds() -> None:
    """Of two overlapped alike the first, in the order of the cells; none is -1, and so is the second to find one."""
    truth = np.array([square(60, 0, 40), square(0, 0, 40), square(500, 500, 40)])
    found = detections([[20, 0, 80, 40], [20, 0, 80, 40], square(900, 900)], [0.9, 0.8, 0.7])
    assert matched_cells(found, truth, 0.1).tolist() == [0, -1, -1]
    assert matched_cells(found, truth[::-1], 0.1).tolist() == [1, -1, -1]


@pytest.mark.parametrize("rule", [match, match_nearest_free])
def test_an_iou_of_exactly_the_least_is_enough(rule: Rule) -> None:
    found, truth = detections([[0, 0, 20, 10]], [0.9]), np.array([[0.0, 0, 10, 10]])
    assert rule(found, truth, 0.5).tolist() == [True]
    assert rule(found, truth, float(np.nextafter(0.5, 1))).tolist() == [False]


def test_cells_are_found_far_from_the_diagonal() -> None:
    """Where y is far from x, a mix-up of the two axes would look in the wrong place."""
    truth = np.array([square(x, 5000) for x in range(0, 4000, 100)])
    found = detections([[x + 5, 5005, x + 55, 5055] for x in range(0, 4000, 100)], [0.5] * 40)
    assert match(found, truth).all()
    flipped = [1, 0, 3, 2]
    assert match(detections(found.boxes[:, flipped].tolist(), [0.5] * 40), truth[:, flipped]).all()


def test_without_classes_nothing_is_judged_by_class() -> None:
    results = random_results(5)
    assert evaluate_classes(results, 0.3) == evaluate(results, 0.3)


def test_nothing_found_and_nothing_there() -> None:
    nothing = ImageResult(detections=Detections.empty(), truth=np.empty((0, 4)), normal=True)
    scores = evaluate([nothing], 0.5)
    assert (scores.fps_score, scores.normals) == (100, 1)
    assert math.isnan(scores.froc)
    missed = ImageResult(detections=Detections.empty(), truth=np.array([square(0, 0)]), normal=False)
    assert evaluate([missed, nothing], 0.5).froc == 0


@given(st.integers(0, 10**6))
def test_weights_are_repeated_images(seed: int) -> None:
    """A resample in which an image was drawn twice is the set with that image twice."""
    results = random_results(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(results))
    repeated = [result for result, weight in zip(results, weights, strict=True) for _ in range(weight)]
    np.testing.assert_equal(
        asdict(scores_of(make_tally(results), 0.5, weights)), asdict(scores_of(make_tally(repeated), 0.5))
    )


@pytest.mark.parametrize(("right", "counted"), [(2, 0.5), (1, 0.0)])
def test_recall_counts_only_where_precision_is_above_a_fifth(right: int, counted: float) -> None:
    """2 of 9 is above 0.2; 2 of 10, which is 0.2, is not."""
    cells = np.array([square(100 * i, 0) for i in range(4)], np.float64)
    boxes = [square(0, 0), square(100, 0), *(square(100 * i, 500) for i in range(9 - right))]
    found = detections(boxes, np.linspace(0.9, 0.1, len(boxes)).tolist())
    scores = evaluate([ImageResult(detections=found, truth=cells, normal=False)], 0)
    assert (scores.recall, scores.counted_recall) == (0.5, counted)
    assert scores.precision == 2 / len(boxes)


def test_another_iou() -> None:
    cell = np.array([square(0, 0)], np.float64)
    found = detections([square(20, 0)], [0.9])  # 30 / 70 = 0.43
    assert match(found, cell).all()
    assert not match(found, cell, 0.5).any()
    assert evaluate([ImageResult(detections=found, truth=cell, normal=False)], 0, iou=0.5).recall == 0


def test_a_large_slide_is_matched_in_parts() -> None:
    """More detections than are compared at once, each on its own cell or far from all."""
    places = np.random.default_rng(0).permutation(900)
    cells = np.array([square(60 * (i % 30), 60 * (i // 30)) for i in range(900)], np.float64)
    found = detections((cells[places] + [5, 0, 5, 0]).tolist(), np.linspace(1, 0, 900).tolist())
    missed = places % 3 == 0
    assert (match(found, cells[[i % 3 != 0 for i in range(900)]]) == ~missed).all()


# ---- several classes ------------------------------------------------------------------------------------------------


def of_classes(
    found: list[tuple[list[float], float, int]], cells: list[tuple[list[float], int]], *, normal: bool = False
) -> ImageResult:
    boxes, scores, labels = ([row[part] for row in found] for part in range(3))
    plain = detections(boxes, scores)  # type: ignore[arg-type]
    return ImageResult(
        detections=replace(plain, labels=np.array(labels, np.int64)),
        truth=np.array([cell for cell, _ in cells], np.float64).reshape(-1, 4),
        labels=np.array([label for _, label in cells], np.int64),
        normal=normal,
    )


@pytest.mark.parametrize("rule", [match, match_nearest_free])
def test_a_detection_finds_cells_of_its_own_class_only(rule: Rule) -> None:
    """Two cells at nearly one place: each is found by its own class, in whatever order; a wrong class finds nothing."""
    found = [(square(0, 0), 0.9, 1), (square(2, 0), 0.8, 0), (square(200, 0), 0.7, 0), (square(300, 0), 0.6, 1)]
    cells = [(square(1, 0), 0), (square(3, 0), 1), (square(200, 0), 1), (square(300, 0), 1)]
    tally = make_tally([of_classes(found, cells)], rule=rule)
    assert tally.hits.tolist() == [True, True, False, True]
    without = replace(of_classes(found, cells), labels=None)
    assert make_tally([without], rule=rule).hits[2], "where class does not matter"


def test_froc_of_several_classes_is_the_mean_of_each_alone() -> None:
    """Class 0: both cells found above all alarms. Class 1: its one cell lies below two alarms of its own."""
    image = of_classes(
        [(square(0, 0), 0.9, 0), (square(100, 0), 0.5, 0), (square(200, 0), 0.4, 1), (square(300, 0), 0.95, 1)],
        [(square(0, 0), 0), (square(100, 0), 0), (square(200, 0), 1)],
    )
    normal = of_classes([(square(0, 0), 0.6, 1), (square(100, 0), 0.5, 1), (square(200, 0), 0.3, 0)], [], normal=True)
    scores = evaluate_classes([image, normal], 0.5)
    assert list(scores.recall_at) == [0.5, 1, 1, 1, 1, 1], "at one alarm class 1 finds nothing, at two its cell"
    assert scores.froc == pytest.approx(5.5 / 6)
    assert scores.cells == 3, "all classes together"
    assert scores.recall == pytest.approx(2 / 3)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.fps_score == 98
    one = [result.of_class(0) for result in (image, normal)]
    assert evaluate_classes(one, 0.5).froc == evaluate(one, 0.5).froc == 1
    absent = [replace(image, detections=image.detections, truth=image.truth[2:], labels=np.array([1])), normal]
    assert evaluate_classes(absent, 0.5).froc == pytest.approx(5 / 6), "a class without cells has no say"


@given(st.integers(0, 10**6))
def test_with_one_class_its_label_changes_nothing(seed: int) -> None:
    results = random_results(seed)
    labelled = [replace(result, labels=np.zeros(len(result.truth), np.int64)) for result in results]
    assert repr(evaluate_classes(labelled, 0.5)) == repr(evaluate(results, 0.5))

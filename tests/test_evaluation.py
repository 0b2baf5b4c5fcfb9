"""DigestPath's metrics against a loop written from their description, and against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.detections import Detections
from signetscan.evaluation import FROC_LEVELS, ImageResult, evaluate, match, threshold_for


def detections(boxes: list[list[float]], scores: list[float]) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.zeros(len(scores), np.int64),
    )


def square(x: float, y: float, side: float = 50) -> list[float]:
    return [x, y, x + side, y + side]


def random_results(seed: int) -> list[ImageResult]:
    """Crowded cells, jittered detections, doubles, false alarms; scores rounded so that some are equal."""
    rng = np.random.default_rng(seed)
    results = []
    for index in range(int(rng.integers(1, 7))):
        normal = index > 0 and rng.random() < 0.6
        cells = [] if normal else [square(*rng.uniform(0, 250, 2)) for _ in range(rng.integers(1, 9))]
        found = [(np.array(cell) + rng.normal(0, 9, 4)).tolist() for cell in cells for _ in range(rng.integers(0, 3))]
        found += [square(*rng.uniform(0, 300, 2)) for _ in range(rng.integers(0, 40 if normal else 4))]
        scores = rng.permutation(1000)[: len(found)] / 1000
        truth = np.array(cells, np.float64).reshape(-1, 4)
        results.append(ImageResult(detections=detections(found, scores.tolist()), truth=truth, normal=normal))
    return results


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
        assert recall == pytest.approx(slow_recall(results, limit, include=False))
    assert scores.froc == pytest.approx(sum(scores.recall_at) / 6)
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
    for allowed, expected in ((0, 0), (1, 2), (2, 4), (3.5, 6), (100, 8)):
        threshold = threshold_for(normals, allowed)
        above = sum((np.array(noise, np.float32) >= np.float32(threshold)).sum() for _ in normals)
        assert above == expected


def test_nothing_found_and_nothing_there() -> None:
    nothing = ImageResult(detections=Detections.empty(), truth=np.empty((0, 4)), normal=True)
    scores = evaluate([nothing], 0.5)
    assert (scores.fps_score, scores.normals) == (100, 1)
    assert math.isnan(scores.froc)
    missed = ImageResult(detections=Detections.empty(), truth=np.array([square(0, 0)]), normal=False)
    assert evaluate([missed, nothing], 0.5).froc == 0

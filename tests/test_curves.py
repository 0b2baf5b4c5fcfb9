"""Curves and AP against loops written from their definitions, and AP against pycocotools."""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_results import detections, random_results, square
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from signetscan.boxes import iou_matrix
from signetscan.evaluation import (
    FROC_LEVELS,
    ImageResult,
    Tally,
    average_precision,
    evaluate,
    froc_curve,
    make_tally,
    match,
    match_nearest_free,
    pr_curve,
    reliability,
)
from signetscan.evaluation.curves import AP_IOU, f1_at


def counts_at(tally: Tally, threshold: np.float32) -> tuple[int, int, int]:
    """Detections, those that find a cell, and those in normal images, with at least a score."""
    counted = found = alarms = 0
    for score, hit, image in zip(tally.scores, tally.hits, tally.image, strict=True):
        if score >= threshold:
            counted += 1
            found += bool(hit)
            alarms += bool(tally.normal[image])
    return counted, found, alarms


@given(st.integers(0, 10**6), st.booleans())
def test_curves_are_those_of_the_slow_loop(seed: int, coarse: bool) -> None:
    results = random_results(seed, decimals=1 if coarse else 3)
    tally = make_tally(results)
    cells, normals = int(tally.cells.sum()), int(tally.normal.sum())
    pr, froc = pr_curve(tally), froc_curve(tally)
    distinct = sorted({float(score) for score in tally.scores}, reverse=True)
    assert pr.thresholds.tolist() == froc.thresholds.tolist() == distinct
    for index, threshold in enumerate(pr.thresholds):
        counted, found, alarms = counts_at(tally, threshold)
        assert pr.precision[index] == pytest.approx(found / counted)
        assert pr.recall[index] == froc.recall[index] == pytest.approx(found / cells)
        f1 = 2 * found / (counted + cells)
        assert pr.f1[index] == pytest.approx(f1)
        assert f1_at(tally, float(threshold)) == pytest.approx(f1)
        assert (
            froc.false_positives[index] == pytest.approx(alarms / normals)
            if normals
            else math.isnan(froc.false_positives[index])
        )
    if distinct:
        best, threshold = pr.best_f1()
        assert best == pr.f1.max()
        assert threshold == max(pr.thresholds[pr.f1 == best])


@given(st.integers(0, 10**6))
def test_froc_reads_its_levels_off_its_curve(seed: int) -> None:
    results = random_results(seed)
    curve = froc_curve(make_tally(results))
    scores = evaluate(results, 0)
    for level, recall in zip(FROC_LEVELS, scores.recall_at, strict=True):
        if scores.normals:
            assert recall == curve.recall[curve.false_positives <= level].max(initial=0)
        else:
            assert math.isnan(recall), "nothing limits the false positives"


@given(st.integers(0, 10**6))
def test_weights_are_repeated_images(seed: int) -> None:
    results = random_results(seed, decimals=2)
    weights = np.random.default_rng(seed).integers(0, 4, len(results))
    repeated = [result for result, weight in zip(results, weights, strict=True) for _ in range(weight)]
    tally, again = make_tally(results), make_tally(repeated)
    weighted, plain = pr_curve(tally, weights), pr_curve(again)
    np.testing.assert_array_equal(weighted.thresholds, plain.thresholds)
    np.testing.assert_array_equal(weighted.precision, plain.precision)
    np.testing.assert_array_equal(weighted.recall, plain.recall)
    np.testing.assert_equal(average_precision(weighted), average_precision(plain))
    np.testing.assert_equal(f1_at(tally, 0.5, weights), f1_at(again, 0.5))
    np.testing.assert_array_equal(froc_curve(tally, weights).false_positives, froc_curve(again).false_positives)
    np.testing.assert_array_equal(froc_curve(tally, weights).recall, froc_curve(again).recall)
    assert reliability(tally, weights).ece == pytest.approx(reliability(again).ece, nan_ok=True)
    np.testing.assert_array_equal(reliability(tally, weights).counts, reliability(again).counts)


@given(st.integers(0, 10**6))
def test_the_order_of_images_and_of_detections_does_not_show(seed: int) -> None:
    results = random_results(seed, decimals=1)
    rng = np.random.default_rng(seed)
    shuffled = []
    for index in rng.permutation(len(results)):
        result = results[index]
        order = rng.permutation(len(result.detections))
        shuffled.append(
            ImageResult(detections=result.detections.select(order), truth=result.truth, normal=result.normal)
        )
    for rule in (match, match_nearest_free):
        one, other = pr_curve(make_tally(results, 0.4, rule)), pr_curve(make_tally(shuffled, 0.4, rule))
        np.testing.assert_array_equal(one.precision, other.precision)
        assert average_precision(one) == average_precision(other)


# ---- AP -------------------------------------------------------------------------------------------------------------


def coco_ap(results: list[ImageResult], iou: float) -> float:
    """AP by pycocotools at one IoU, all areas, without a cut at a number of detections."""
    truth: dict[str, Any] = {
        "images": [{"id": number} for number in range(1, len(results) + 1)],
        "categories": [{"id": 1}],
        "annotations": [],
    }
    found = []
    for number, result in enumerate(results, start=1):
        for box in result.truth.tolist():
            size = [box[2] - box[0], box[3] - box[1]]
            one = {"bbox": [*box[:2], *size], "area": size[0] * size[1], "iscrowd": 0}
            truth["annotations"].append(
                one | {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": 1}
            )
        for box, score in zip(result.detections.boxes.tolist(), result.detections.scores.tolist(), strict=True):
            size = [box[2] - box[0], box[3] - box[1]]
            found.append({"bbox": [*box[:2], *size], "score": score, "image_id": number, "category_id": 1})
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = truth
        reference.createIndex()
        judge = COCOeval(reference, reference.loadRes(found), "bbox")
        judge.params.iouThrs = np.array([iou])
        judge.params.maxDets = [10**6]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    return float(judge.eval["precision"][0, :, 0, 0, 0].mean())


@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.5, 0.75]))
@settings(max_examples=150)
def test_ap_is_that_of_pycocotools(seed: int, iou: float) -> None:
    """Scores differ from each other here: pycocotools ranks equal ones by the order of the file, we by none."""
    results = random_results(seed, distinct=True)
    if not any(len(result.detections) for result in results):
        return
    ap = average_precision(pr_curve(make_tally(results, iou, match_nearest_free)))
    assert ap == pytest.approx(coco_ap(results, iou), abs=1e-9)


def test_ap_of_a_crowd_of_hundreds() -> None:
    """More than the hundred detections at which COCO cuts by default."""
    rng = np.random.default_rng(3)
    cells = np.array([square(*corner) for corner in rng.uniform(0, 1000, (300, 2))])
    boxes = np.concatenate([cells + rng.normal(0, 8, cells.shape), cells[:100] + rng.normal(0, 8, (100, 4))])
    found = detections(boxes.tolist(), ((rng.permutation(400) + 1) / 500).tolist())
    results = [ImageResult(detections=found, truth=cells, normal=False)]
    ap = average_precision(pr_curve(make_tally(results, 0.5, match_nearest_free)))
    assert 0.2 < ap < 0.9
    assert ap == pytest.approx(coco_ap(results, 0.5), abs=1e-9)


def test_ap50_is_at_a_half() -> None:
    assert AP_IOU == 0.5


def test_ap_by_hand() -> None:
    """Two cells: found, missed, found, at scores 0.9, 0.8, 0.7. Precision 1 up to recall 1/2, then 2/3."""
    cells = np.array([square(0, 0), square(200, 0)], np.float64)
    found = detections([square(0, 0), square(400, 0), square(200, 0)], [0.9, 0.8, 0.7])
    curve = pr_curve(make_tally([ImageResult(detections=found, truth=cells, normal=False)]))
    assert curve.precision.tolist() == [1, 0.5, 2 / 3]
    assert curve.recall.tolist() == [0.5, 0.5, 1]
    assert average_precision(curve) == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_nothing_there_and_nothing_found() -> None:
    nothing = detections([], [])
    cell = np.array([square(0, 0)], np.float64)
    missed = pr_curve(make_tally([ImageResult(detections=nothing, truth=cell, normal=False)]))
    assert average_precision(missed) == 0
    assert all(math.isnan(value) for value in missed.best_f1())
    normal = ImageResult(detections=detections([square(0, 0)], [0.5]), truth=np.empty((0, 4)), normal=True)
    assert math.isnan(average_precision(pr_curve(make_tally([normal]))))
    assert math.isnan(average_precision(pr_curve(make_tally([]))))


@given(st.integers(0, 10**6))
def test_the_two_rules_differ_only_where_cells_crowd(seed: int) -> None:
    """COCO's rule is the greedy one over free cells, and finds no fewer cells than DigestPath's."""
    for result in random_results(seed):
        free = match_nearest_free(result.detections, result.truth)
        assert free.sum() >= match(result.detections, result.truth).sum()
        taken: set[int] = set()
        for index in np.argsort(-result.detections.scores, kind="stable"):
            overlaps = (
                iou_matrix(result.detections.boxes[index : index + 1], result.truth)[0] if len(result.truth) else []
            )
            allowed = [(overlap, cell) for cell, overlap in enumerate(overlaps) if cell not in taken and overlap >= 0.3]
            assert free[index] == bool(allowed)
            if allowed:
                taken.add(max(allowed)[1])

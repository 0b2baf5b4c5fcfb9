"""Calibration, intervals and the whole assessment."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_results import detections, random_results, square
from PIL import Image

from signetscan.errors import MissingExtraError, OptionError
from signetscan.evaluation import (
    AssessOptions,
    ImageResult,
    assess,
    assessment_json,
    evaluate,
    make_tally,
    reliability,
    write_assessment,
)
from signetscan.evaluation.assessment import FIGURES
from signetscan.evaluation.bootstrap import intervals, resamples, units_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NO_CELL = np.empty((0, 4))


def image(*, normal: bool = False, slide: str = "", found: int = 0, cells: int = 2) -> ImageResult:
    """An image with some of its cells found; a normal one has as many false alarms."""
    boxes = [square(100 * i, 0) for i in range(found)]
    truth = NO_CELL if normal else np.array([square(100 * i, 0) for i in range(cells)])
    return ImageResult(detections=detections(boxes, [0.9] * found), truth=truth, normal=normal, slide=slide)


# ---- calibration ----------------------------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    """Five detections in three bins; a score on an edge belongs to the bin above it, and 1 to the last."""
    cells = np.array([square(0, 0), square(100, 0)], np.float64)
    boxes = [square(0, 0), square(100, 0), square(300, 0), square(400, 0), square(500, 0)]
    found = detections(boxes, [1.0, 0.3, 0.35, 0.9, 0.05])
    bins = reliability(make_tally([ImageResult(detections=found, truth=cells, normal=False)]))
    assert bins.counts.tolist() == [1, 0, 0, 2, 0, 0, 0, 0, 0, 2]
    np.testing.assert_allclose(bins.confidence[[0, 3, 9]], [0.05, 0.325, 0.95], rtol=1e-6)
    assert bins.precision[[0, 3, 9]].tolist() == [0, 0.5, 0.5]
    assert np.isnan(bins.confidence[1])
    assert bins.ece == pytest.approx((1 * 0.05 + 2 * 0.175 + 2 * 0.45) / 5)


@pytest.mark.parametrize("bins", [1, 7, 10, 20])
def test_scores_on_every_edge_are_in_the_bin_above(bins: int) -> None:
    scores = [number / bins for number in range(bins)]
    found = detections([square(100 * i, 0) for i in range(bins)], scores)
    tally = make_tally([ImageResult(detections=found, truth=NO_CELL, normal=True)])
    assert reliability(tally, bins=bins).counts.tolist() == [1] * bins


def test_calibrated_scores_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20_000).round(4)
    right = rng.random(len(scores)) < scores
    boxes = np.array([square(60 * i, 0) for i in range(len(scores))])
    one = ImageResult(detections=detections(boxes.tolist(), scores.tolist()), truth=boxes[right], normal=False)
    assert reliability(make_tally([one])).ece < 0.02
    sure = replace(one, detections=detections(boxes.tolist(), [1.0] * len(scores)))
    assert reliability(make_tally([sure])).ece == pytest.approx(1 - right.mean())


def test_nothing_to_calibrate() -> None:
    bins = reliability(make_tally([image()]))
    assert math.isnan(bins.ece)
    assert not bins.counts.any()


# ---- what is drawn --------------------------------------------------------------------------------------------------


def test_slides_are_drawn_as_a_whole_and_of_each_kind_as_many() -> None:
    results = [
        image(slide="a"),
        image(slide="a", normal=True),
        image(slide="b"),
        image(slide="c", normal=True),
        image(slide="d", normal=True),
        image(slide="c", normal=True),
    ]
    units = units_of(results)
    assert units is not None
    assert units.resampled.kind.value == "slides"
    seen = set()
    for weights in resamples(units, 200, seed=0):
        assert weights[0] == weights[1], "both of slide a"
        assert weights[3] == weights[5], "both of slide c"
        assert weights[0] + weights[2] == 2
        assert weights[3] + weights[4] == 2
        seen.add(tuple(weights.tolist()))
    assert len(seen) == 9


@pytest.mark.parametrize(
    ("results", "kind"),
    [
        ([image(), image()], "images"),
        ([image(slide="a"), image(slide="b")], "images"),  # each of its own slide: the same thing
        ([image(slide="a"), image(slide="a"), image(slide="b")], "slides"),
        ([image(slide="a"), image(slide="a"), image(slide="")], "images"),  # of one it is not known
        ([image(slide="a"), image(slide="a"), image(slide="a", normal=True), image(slide="a", normal=True)], "images"),
        ([image(slide="a"), image(slide="a"), image(normal=True, slide="b"), image(normal=True, slide="c")], "images"),
        ([image()], None),
        ([image(), image(), image(normal=True)], None),
        ([], None),
    ],
)
def test_what_is_drawn(results: list[ImageResult], kind: str | None) -> None:
    units = units_of(results)
    assert (None if units is None else units.resampled.kind.value) == kind


def test_interval_of_a_known_case() -> None:
    """Recall over images of one cell each is a mean of coin flips, whose spread is known."""
    found = 120
    results = [image(found=1, cells=1)] * found + [image(found=0, cells=1)] * (400 - found)
    recall = assess(results, AssessOptions(bootstrap=2000)).figures["recall"]
    assert recall.value == 0.3
    spread = 1.96 * math.sqrt(0.3 * 0.7 / 400)
    assert recall.low == pytest.approx(0.3 - spread, abs=0.006)
    assert recall.high == pytest.approx(0.3 + spread, abs=0.006)


def test_an_interval_is_the_middle_95_percent() -> None:
    """Of resamples that give 0 to 1000 in turn: from 25 to 975."""
    given = iter(range(1001))

    def figures(_: NDArray[np.int64]) -> dict[str, float]:
        return {"turn": float(next(given))}

    units = units_of([image(found=1), image(found=0)])
    interval = intervals(figures, {"turn": 500.0}, units, count=1001, seed=0)["turn"]
    assert (interval.low, interval.high) == pytest.approx((25, 975), abs=1e-9)


def test_images_of_few_slides_are_less_sure_than_as_many_slides() -> None:
    """Ten images of each slide that are all alike say no more than one."""
    apart = [image(found=i % 2, cells=1) for i in range(100)]
    together = [replace(one, slide=str(number // 10)) for number, one in enumerate(sorted(apart, key=found_in))]
    widths = []
    for results in (apart, together):
        recall = assess(results).figures["recall"]
        widths.append(recall.high - recall.low)
    assert widths[1] == pytest.approx(widths[0] * math.sqrt(10), rel=0.15)


def found_in(result: ImageResult) -> int:
    return len(result.detections)


def test_a_figure_without_variation_has_an_interval_without_width() -> None:
    figures = assess([image(found=1)] * 5 + [image(normal=True, found=3)] * 5).figures
    assert (figures["recall"].low, figures["recall"].value, figures["recall"].high) == (0.5, 0.5, 0.5)
    assert (figures["fps_score"].low, figures["fps_score"].high) == (97, 97)


def test_resamples_without_a_figure_say_nothing() -> None:
    """Precision is not defined where no image with a detection was drawn."""
    results = [image(found=1), image(found=0)]
    assert assess(results).figures["precision"].low == 1

    def never(weights: NDArray[np.int64]) -> dict[str, float]:
        return {"never": float("nan")}

    interval = intervals(never, {"never": 1.0}, units_of(results), count=10, seed=0)["never"]
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@given(st.integers(0, 10**6))
def test_same_seed_same_numbers(seed: int) -> None:
    results = random_results(seed)
    first = assess(results, AssessOptions(bootstrap=20, seed=seed)).figures
    np.testing.assert_equal(
        {name: (one.low, one.high) for name, one in first.items()},
        {
            name: (one.low, one.high)
            for name, one in assess(results, AssessOptions(bootstrap=20, seed=seed)).figures.items()
        },
    )


def test_another_seed_other_intervals() -> None:
    results = [result for seed in range(5) for result in random_results(seed)]
    one, other = (assess(results, AssessOptions(bootstrap=50, seed=seed)).figures["froc"] for seed in (0, 1))
    assert one.value == other.value
    assert (one.low, one.high) != (other.low, other.high)


# ---- the whole ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.3, 0.5]))
def test_figures_are_those_of_the_functions(seed: int, threshold: float, iou: float) -> None:
    results = random_results(seed)
    found = assess(results, AssessOptions(threshold=threshold, iou=iou, bootstrap=5))
    assert list(found.figures) == list(FIGURES)
    scores = evaluate(results, threshold, iou)
    value = {name: figure.value for name, figure in found.figures.items()}
    expected = {
        "recall": scores.recall,
        "precision": scores.precision,
        "fps_score": scores.fps_score,
        "counted_recall": scores.counted_recall,
    }
    if scores.normals:
        expected |= {"froc": scores.froc, "recall_at_4": scores.recall_at[2]}
    else:
        assert math.isnan(value["froc"])
    np.testing.assert_equal({name: value[name] for name in expected}, expected)
    assert (found.positives, found.normals, found.cells) == (scores.positives, scores.normals, scores.cells)
    assert found.detections == sum(len(result.detections) for result in results)
    json.dumps(assessment_json(found), allow_nan=False)


@pytest.mark.parametrize(
    ("option", "value"),
    [("threshold", -0.1), ("threshold", 1.1), ("threshold", math.nan), ("iou", 0), ("iou", 1.01), ("iou", math.nan)]
    + [("bootstrap", -1), ("bootstrap", 10**6), ("seed", -1)],
)
def test_options_out_of_range(option: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"{option} must be"):
        AssessOptions(**{option: value})  # type: ignore[arg-type]


def test_files_of_an_assessment(tmp_path: Path) -> None:
    results = [replace(one, slide=f"slide {seed % 4}") for seed in range(8) for one in random_results(seed)]
    found = assess(results, AssessOptions(bootstrap=50))
    paths = write_assessment(tmp_path, found, source={"truth": "somewhere"})
    assert [path.name for path in paths] == ["froc.png", "pr.png", "calibration.png", "metrics.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    for path in paths[:3]:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) >= 700
            assert len(picture.convert("RGB").getcolors(2**24) or ()) > 50, "something is drawn"
    written = json.loads(paths[3].read_text())
    assert written == json.loads(json.dumps(assessment_json(found, source={"truth": "somewhere"})))
    assert (written["schema"], written["truth"], written["intervals"]["resampled"]) == (1, "somewhere", "slides")
    assert set(written["figures"]) == set(FIGURES)
    froc = written["figures"]["froc"]
    assert froc["low"] <= froc["value"] <= froc["high"]


def test_long_curves_are_thinned_in_the_file() -> None:
    found = detections([square(60 * i, 0) for i in range(3000)], np.linspace(0, 1, 3000).tolist())
    results = [ImageResult(detections=found, truth=np.array([square(0, 0)]), normal=False)]
    curves = json.loads(json.dumps(assessment_json(assess(results, AssessOptions(bootstrap=0)))["curves"]))
    curve = curves["pr"]
    assert len(curve["threshold"]) == len(curve["recall"]) == 500
    assert (curve["threshold"][0], curve["threshold"][-1]) == (1, 0)


@pytest.mark.parametrize(
    "results",
    [
        [],
        [image()],
        [image(normal=True)],
        [image(normal=True, found=3), image(normal=True, found=1)],
        [image(found=2), image(normal=True)],
    ],
)
def test_plots_of_little_or_nothing(results: list[ImageResult], tmp_path: Path) -> None:
    paths = write_assessment(tmp_path, assess(results))
    assert all(path.stat().st_size > 5000 for path in paths[:3])
    json.loads(paths[3].read_text())


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"signetscan\[report\]"):
        write_assessment(tmp_path, assess([image()]))
    assert not list(tmp_path.iterdir())

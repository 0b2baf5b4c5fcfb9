"""What people's marks mean, and that all who read them take them alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_compare import csv
from test_dataset_add import CELL, Box, add, feature, make_slide, write
from test_dataset_layouts import add_slide as add_tiff
from test_retinanet import Spy, crop, network

from signetscan.annotations import Meaning, Unclassified, interpret, read_geojson
from signetscan.annotations.marks import MAX_CELL_UM
from signetscan.annotations.objects import make_annotations
from signetscan.dataset import read_dataset
from signetscan.evaluation import CompareOptions, read_results
from signetscan.evaluation.compare import compare_results
from signetscan.training.crops import ImageCache, Patch, cut_crop
from signetscan.training.losses import Source
from signetscan.training.objective import batch_losses, make_batch, stack
from signetscan.training.options import TrainOptions

if TYPE_CHECKING:
    from pathlib import Path

UM = (0.25, 0.25)
LARGE: Box = (0, 0, 401, 40)
"""Wider than any cell, at 0.25 µm."""
SMALL: Box = (0, 0, 400, 400)
AREA: Box = (1000, 0, 1600, 600)
IN_AREA: Box = (1100, 100, 1140, 140)
CELLS: tuple[Box, ...] = ((100, 100, 140, 140), (300, 300, 340, 340))
REJECTED: Box = (500, 500, 540, 540)


def marked(path: Path, *more: dict[str, Any]) -> Path:
    """Two cells, what was rejected, and an ignored area with a cell and a rejected object in it."""
    return write(
        path,
        *(feature(box) for box in CELLS),
        feature(REJECTED, "Rejected"),
        feature(AREA, "Ignore*"),
        feature(IN_AREA),
        feature((1200, 200, 1240, 240), "Ignore*"),
        *more,
    )


def detected(path: Path) -> Path:
    """A run that finds one cell, what was rejected, and two things in the ignored area."""
    return csv(path, [(CELLS[0], 0.9), (REJECTED, 0.8), (IN_AREA, 0.7), ((1400, 400, 1440, 440), 0.6)])


# ---- the rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "name", "kind", "score", "meaning"),
    [
        (SMALL, CELL, "annotation", None, Meaning.CELL),
        (LARGE, CELL, "annotation", None, Meaning.CELL),
        (SMALL, "Ignore*", "annotation", None, Meaning.REJECTED),
        (SMALL, "ignore this", "annotation", None, Meaning.REJECTED),
        (SMALL, f"{CELL}: Ignore*", "annotation", None, Meaning.REJECTED),
        (LARGE, "Ignore*", "annotation", None, Meaning.IGNORED_AREA),
        (LARGE, "Ignored", "annotation", None, Meaning.IGNORED_AREA),
        (LARGE, "Ignore*", "annotation", 0.5, Meaning.REJECTED),
        (LARGE, "Ignore*", "detection", None, Meaning.REJECTED),
        (LARGE, "Rejected", "annotation", None, Meaning.REJECTED),
        (LARGE, "Rejected by", "annotation", None, Meaning.CELL),
        (LARGE, "Region*", "annotation", None, Meaning.POSITIVE_REGION),
        (SMALL, "ROI", "annotation", None, Meaning.POSITIVE_REGION),
        (LARGE, "normal", "annotation", None, Meaning.NORMAL_REGION),
        (LARGE, "reviewed REGION", "annotation", None, Meaning.REVIEWED_REGION),
        (SMALL, "Reviewed", "annotation", 0.5, Meaning.REVIEWED_REGION),
        (LARGE, "Reviewed region", "detection", None, Meaning.CELL),
        (LARGE, "Normal", "detection", None, Meaning.CELL),
    ],
)
def test_what_an_object_means(
    tmp_path: Path, box: Box, name: str, kind: str, score: float | None, meaning: Meaning
) -> None:
    read = read_geojson(write(tmp_path / "a.geojson", feature(box, name, kind, score)))
    found = interpret(read, UM)
    assert found.meaning.tolist() == [meaning]
    assert [region.normal for region in found.regions] == (
        [meaning is Meaning.NORMAL_REGION] if meaning in (Meaning.NORMAL_REGION, Meaning.POSITIVE_REGION) else []
    )
    assert len(found.reviewed) == (meaning is Meaning.REVIEWED_REGION)


@pytest.mark.parametrize("name", ["Positive region", "Normal region"])
def test_regions_of_the_parser_are_regions(tmp_path: Path, name: str) -> None:
    found = interpret(read_geojson(write(tmp_path / "a.geojson", feature(LARGE, name))), UM)
    assert ([region.normal for region in found.regions], len(found.meaning)) == ([name == "Normal region"], 0)


@pytest.mark.parametrize(
    ("unclassified", "regions"),
    [
        (Unclassified.OBJECT, []),
        (Unclassified.REGION, [(0, 0, 50, 50), (0, 0, 900, 900), (2000, 0, 2900, 900)]),
        (Unclassified.REGION_IF_LARGE, [(0, 0, 900, 900), (2000, 0, 2900, 900)]),
        (Unclassified.REGION_IF_AROUND, [(0, 0, 900, 900)]),
    ],
)
def test_annotations_without_a_class(tmp_path: Path, unclassified: Unclassified, regions: list[Box]) -> None:
    unnamed = [feature(box, None) for box in ((0, 0, 50, 50), (0, 0, 900, 900), (2000, 0, 2900, 900))]
    read = read_geojson(write(tmp_path / "a.geojson", *unnamed, feature((100, 100, 140, 140))))
    found = interpret(read, UM, unclassified)
    assert [region.box for region in found.regions] == regions
    assert found.meaning[-1] == Meaning.CELL
    assert len(found.cells) == 4 - len(regions)


def test_an_area_is_as_large_as_its_pixels_say(tmp_path: Path) -> None:
    read = read_geojson(write(tmp_path / "a.geojson", feature(SMALL, "Ignore*")))
    assert interpret(read, UM).meaning.tolist() == [Meaning.REJECTED]
    assert interpret(read, (0.26, 0.25)).meaning.tolist() == [Meaning.IGNORED_AREA]


def test_a_polygon_ignores_what_is_in_it_and_not_what_is_in_its_box(tmp_path: Path) -> None:
    triangle = feature((0, 0, 900, 900), "Ignore*")
    triangle["geometry"]["coordinates"] = [[[0, 0], [900, 0], [0, 900], [0, 0]]]
    read = read_geojson(
        write(tmp_path / "a.geojson", feature((700, 700, 740, 740)), triangle, feature((90, 90, 99, 99)))
    )
    for moved in (read, read.moved(50, 70), read.moved(3, 3).select(np.array([True, True, True]))):
        assert interpret(moved, UM).meaning.tolist() == [Meaning.CELL, Meaning.IGNORED_AREA, Meaning.IGNORED]
    assert interpret(read.select(np.array([False, True, True])), UM).ignored[0].rings[0].shape == (4, 2)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([CELL, "Ignore*", "Rejected", "Normal", "", "Region*"]),
            st.sampled_from(["annotation", "detection", ""]),
            st.sampled_from([float("nan"), 0.5]),
            st.integers(0, 30),
            st.sampled_from([10, 500]),
        ),
        max_size=12,
    )
)
def test_meanings_are_those_of_an_oracle(objects: list[tuple[str, str, float, int, int]]) -> None:
    """Object by object, against every ignored area."""
    boxes = [(100.0 * at, 0.0, 100.0 * at + side, float(side)) for _, _, _, at, side in objects]
    read = make_annotations(
        boxes, [one[0] for one in objects], [one[2] for one in objects], [one[1] for one in objects]
    )
    areas = [
        box
        for box, (name, kind, score, _, side) in zip(boxes, objects, strict=True)
        if name == "Ignore*" and kind == "annotation" and np.isnan(score) and side * UM[0] > MAX_CELL_UM
    ]
    for box, (name, kind, _, _, _), meaning in zip(boxes, objects, interpret(read, UM).meaning.tolist(), strict=True):
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if kind == "annotation" and name in ("Normal", "Region*"):
            expected = Meaning.NORMAL_REGION if name == "Normal" else Meaning.POSITIVE_REGION
        elif box in areas and name == "Ignore*" and meaning == Meaning.IGNORED_AREA:
            continue
        elif any(area[0] <= x < area[2] and area[1] <= y < area[3] for area in areas):
            expected = Meaning.IGNORED
        else:
            expected = Meaning.REJECTED if name in ("Ignore*", "Rejected") else Meaning.CELL
        assert meaning == expected


# ---- the four places ------------------------------------------------------------------------------------------------


def test_evaluate_counts_neither_a_cell_nor_a_false_positive_in_an_ignored_area(tmp_path: Path) -> None:
    read = read_results(detected(tmp_path / "s.csv"), marked(tmp_path / "s.geojson"))
    (image,) = read.results
    assert image.truth.tolist() == [list(box) for box in CELLS]
    assert image.detections.boxes.tolist() == [list(CELLS[0]), list(REJECTED)], "what was rejected is a false positive"
    notes = "\n".join(read.notes)
    assert "Predictions left out, in ignored areas: 2" in notes
    assert "Objects in ignored areas left out: 2" in notes
    assert "Rejected objects left out, being no cells: 1" in notes


def test_rejected_predictions_are_none(tmp_path: Path) -> None:
    found = write(tmp_path / "f.geojson", feature(CELLS[0], CELL, "detection", 0.9), feature(REJECTED, "Ignore*"))
    (image,) = read_results(found, marked(tmp_path / "s.geojson")).results
    assert image.detections.boxes.tolist() == [list(CELLS[0])]


@pytest.mark.parametrize("reviewer", [None, True, False])
def test_compare_counts_nothing_in_an_ignored_area(tmp_path: Path, reviewer: bool | None) -> None:
    comparison = compare_results(
        detected(tmp_path / "s.csv"), marked(tmp_path / "r.geojson"), CompareOptions(reviewer=reviewer)
    )
    assert comparison.by_reviewer is (reviewer is not False)
    figures = comparison.figures()
    assert (figures.a, figures.b, figures.both) == (2, 2, 1)
    if figures.scores is not None:
        assert (figures.scores.recall, figures.scores.precision) == (0.5, 0.5)


def test_marks_alone_tell_that_a_person_wrote_a_file(tmp_path: Path) -> None:
    """As the viewer saves it: every object has the score of its detection."""
    saved = write(tmp_path / "r.geojson", feature(CELLS[0], CELL, score=0.9), feature(REJECTED, "Ignore*", score=0.8))
    figures = compare_results(detected(tmp_path / "s.csv"), saved).figures()
    assert (figures.a, figures.b, figures.both) == (4, 1, 1)
    assert figures.scores is not None


def half_reviewed(path: Path, *more: dict[str, Any]) -> Path:
    """As the viewer saves it: one detection accepted, one rejected, and two that nobody looked at."""
    return write(
        path,
        feature(CELLS[0], CELL, score=0.9),
        feature(REJECTED, "Ignore*", score=0.8),
        feature(CELLS[1], CELL, "detection", 0.7),
        feature((1400, 400, 1440, 440), CELL, "detection", 0.6),
        *more,
    )


def test_what_nobody_decided_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    found = csv(tmp_path / "s.csv", [(CELLS[0], 0.9), (REJECTED, 0.8), (CELLS[1], 0.7), ((900, 9, 940, 49), 0.6)])
    truth = half_reviewed(tmp_path / "s.geojson")
    read = read_results(found, truth)
    (image,) = read.results
    assert image.truth.tolist() == [list(CELLS[0])]
    assert image.detections.boxes.tolist() == [list(CELLS[0]), list(REJECTED), [900, 9, 940, 49]]
    notes = "\n".join(read.notes)
    assert "Detections about which nobody decided, left out with the predictions on them: 2" in notes
    assert "Predictions left out, on detections about which nobody decided: 1" in notes
    figures = compare_results(found, truth).figures()
    assert (figures.a, figures.b, figures.both) == (3, 1, 1)


def test_a_reviewed_region_is_evaluated_as_a_whole(tmp_path: Path) -> None:
    """It is a normal image if there is neither a cell in it nor a detection about which nobody decided."""
    regions = [(0, 0, 250, 250), (450, 450, 600, 600), (1300, 300, 1500, 500), (900, 0, 1000, 100)]
    truth = half_reviewed(tmp_path / "s.geojson", *(feature(box, "Reviewed region") for box in regions))
    found = csv(tmp_path / "s.csv", [(CELLS[0], 0.9), (REJECTED, 0.8), (CELLS[1], 0.7), ((900, 9, 940, 49), 0.6)])
    results = read_results(found, truth).results
    assert [(len(image.truth), len(image.detections), image.normal) for image in results] == [
        (1, 1, False),
        (0, 1, True),
        (0, 0, False),
        (0, 1, True),
    ]


def test_images_with_geojson_leave_ignored_areas_out(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((700, 1700, 3), np.uint8)).save(tmp_path / "a.png")
    marked(tmp_path / "a.geojson")
    dataset = read_dataset(tmp_path, mpp=0.25)
    (image,) = dataset.images
    assert dataset.class_names == (CELL,)
    assert image.boxes.tolist() == [list(box) for box in CELLS]
    assert image.ignored.tolist() == [list(AREA)]


def test_slides_with_geojson_leave_ignored_areas_out(tmp_path: Path) -> None:
    add_tiff(tmp_path, "s.svs")
    write(
        tmp_path / "s.geojson",
        feature((0, 0, 900, 500), "Region*"),
        feature((20, 20, 60, 60)),
        feature((300, 0, 800, 300), "Ignore*"),
        feature((400, 100, 440, 140)),
    )
    images = read_dataset(tmp_path, mpp=0.25).images
    assert sum(len(image.boxes) for image in images) == 1
    assert all(image.ignored.tolist() for image in images)


def test_corrections_leave_ignored_areas_out_and_training_reads_them_back(tmp_path: Path) -> None:
    """Neither a cell nor a rejected object: a window with nothing but an ignored area becomes no normal image."""
    slide = make_slide(tmp_path / "s.png", size=(1700, 700))
    corrected = marked(tmp_path / "c.geojson", feature((1300, 300, 1340, 340), CELL, "detection", 0.9))
    added = add(tmp_path / "set", slide, corrected, window=900)
    assert (added.positives, added.normals, added.cells) == (1, 0, {CELL: 2})
    whole = add(tmp_path / "whole", slide, corrected, window=4000)
    assert whole.cells == {CELL: 2}
    (image,) = read_dataset(tmp_path / "whole").images
    assert image.ignored.tolist() == [list(AREA)]
    written = json.loads(next((tmp_path / "whole").glob("*-lv0-*.geojson")).read_text())
    assert written["features"][-1]["properties"]["classification"]["name"] == "Ignore*"


def test_an_ignored_area_cut_by_a_window_is_still_one(tmp_path: Path) -> None:
    """A sliver of it is narrower than a cell, and must not be read back as a rejected object."""
    slide = make_slide(tmp_path / "s.png", size=(1700, 700))
    corrected = write(tmp_path / "c.geojson", feature((100, 100, 140, 140)), feature((800, 0, 1600, 600), "Ignore*"))
    add(tmp_path / "set", slide, corrected, window=850)
    (image,) = read_dataset(tmp_path / "set").images
    assert (image.width, image.ignored.tolist()) == (850, [[800, 0, 1600, 600]])


# ---- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normal", [True, False])
def test_background_in_an_ignored_area_has_no_loss(normal: bool) -> None:
    boxes = [] if normal else [[20.0, 20.0, 70.0, 70.0]]
    plain = [crop(boxes, normal=normal), crop([], normal=True)]
    area = np.array([[40.0, 30.0, 500.0, 90.0]])
    spies = []
    logits, offsets, anchors = network()(stack(plain, 128))
    for crops in (plain, [replace(plain[0], ignored=area), plain[1]]):
        spy = Spy()
        batch_losses(spy, logits, offsets, anchors, make_batch(crops, 128))
        spies.append(spy)
    before, after = (spy.sources.reshape(2, len(anchors), -1) for spy in spies)
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2
    inside = (middle[:, 0] >= 40) & (middle[:, 0] < 500) & (middle[:, 1] >= 30) & (middle[:, 1] < 90)
    expected = before.clone()
    expected[0][inside[:, None] & (before[0] != Source.POSITIVE)] = Source.IGNORED
    assert torch.equal(after, expected)
    assert not torch.equal(after, before)
    assert torch.equal(spies[0].targets, spies[1].targets), "cells stay cells"


@pytest.mark.parametrize("seed", range(6))
def test_ignored_areas_follow_the_pixels_of_a_crop(tmp_path: Path, seed: int) -> None:
    pixels = np.full((420, 500, 3), 255, np.uint8)
    pixels[100:300, 150:350] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    write(tmp_path / "a.geojson", feature((150, 100, 350, 300), "Ignore*"), feature((20, 20, 60, 60)))
    (image,) = read_dataset(tmp_path, mpp=1.0).images
    options = TrainOptions(patch=400, crop=256, max_scale=1.3)
    made = cut_crop(
        np.random.default_rng(seed),
        ImageCache(),
        image,
        Patch(image=0, x=20, y=20, width=options.patch, height=options.patch),
        options,
    )
    x0, y0, x1, y1 = np.clip(made.ignored[0], 0, 256).round().astype(int)
    dark = made.pixels.mean(axis=2) < 128
    inside = np.zeros_like(dark)
    inside[y0:y1, x0:x1] = True
    assert (dark != inside).mean() < 0.02
    assert inside.any()

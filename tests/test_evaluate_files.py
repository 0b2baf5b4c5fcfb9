"""Pairing predictions with truth: folders, frames, classes, regions."""

from __future__ import annotations

import gzip
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from image_results import square
from PIL import Image
from run_records import MADE, made_record

from signetscan.annotations import boxes_xml
from signetscan.detections import Detections
from signetscan.errors import AnnotationError, ResultError
from signetscan.evaluation import TruthOptions, evaluate, images_of, read_results
from signetscan.evaluation.files import recorded_origin
from signetscan.evaluation.pairing import stem_of
from signetscan.formats.geojson import write_geojson
from signetscan.results.run_record import write_run_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.evaluation import ImageResult, ResultSet

CLASS = "Signet ring cell"
SLIDE = "2018_1_2019-02-25 21_57_36-lv0-{}-0-100-100"
"""Name of one of DigestPath's images, all of one slide."""


def xml(path: Path, boxes: Sequence[Sequence[float]], names: Sequence[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [CLASS] * len(boxes) if names is None else names
    path.write_bytes(boxes_xml(path.stem, (1000, 800), np.array(boxes, np.float64).reshape(-1, 4), names))
    return path


def csv(path: Path, *rows: str, head: str = "x0,y0,x1,y1,score,class") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def row(box: Sequence[float], score: float | str = 0.5, name: str = CLASS) -> str:
    return ",".join(map(str, [*box, score, name]))


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 100)).save(path)
    return path


def geojson_of(path: Path, *objects: tuple[Sequence[float], str, str]) -> Path:
    """A GeoJSON of boxes, each with its type of object and class."""
    features = []
    for (x0, y0, x1, y1), kind, name in objects:
        ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        properties: dict[str, Any] = {"objectType": kind}
        if name:
            properties["classification"] = {"name": name, "color": [1, 2, 3]}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def by_name(read: ResultSet) -> dict[str, ImageResult]:
    return {result.name: result for result in read.results}


def noted(read: ResultSet, *words: str) -> str:
    """The one note with all these words."""
    (line,) = [line for line in read.notes if all(word in line for word in words)]
    return line


def refused(
    predictions: Path, truth: Path, *said: str, class_name: str | None = None, full_truth: bool = False
) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_results(predictions, truth, TruthOptions(class_name=class_name, full_truth=full_truth))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in said), message


def test_detections_in_one_list_of_coco_are_refused_with_what_to_do(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    found.write_text('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.5}]')
    refused(
        found, xml(tmp_path / "a.xml", [square(0, 0)]), "found.json: COCO's list of detections", "a CSV for each image"
    )


# ---- folders and files ----------------------------------------------------------------------------------------------


def test_folders_are_paired_by_name_whatever_the_kind(tmp_path: Path) -> None:
    truth, found = tmp_path / "truth", tmp_path / "found"
    xml(truth / "a.xml", [square(0, 0)])
    csv(truth / "b.v2.csv", row(square(0, 0)))
    geojson_of(truth / "c.truth.geojson", (square(0, 0), "detection", CLASS))
    xml(truth / "empty.xml", [])
    xml(truth / "missed.xml", [square(0, 0)])
    found.mkdir()
    write_geojson(found / "a.geojson", one_detection(), (CLASS,), source="x")
    packed = geojson_of(found / "b.v2.geojson", (square(0, 0), "detection", CLASS))
    (found / "b.v2.geojson.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    xml(found / "c.xml", [square(0, 0)])
    csv(found / "empty.csv", row(square(0, 0)), row(square(100, 0)))
    csv(found / "lonely.csv", row(square(0, 0)))
    read = read_results(found, truth)
    results = by_name(read)
    assert list(results) == ["a", "b.v2", "c", "empty", "missed"]
    assert [result.normal for result in read.results] == [False, False, False, True, False]
    assert [len(result.detections) for result in read.results] == [1, 1, 1, 2, 0]
    assert [len(result.truth) for result in read.results] == [1, 1, 1, 0, 1]
    assert results["a"].detections.scores[0] == np.float32(0.9)
    assert noted(read, "left out, without truth").endswith(": 1, namely lonely.csv")
    assert noted(read, "without a file of predictions").endswith(": 1, namely missed")
    assert noted(read, "without a score").endswith(": 2, namely b.v2.geojson.gz, c.xml")
    assert evaluate(read.results, 0).recall == 0.75
    assert evaluate(read.results, 0).fps_score == 98


def one_detection() -> Detections:
    return Detections(
        boxes=np.array([square(0, 0)], np.float64), scores=np.array([0.9], np.float32), labels=np.zeros(1, np.int64)
    )


def test_two_files_belong_together_whatever_their_names(tmp_path: Path) -> None:
    read = read_results(csv(tmp_path / "mine.csv", row(square(0, 0))), xml(tmp_path / "yours.xml", [square(0, 0)]))
    assert len(read.results) == 1
    assert not read.notes


def test_one_file_against_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        xml(tmp_path / "truth" / f"{name}.xml", [square(0, 0)])
        csv(tmp_path / "found" / f"{name}.csv", row(square(0, 0)))
    read = read_results(tmp_path / "found" / "b.csv", tmp_path / "truth")
    assert list(by_name(read)) == ["b"]
    assert noted(read, "Truth of other images not used").endswith(": 2, namely a, c")
    read = read_results(tmp_path / "found", tmp_path / "truth" / "b.xml")
    assert list(by_name(read)) == ["b"]
    assert noted(read, "without truth").endswith(": 2, namely a.csv, c.csv")
    refused(csv(tmp_path / "d.csv"), tmp_path / "truth", "names here: d", "a, b, c")


def test_results_of_detect_are_taken_once(tmp_path: Path) -> None:
    """GeoJSON, CSV and run record lie side by side; metrics of an evaluation may lie there too."""
    geojson_of(tmp_path / "found" / "a.geojson", (square(0, 0), "detection", CLASS))
    csv(tmp_path / "found" / "a.csv", row(square(0, 0)))
    write_run_record(tmp_path / "found" / "a.run.json", made_record("a"))
    (tmp_path / "found" / "metrics.json").write_text("{}")
    (tmp_path / "found" / "notes.txt").write_text("text")
    (tmp_path / "found" / "._a.csv").write_text("of a Mac")
    read = read_results(tmp_path / "found", xml(tmp_path / "a.xml", [square(0, 0)]))
    assert [len(result.detections) for result in read.results] == [1]
    assert [line for line in read.notes if "score" not in line] == []


def test_of_two_files_for_an_image_one_is_taken_and_said(tmp_path: Path) -> None:
    xml(tmp_path / "truth" / "a.xml", [square(0, 0)])
    csv(tmp_path / "truth" / "a.csv", row(square(0, 0)), row(square(90, 0)))
    read = read_results(csv(tmp_path / "a.csv", row(square(0, 0))), tmp_path / "truth")
    assert len(read.results[0].truth) == 2
    assert noted(read, "with the same name").endswith("a.xml")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.geojson", "a"),
        ("a.truth.geojson", "a"),
        ("a b.c.GeoJSON.gz", "a b.c"),
        ("a.truth", "a"),
        ("a.csv", "a"),
        ("truth.xml", "truth"),
    ],
)
def test_names(tmp_path: Path, name: str, stem: str) -> None:
    assert stem_of(tmp_path / name) == stem


def test_what_is_not_there(tmp_path: Path) -> None:
    there = csv(tmp_path / "a.csv", row(square(0, 0)))
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "no", there, "no: no such file or folder")
    refused(there, tmp_path / "no", "no: no such file or folder")
    refused(there, tmp_path / "empty", "empty: has no file of boxes")
    refused(tmp_path / "empty", there, "empty: has no file of boxes")
    (tmp_path / "a.txt").write_text("text")
    refused(tmp_path / "a.txt", there, "a.txt", ".geojson")
    refused(there, there, "only simulated data sets have the full truth", full_truth=True)


# ---- DigestPath -----------------------------------------------------------------------------------------------------


@pytest.fixture
def digestpath(tmp_path: Path) -> Path:
    """Two positive images of one slide, one of which lacks a box, and three normal ones."""
    root = tmp_path / "data" / "Signet_ring_cell_dataset"
    for number in (1, 2):
        stem = SLIDE.format(number)
        picture(root / "sig-train-pos" / f"{stem}.jpeg")
        xml(root / "sig-train-pos" / f"{stem}.xml", [square(0, 0)], ["ring_cell"])
        xml(root / "truth" / f"{stem}.xml", [square(0, 0), square(200, 0)])
    for number in (3, 4, 5):
        picture(root / "sig-train-neg" / f"{SLIDE.format(number).replace('2018_1', f'2018_{number}')}.jpeg")
    return tmp_path / "data"


def test_a_digestpath_folder(tmp_path: Path, digestpath: Path) -> None:
    found = tmp_path / "found"
    csv(found / f"{SLIDE.format(1)}.csv", row(square(0, 0)), row(square(200, 0)))
    csv(found / "2018_3_2019-02-25 21_57_36-lv0-3-0-100-100.csv", row(square(0, 0)))
    read = read_results(found, digestpath)
    assert [(len(one.truth), len(one.detections), one.normal, one.slide) for one in read.results] == [
        (1, 2, False, "2018_1"),
        (1, 0, False, "2018_1"),
        (0, 1, True, "2018_3"),
        (0, 0, True, "2018_4"),
        (0, 0, True, "2018_5"),
    ]
    assert "2, namely 2018_4" in noted(read, "Normal images without a file of predictions")
    assert [line for line in read.notes if line.startswith("Images without")] == [
        f"Images without a file of predictions, taken for ones without any detection: 1, namely {SLIDE.format(2)}"
    ]
    full = read_results(found, digestpath, TruthOptions(full_truth=True))
    assert [len(one.truth) for one in full.results] == [2, 2, 0, 0, 0]


def test_a_positive_image_stays_one_without_a_box(tmp_path: Path, digestpath: Path) -> None:
    folder = digestpath / "Signet_ring_cell_dataset" / "sig-train-pos"
    xml(folder / f"{SLIDE.format(1)}.xml", [])
    read = read_results(csv(tmp_path / "found" / f"{SLIDE.format(1)}.csv").parent, digestpath)
    assert [one.normal for one in read.results] == [False, False, True, True, True]


def test_broken_digestpath_folders(tmp_path: Path, digestpath: Path) -> None:
    found = csv(tmp_path / "found" / f"{SLIDE.format(1)}.csv", row(square(0, 0))).parent
    root = digestpath / "Signet_ring_cell_dataset"
    both = picture(root / "sig-train-neg" / f"{SLIDE.format(1)}.png")
    refused(found, digestpath, "is in both")
    both.unlink()
    (root / "sig-train-pos" / f"{SLIDE.format(2)}.xml").unlink()
    refused(found, digestpath, "without an .xml (1)", SLIDE.format(2))
    for path in (root / "truth").iterdir():
        path.unlink()
    (root / "truth").rmdir()
    refused(found, digestpath, "no such folder", full_truth=True)


# ---- classes --------------------------------------------------------------------------------------------------------


def test_one_class_is_chosen_of_several(tmp_path: Path) -> None:
    boxes = [square(0, 0), square(100, 0), square(200, 0)]
    truth = xml(tmp_path / "truth.xml", boxes, [CLASS, "Goblet cell", ""])
    found = csv(tmp_path / "found.csv", row(boxes[0], 0.9), row(boxes[1], 0.8, "Goblet cell"), row(boxes[2], 0.7, ""))
    refused(found, truth, "2 classes: Goblet cell, Signet ring cell; choose one")
    read = read_results(found, truth, TruthOptions(class_name="  goblet CELL"))
    (result,) = read.results
    assert result.truth.tolist() == result.detections.boxes.tolist() == [boxes[1]]
    assert read.class_name == "goblet CELL"
    for what in (f"Objects of the class {CLASS} left out", "Objects without a class left out"):
        assert noted(read, what).endswith(": 2, namely found.csv, truth.xml")
    refused(found, truth, "no object of the class 'Mitosis'", "Goblet cell, Signet ring cell", class_name="Mitosis")


def test_objects_without_a_class_count_where_none_has_one(tmp_path: Path) -> None:
    truth = csv(tmp_path / "t.csv", "0,0,50,50", head="x0,y0,x1,y1")
    found = csv(tmp_path / "f.csv", row(square(0, 0)))
    for class_name in (None, CLASS):
        (result,) = read_results(found, truth, TruthOptions(class_name=class_name)).results
        assert (len(result.truth), len(result.detections)) == (1, 1)


def test_names_that_differ_are_said(tmp_path: Path) -> None:
    truth = xml(tmp_path / "t.xml", [square(0, 0)], ["src"])
    read = read_results(csv(tmp_path / "f.csv", row(square(0, 0))), truth)
    assert evaluate(read.results, 0).recall == 1
    assert noted(read, "taken for the same").endswith(f"{CLASS} and src")
    same = read_results(csv(tmp_path / "f.csv", row(square(0, 0), name="SRC")), truth)
    assert not same.notes
    other = read_results(csv(tmp_path / "f.csv", row(square(0, 0))), truth, TruthOptions(class_name="src"))
    assert evaluate(other.results, 0).recall == 0
    assert CLASS in noted(other, "No prediction of the class src")


# ---- slides and regions ---------------------------------------------------------------------------------------------


def test_regions_are_the_images_of_a_slide(tmp_path: Path) -> None:
    truth = geojson_of(
        tmp_path / "s.truth.geojson",
        ([0, 0, 200, 200], "annotation", "Positive region"),
        ([200, 0, 400, 200], "annotation", "Normal region"),
        ([0, 300, 200, 500], "annotation", "Region*"),
        ([0, 500, 200, 700], "annotation", "normal"),
        (square(10, 310), "detection", "Region"),  # no annotation: an object of this class
        (square(10, 10), "detection", CLASS),
        (square(180, 10, 38), "detection", CLASS),  # its centre, at 199, is in the first
        (square(600, 10), "detection", CLASS),
    )
    found = csv(
        tmp_path / "s.csv",
        row(square(10, 10), 0.9),
        row(square(182, 10, 40), 0.8),  # its centre, at 202, is in the second
        row(square(700, 10)),
        row(square(800, 10)),
    )
    read = read_results(found, truth, TruthOptions(class_name=CLASS))
    assert [(one.name, len(one.truth), len(one.detections), one.normal) for one in read.results] == [
        ("s, region 1", 2, 1, False),
        ("s, region 2", 0, 1, True),
        ("s, region 3", 0, 0, False),
        ("s, region 4", 0, 0, True),
    ]
    assert {one.slide for one in read.results} == {"s"}
    assert noted(read, "Predictions left out, outside all regions").endswith(": 2, namely s.csv (2)")
    assert noted(read, "Cells of the truth left out, outside all regions").endswith("1, namely s.truth.geojson")
    scores = evaluate(read.results, 0)
    assert (scores.recall, scores.precision, scores.fps_score) == (0.5, 1, 99.5)


def test_a_cell_in_a_normal_region_is_refused(tmp_path: Path) -> None:
    truth = geojson_of(
        tmp_path / "s.geojson",
        ([100, 0, 300, 200], "annotation", "Normal region"),
        (square(110, 10), "detection", CLASS),
    )
    refused(
        csv(tmp_path / "s.csv", row(square(0, 0))), truth, str(truth), "normal region at (100, 0) px has cells in it: 1"
    )


def test_a_slide_without_regions_is_one_image(tmp_path: Path) -> None:
    truth = geojson_of(tmp_path / "s.geojson", (square(110, 10), "annotation", CLASS))
    (result,) = read_results(csv(tmp_path / "s.csv", row(square(0, 0))), truth).results
    assert (result.name, result.normal, len(result.truth), len(result.detections)) == ("s", False, 1, 1)


def test_annotations_without_a_class_around_cells_are_regions(tmp_path: Path) -> None:
    """As QuPath's users draw them, and as training takes them."""
    truth = geojson_of(
        tmp_path / "s.geojson",
        ([0, 0, 200, 200], "annotation", ""),
        ([900, 900, 950, 950], "annotation", ""),
        (square(10, 10), "detection", CLASS),
    )
    read = read_results(csv(tmp_path / "s.csv", row(square(10, 10)), row(square(500, 500))), truth)
    (result,) = read.results
    assert (len(result.truth), len(result.detections)) == (1, 1)
    assert noted(read, "taken for regions").endswith("1, namely s.geojson")
    # Where nothing has a class they are the cells.
    only = geojson_of(tmp_path / "t.geojson", (square(10, 10), "annotation", ""))
    (result,) = read_results(csv(tmp_path / "t.csv", row(square(10, 10))), only).results
    assert len(result.truth) == 1


def test_images_of_a_slide_in_memory() -> None:
    from signetscan.annotations import Region

    region = Region(rings=(np.array([[0.0, 0], [100, 0], [100, 100], [0, 100]]),), normal=False)
    cells = np.array([square(0, 0), square(200, 0)], np.float64)
    (result,) = images_of(one_detection(), cells, [region], slide="s")
    assert (len(result.detections), result.truth.tolist()) == (1, [square(0, 0)])


# ---- frames ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cropped(tmp_path: Path) -> Path:
    """A folder of results whose GeoJSON counts from the slide's bounds at (1000, 70); the CSV does not."""
    folder = tmp_path / "found"
    folder.mkdir()
    whole = one_detection().with_boxes(np.array([square(1100, 170)], np.float64))
    write_geojson(folder / "s.geojson", whole, (CLASS,), source="x", origin=(1000, 70))
    csv(folder / "s.csv", row(square(1100, 170)))
    write_run_record(folder / "s.run.json", made_record(origin=(1000, 70)))
    return folder


@pytest.mark.parametrize("predictions", ["", "s.geojson", "s.csv"])
@pytest.mark.parametrize("kind", ["geojson of QuPath", "geojson of level 0", "xml"])
def test_all_frames_meet_in_level_0(tmp_path: Path, cropped: Path, predictions: str, kind: str) -> None:
    cell = square(100, 100) if kind == "geojson of QuPath" else square(1100, 170)
    if kind == "xml":
        truth = xml(tmp_path / "s.xml", [cell])
    else:
        around = [cell[0] - 50, cell[1] - 50, cell[0] + 100, cell[1] + 100]
        truth = geojson_of(
            tmp_path / "s.truth.geojson", (around, "annotation", "Positive region"), (cell, "cell", CLASS)
        )
    read = read_results(
        cropped / predictions, truth, TruthOptions(truth_origin="level0" if kind == "geojson of level 0" else "bounds")
    )
    (result,) = read.results
    assert result.truth.tolist() == result.detections.boxes.tolist() == [square(1100, 170)]
    moved = predictions != "s.csv" or kind == "geojson of QuPath"
    assert bool([line for line in read.notes if "slide's bounds" in line and "x 1000, y 70" in line]) == moved


def test_records_that_cannot_be_understood(cropped: Path) -> None:
    record = cropped / "s.run.json"
    for content in ("", "[]", "{}", '{"geojson_origin_px": [1]}', '{"geojson_origin_px": ["1", 2]}', "[" * 10**5):
        record.write_text(content)
        with pytest.raises(ResultError, match=re.escape(str(record))):
            recorded_origin(cropped / "s.geojson")
    record.write_text(json.dumps(MADE.to_json() | {"geojson_origin_px": [math.nan, 2]}))
    with pytest.raises(ResultError, match=r"not a run record.*geojson_origin_px"):
        recorded_origin(cropped / "s.geojson")
    record.unlink()
    assert recorded_origin(cropped / "s.geojson") == (0, 0)


# ---- what cannot be judged ------------------------------------------------------------------------------------------


def test_scores_out_of_range(tmp_path: Path) -> None:
    truth = xml(tmp_path / "t.xml", [square(0, 0)])
    for score in ("1.01", "-0.5", "87"):
        found = csv(tmp_path / "f.csv", row(square(0, 0)), row(square(0, 0), score))
        refused(found, truth, str(found), f"a score of {score}", "from 0 to 1")


def test_objects_without_an_area_are_counted(tmp_path: Path) -> None:
    truth = csv(tmp_path / "t.csv", "0,0,50,50", "5,5,5,5", "50,0,0,50", "0,0,50,0", head="x0,y0,x1,y1")
    read = read_results(csv(tmp_path / "f.csv", row(square(0, 0)), row([9, 9, 9, 9])), truth)
    (result,) = read.results
    assert (len(result.truth), len(result.detections)) == (1, 1)
    assert noted(read, "without an area").endswith("4, namely f.csv, t.csv (3)")


def test_what_the_reader_leaves_out_is_said(tmp_path: Path) -> None:
    truth = geojson_of(tmp_path / "t.geojson", (square(0, 0), "cell", CLASS), (square(0, 0), "tile", CLASS))
    found = geojson_of(tmp_path / "f.geojson", (square(0, 0), "annotation", "Region"), (square(0, 0), "cell", CLASS))
    read = read_results(found, truth)
    assert noted(read, "tile objects").endswith("1, namely t.geojson")
    assert noted(read, "Regions in predictions not used").endswith("1, namely f.geojson")

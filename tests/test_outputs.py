from __future__ import annotations

import csv
import json
import re
import uuid
from typing import IO, TYPE_CHECKING, Any

import geojson
import numpy as np
import pytest
from conftest import BlobDetector
from hypothesis import given
from hypothesis import strategies as st

from signetscan.detect import DetectOptions, detect_slide
from signetscan.detections import Detections
from signetscan.errors import OutputError
from signetscan.outputs.atomic import atomic_text, make_folder
from signetscan.outputs.geojson import write_geojson
from signetscan.outputs.results import write_results
from signetscan.outputs.table import COLUMNS, write_csv
from signetscan.slides import ArraySlide, Bounds, Mpp

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("Signet ring cell", "Goblet cell")


def some_detections(count: int = 5, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 200_000, (count, 2)).round(2)
    return Detections(
        boxes=np.concatenate([corner, corner + rng.uniform(0.01, 90, (count, 2))], axis=1).round(2),
        scores=rng.random(count).astype(np.float32),
        labels=rng.integers(0, 2, count),
    )


def check_as_qupath_would(feature: dict[str, Any]) -> None:
    """The rules of QuPath's reader (GsonTools, QuPathTypeAdapters, ROITypeAdapters; 0.4 to 0.7)."""
    assert feature["type"] == "Feature"
    uuid.UUID(feature["id"])
    properties = feature["properties"]
    assert properties["objectType"] == "detection"
    classification = properties["classification"]
    assert set(classification) == {"name", "color"}, "a name without a colour aborts the import"
    assert all(isinstance(part, int) and 0 <= part <= 255 for part in classification["color"])
    assert len(classification["color"]) == 3
    assert all(isinstance(value, int | float) for value in properties["measurements"].values())
    assert feature["geometry"]["type"] == "Polygon"
    (ring,) = feature["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    xs, ys = zip(*ring, strict=True)
    assert max(xs) - min(xs) >= 0.009
    assert max(ys) - min(ys) >= 0.009


def read_features(path: Path) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return features


def test_geojson_is_what_qupath_reads(tmp_path: Path) -> None:
    found = some_detections(50)
    write_geojson(tmp_path / "a.geojson", found, NAMES, source="slide:model")
    collection = geojson.loads((tmp_path / "a.geojson").read_text())
    assert collection.is_valid, collection.errors()
    for feature, box, score, label in zip(collection["features"], found.boxes, found.scores, found.labels, strict=True):
        check_as_qupath_would(feature)
        ring = np.array(feature["geometry"]["coordinates"][0])
        np.testing.assert_allclose([*ring.min(axis=0), *ring.max(axis=0)], box, atol=0.0051)
        assert feature["properties"]["measurements"]["Score"] == pytest.approx(score, abs=1e-4)
        assert feature["properties"]["classification"]["name"] == NAMES[label]


def test_geojson_of_nothing_is_valid(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", Detections.empty(), NAMES, source="x")
    collection = geojson.loads((tmp_path / "a.geojson").read_text())
    assert collection == {"type": "FeatureCollection", "features": []}


def test_geojson_counts_from_the_bounds(tmp_path: Path) -> None:
    found = some_detections(3)
    write_geojson(tmp_path / "all.geojson", found, NAMES, source="x")
    write_geojson(tmp_path / "cropped.geojson", found, NAMES, source="x", origin=(1000, 70))
    for whole, cropped in zip(
        read_features(tmp_path / "all.geojson"), read_features(tmp_path / "cropped.geojson"), strict=True
    ):
        shift = np.array(whole["geometry"]["coordinates"]) - np.array(cropped["geometry"]["coordinates"])
        np.testing.assert_allclose(shift.reshape(-1, 2), np.broadcast_to((1000, 70), (5, 2)), atol=0.011)
        assert whole["id"] == cropped["id"]


def test_ids_are_stable_and_depend_on_slide_and_model(tmp_path: Path) -> None:
    found = some_detections(200)

    def ids(source: str, detections: Detections) -> list[str]:
        write_geojson(tmp_path / "a.geojson", detections, NAMES, source=source)
        return [feature["id"] for feature in read_features(tmp_path / "a.geojson")]

    first = ids("slide:model", found)
    assert len(set(first)) == len(found)
    assert ids("slide:model", found) == first
    assert not set(ids("slide:other model", found)) & set(first)
    # A higher threshold drops detections; the ids of the rest stay.
    assert ids("slide:model", found.select(np.arange(100))) == first[:100]


@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2))
def test_hostile_class_names_stay_data(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("names") / "a.geojson"
    found = some_detections(3)
    names = [name.encode("utf-8", "replace").decode() for name in names]
    write_geojson(path, found, names, source="x")
    got = [feature["properties"]["classification"]["name"] for feature in read_features(path)]
    assert got == [names[label] for label in found.labels]


def test_csv_holds_pixels_and_um(tmp_path: Path) -> None:
    found = some_detections(20)
    write_csv(tmp_path / "a.csv", found, NAMES, source="slide:model", mpp=Mpp(0.25, 0.5, "--mpp"))
    write_geojson(tmp_path / "a.geojson", found, NAMES, source="slide:model")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["id"] for row in rows] == [feature["id"] for feature in read_features(tmp_path / "a.geojson")]
    for row, (x0, y0, x1, y1), score in zip(rows, found.boxes, found.scores, strict=True):
        assert [float(row[name]) for name in ("x0_px", "y0_px", "x1_px", "y1_px")] == [x0, y0, x1, y1]
        assert float(row["centre_x_um"]) == pytest.approx((x0 + x1) / 2 * 0.25, abs=1e-3)
        assert float(row["centre_y_um"]) == pytest.approx((y0 + y1) / 2 * 0.5, abs=1e-3)
        assert float(row["width_um"]) == pytest.approx((x1 - x0) * 0.25, abs=1e-3)
        assert float(row["height_um"]) == pytest.approx((y1 - y0) * 0.5, abs=1e-3)
        assert float(row["score"]) == pytest.approx(score, abs=1e-4)


def test_results_of_a_slide_with_bounds(tmp_path: Path) -> None:
    image = np.full((600, 800, 3), 252, np.uint8)
    image[300:340, 400:440] = 40
    slide = ArraySlide([image], mpp=0.25, name="a slide", bounds=Bounds(100, 50, 600, 500))
    options = DetectOptions.for_model(BlobDetector(), use_tissue_mask=False)
    result = detect_slide(slide, BlobDetector(), options)
    cropped = write_results(tmp_path, slide, BlobDetector(), result)
    record = json.loads(cropped["record"].read_text())
    assert record["geojson_origin_px"] == [100, 50]
    assert record["slide"]["mpp"] == {"x": 0.25, "y": 0.25, "source": "--mpp"}
    assert record["detections"] == {"Signet ring cell": 1}
    assert record["files"] == {"geojson": "a slide.geojson", "csv": "a slide.csv", "record": "a slide.run.json"}
    assert record["options"]["tile_size"] == 256
    assert (record["model"]["sha256"], record["provider"]) == ("0" * 64, "CPUExecutionProvider")
    (feature,) = read_features(cropped["geojson"])
    assert np.array(feature["geometry"]["coordinates"][0]).min(axis=0) == pytest.approx((300, 250), abs=0.3)
    whole = write_results(tmp_path, slide, BlobDetector(), result, crop_to_bounds=False)
    assert json.loads(whole["record"].read_text())["geojson_origin_px"] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a slide.csv", "a slide.geojson", "a slide.run.json"]


def fail_half_way(file: IO[str]) -> None:
    file.write("half")
    raise ZeroDivisionError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), atomic_text(path) as file:
        fail_half_way(file)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_text(path) as file:
        file.write("after")
    assert path.read_text() == "after"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=re.escape(str(tmp_path / "file"))):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match=r"file.*another folder"):
        make_folder(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match=r"nowhere"), atomic_text(tmp_path / "nowhere" / "a.txt") as file:
        file.write("never")

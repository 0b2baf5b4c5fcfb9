from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import tracemalloc
import uuid
from typing import IO, TYPE_CHECKING, Any

import geojson
import numpy as np
import pytest
from conftest import BlobDetector
from hypothesis import given
from hypothesis import strategies as st

from signetscan.atomic import atomic_text, make_folder
from signetscan.detections import Detections
from signetscan.errors import OutputError
from signetscan.formats import blocks as rows
from signetscan.formats.csv_file import COLUMNS, write_csv
from signetscan.formats.geojson import write_geojson
from signetscan.formats.result_files import RECORD_SUFFIX, SUFFIXES, USUAL_FORMATS
from signetscan.results.run_record import read_run_record
from signetscan.results.writing import write_results
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, Bounds, Mpp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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


def plain_ids(found: Detections, names: Sequence[str], source: str) -> list[str]:
    base = uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "https://signetscan/detection"), source)
    return [
        str(uuid.uuid5(base, f"{names[label]}:{','.join(f'{edge:.2f}' for edge in box)}"))
        for box, label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True)
    ]


def plain_geojson(found: Detections, names: Sequence[str], source: str, origin: tuple[int, int]) -> str:
    """The file as the geojson package writes it, one feature after another."""
    features = []
    colours = [(227, 26, 28), (31, 120, 180), (51, 160, 44), (255, 127, 0), (106, 61, 154), (177, 89, 40)]
    ids = plain_ids(found, names, source)
    for identity, box, score, label in zip(ids, found.boxes, found.scores, found.labels, strict=True):
        x0, y0, x1, y1 = (box - np.array(origin * 2)).tolist()
        feature = geojson.Feature(
            id=identity,
            geometry=geojson.Polygon([[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]], precision=2),
            properties={
                "objectType": "detection",
                "classification": {"name": names[label], "color": list(colours[label % 6])},
                "measurements": {"Score": round(float(score), 4)},
            },
        )
        features.append("\n" + geojson.dumps(feature, separators=(",", ":")))
    return '{"type":"FeatureCollection","features":[' + ",".join(features) + "\n]}\n"


def plain_csv(found: Detections, names: Sequence[str], source: str, mpp: Mpp) -> str:
    """The table as the csv package writes it, one row after another."""

    def line(fields: Iterable[str]) -> str:
        # With an end of "\n" the package leaves a name with a "\r" unquoted, which no parser reads as one field.
        file = io.StringIO()
        csv.writer(file, lineterminator="\r\n").writerow(fields)
        return file.getvalue()[:-2] + "\n"

    lines = [line(COLUMNS)]
    ids = plain_ids(found, names, source)
    for identity, box, score, label in zip(ids, found.boxes.tolist(), found.scores, found.labels, strict=True):
        x0, y0, x1, y1 = box
        um = ((x0 + x1) / 2 * mpp.x, (y0 + y1) / 2 * mpp.y, (x1 - x0) * mpp.x, (y1 - y0) * mpp.y)
        pixels = [f"{edge:.2f}" for edge in box]
        name = names[label]
        safe = "'" + name if name and name[0] in "=+-@\t\r\n" else name  # what spreadsheets take for a formula
        lines.append(line([identity, safe, f"{score:.4f}", *pixels, *(f"{length:.3f}" for length in um)]))
    return "".join(lines)


MARKS = ["%s", "100 %", "%%", "%(x)s", "{0}", "<x>", "<classification>", '"<score>"']
ODD = ['a, "b"', "=1+1", "@x", "-1", "\t=1", "x\ny", "\r", " ", "\0"]
CLASS_NAMES = st.sampled_from(MARKS + ODD) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
EDGES = (
    st.floats(-1e6, 1e6)
    | st.integers(-2000, 2000).map(lambda n: n / 1000)  # halves of the last decimal, and zeros below and above 0
    | st.integers(0, 20_000_000).map(lambda n: n / 100)
    | st.sampled_from([-0.0, 0.005, 0.285, 1.115, 99_999.995, 100.0, 2.675])
)
SCORES = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, 0.5, 0.05, 0.12345, 0.00005, 0.99995, 0.101, 0.1])


@given(
    names=st.lists(CLASS_NAMES, min_size=8, max_size=8),
    table=st.lists(st.tuples(EDGES, EDGES, EDGES, EDGES, SCORES, st.integers(0, 7)), max_size=12),
    origin=st.sampled_from([(0, 0), (1003, 0), (0, 77), (-5, 100_000)]),
    source=st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    at_once=st.integers(1, 13),
)
def test_files_are_those_of_the_plain_writers(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    table: list[tuple[float, float, float, float, float, int]],
    origin: tuple[int, int],
    source: str,
    at_once: int,
) -> None:
    """Byte for byte, whatever the names and numbers, and however many blocks."""
    folder = tmp_path_factory.getbasetemp()
    values = np.array(table, np.float64).reshape(-1, 6)
    found = Detections(
        boxes=values[:, :4], scores=values[:, 4].astype(np.float32), labels=values[:, 5].astype(np.int64)
    )
    mpp = Mpp(0.2527, 0.2531)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "ROWS_AT_ONCE", at_once)
        write_geojson(folder / "same.geojson", found, names, source=source, origin=origin)
        write_csv(folder / "same.csv", found, names, source=source, mpp=mpp)
    assert (folder / "same.geojson").read_bytes() == plain_geojson(found, names, source, origin).encode()
    assert (folder / "same.csv").read_bytes() == plain_csv(found, names, source, mpp).encode()


def test_files_of_several_blocks_are_those_of_the_plain_writers(tmp_path: Path) -> None:
    found = some_detections(2 * rows.ROWS_AT_ONCE + 1)
    mpp = Mpp(0.25, 0.5)
    write_geojson(tmp_path / "a.geojson", found, NAMES, source="slide:model", origin=(1003, 77))
    write_csv(tmp_path / "a.csv", found, NAMES, source="slide:model", mpp=mpp)
    assert (tmp_path / "a.geojson").read_text() == plain_geojson(found, NAMES, "slide:model", (1003, 77))
    assert (tmp_path / "a.csv").read_text() == plain_csv(found, NAMES, "slide:model", mpp)


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 256)

    def most_held(count: int) -> int:
        found = some_detections(count)
        tracemalloc.start()
        write_geojson(tmp_path / "a.geojson", found, NAMES, source="x")
        write_csv(tmp_path / "a.csv", found, NAMES, source="x", mpp=Mpp(0.25, 0.25))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held

    most_held(1)  # what is loaded and kept at the first call
    assert most_held(10_240) < 1.2 * most_held(1024)


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
    write_csv(tmp_path / "a.csv", found, NAMES, source="slide:model", mpp=Mpp(0.25, 0.5))
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
    options = ScanOptions(tissue_mask=False)
    result = detect_slide(slide, BlobDetector(), options)
    suffixes = {name: SUFFIXES[name] for name in USUAL_FORMATS} | {"record": RECORD_SUFFIX}
    cropped = {name: tmp_path / f"a slide{suffix}" for name, suffix in suffixes.items()}
    write_results(tmp_path / "a slide", slide, BlobDetector(), result)
    record = json.loads(cropped["record"].read_text())
    assert record["geojson_origin_px"] == [100, 50]
    assert record["slide"]["mpp"] == {"x": 0.25, "y": 0.25, "source": "given by the user"}
    assert record["detections"] == {"Signet ring cell": 1}
    assert record["files"] == {
        kind: {
            "name": f"a slide.{kind}",
            "bytes": cropped[kind].stat().st_size,
            "sha256": hashlib.sha256(cropped[kind].read_bytes()).hexdigest(),
        }
        for kind in ("geojson", "csv")
    }
    assert record["options"]["tile_size"] == 256
    assert (record["model"]["sha256"], record["provider"]) == ("0" * 64, "CPUExecutionProvider")
    (feature,) = read_features(cropped["geojson"])
    assert np.array(feature["geometry"]["coordinates"][0]).min(axis=0) == pytest.approx((300, 250), abs=0.3)
    whole = write_results(tmp_path / "a slide", slide, BlobDetector(), result, crop_to_bounds=False)
    assert json.loads(cropped["record"].read_text())["geojson_origin_px"] == [0, 0]
    assert whole.record == read_run_record(cropped["record"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a slide.csv", "a slide.geojson", "a slide.run.json"]


def fail_half_way(file: IO[str]) -> None:
    file.write("half")
    raise ZeroDivisionError


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=f"there is no folder {tmp_path / 'gone'}"),
        atomic_text(tmp_path / "gone" / "a"),
    ):
        pass


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

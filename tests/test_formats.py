"""Every format of results, read back by readers that are not ours."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pytest
import shapely
from defusedxml import ElementTree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from run_records import MADE
from scanned_slides import many, scanned, scanned_slides

from signetscan.annotations import read_annotations
from signetscan.errors import OutputError
from signetscan.formats import blocks as rows
from signetscan.formats import csv_file
from signetscan.formats.asap import write_asap
from signetscan.formats.csv_file import COLUMNS
from signetscan.formats.imagescope import write_imagescope
from signetscan.formats.parquet import write_parquet
from signetscan.formats.result_files import READABLE_FORMATS, SUFFIXES
from signetscan.formats.writers import WRITERS, write_formats
from signetscan.results.reading import load_result
from signetscan.results.record_parts import ResultFile
from signetscan.results.run_record import write_run_record
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.formats.scanned_slide import ScannedSlide

    Table = list[tuple[Any, ...]]
    """Class name, score and box of each detection."""

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def expected(slide: ScannedSlide, names: list[str] | None = None) -> Table:
    found = slide.detections
    called = slide.class_names if names is None else names
    columns = (found.labels.tolist(), found.scores.tolist(), found.boxes.tolist())
    return [
        (called[label], pytest.approx(score, abs=5e-5), tuple(pytest.approx(edge, abs=1e-6) for edge in box))
        for label, score, box in zip(*columns, strict=True)
    ]


def of_parquet(path: Path) -> Table:
    table = parquet.read_table(path).to_pydict()
    polygons = [shapely.from_wkb(geometry) for geometry in table["geometry"]]
    assert all(polygon.is_valid and polygon.equals(polygon.envelope) for polygon in polygons)
    return list(zip(table["class"], table["score"], [polygon.bounds for polygon in polygons], strict=True))


def box_of(corners: list[tuple[float, float]]) -> tuple[float, ...]:
    """The box of a ring of four corners, which is not closed by a fifth."""
    (left, top), (right, above), (same, bottom), last = corners
    assert (above, same, last) == (top, right, (left, bottom))
    assert left < right
    assert top < bottom
    return left, top, right, bottom


def of_asap(path: Path) -> Table:
    root = ElementTree.parse(path).getroot()
    assert root is not None
    assert [child.tag for child in root] == ["Annotations", "AnnotationGroups"]
    groups = {group.get("Name"): group.get("Color") for group in root[1]}
    assert len(groups) == len(root[1])
    assert all(group.get("PartOfGroup") == "None" for group in root[1])
    table: Table = []
    for number, annotation in enumerate(root[0], start=1):
        assert set(annotation.attrib) == {"Name", "Type", "PartOfGroup", "Color"}
        assert annotation.get("Type") == "Polygon"
        assert annotation.get("Color") == groups[annotation.get("PartOfGroup")]
        assert re.fullmatch("#[0-9A-F]{6}", annotation.get("Color", ""))
        (coordinates,) = annotation
        assert [point.get("Order") for point in coordinates] == list("0123")
        shown = re.fullmatch(r"(\d+) \(score ([\d.]+)\)", annotation.get("Name", ""))
        assert shown is not None
        assert int(shown[1]) == number
        box = box_of([(float(point.get("X", "")), float(point.get("Y", ""))) for point in coordinates])
        table.append((annotation.get("PartOfGroup", ""), float(shown[2]), box))
    return table


def of_imagescope(path: Path) -> Table:
    root = ElementTree.parse(path).getroot()
    assert root is not None
    assert root.tag == "Annotations"
    table: Table = []
    for number, layer in enumerate(root, start=1):
        assert (layer.tag, layer.get("Id"), layer.get("Type")) == ("Annotation", str(number), "4")
        assert 0 <= int(layer.get("LineColor", "")) < 1 << 24
        regions = layer.findall("Regions/Region")
        assert [region.get("Id") for region in regions] == [str(index + 1) for index in range(len(regions))]
        for region in regions:
            assert (region.get("Type"), region.get("NegativeROA")) == ("0", "0")
            vertices = region.findall("Vertices/Vertex")
            *corners, last = [(float(vertex.get("X", "")), float(vertex.get("Y", ""))) for vertex in vertices]
            assert last == corners[0], "ASAP joins an open ring to the next"
            shown = re.fullmatch(r"(\d+) \(score ([\d.]+)\)", region.get("Text", ""))
            assert shown is not None
            assert shown[1] == region.get("Id")
            table.append((layer.get("Name", ""), float(shown[2]), box_of(corners)))
    return table


def as_xml_holds(slide: ScannedSlide) -> list[str]:
    return [NOT_XML.sub("\ufffd", name) for name in slide.class_names]


def test_each_format_has_an_ending_and_a_writer() -> None:
    assert WRITERS.keys() == SUFFIXES.keys()
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(scanned_slides())
def test_what_other_readers_find_is_what_was_written(tmp_path: Path, slide: ScannedSlide) -> None:
    """To the last decimal, in the order given, whatever the classes are called."""
    write_formats({name: tmp_path / name for name in ("parquet", "asap", "imagescope")}, slide)
    assert of_parquet(tmp_path / "parquet") == expected(slide)
    names = as_xml_holds(slide)
    if len(set(names)) == len(names) and "None" not in names:
        assert of_asap(tmp_path / "asap") == expected(slide, names)
        order = np.argsort(slide.detections.labels, kind="stable")
        table = expected(slide, names)
        assert of_imagescope(tmp_path / "imagescope") == [table[index] for index in order]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(scanned_slides(), st.sampled_from(READABLE_FORMATS), st.sampled_from([(0, 0), (1003, 77)]))
def test_what_is_read_back_is_what_was_found_whatever_the_classes_are_called(
    tmp_path: Path, slide: ScannedSlide, kind: str, origin: tuple[int, int]
) -> None:
    """Unless two differ in nothing but the blanks around them, which a record's reader refuses."""
    path = tmp_path / f"a{SUFFIXES[kind]}"
    slide = replace(slide, origin=origin)
    write_formats({kind: path}, slide)
    counts = {name: slide.detections.labels.tolist().count(label) for label, name in enumerate(slide.class_names)}
    record = replace(
        MADE,
        model=replace(MADE.model, class_names=slide.class_names),
        geojson_origin=origin,
        detections=counts,
        files={kind: ResultFile.of(path)},
    )
    write_run_record(tmp_path / "a.run.json", record)
    if len({name.strip() for name in slide.class_names}) < len(slide.class_names):
        return
    found = load_result(tmp_path / "a.run.json").scanned.detections
    np.testing.assert_array_equal(found.boxes, slide.detections.boxes)
    np.testing.assert_array_equal(found.scores, slide.detections.scores)
    np.testing.assert_array_equal(found.labels, slide.detections.labels)


def test_groups_of_classes_that_xml_cannot_tell_apart_stay_apart(tmp_path: Path) -> None:
    box = (1.0, 2.0, 3.0, 4.0)
    slide = scanned([box] * 3, [0.5] * 3, [0, 1, 2], class_names=("a\x01", "a\x02", "None"))
    write_asap(tmp_path / "a", slide)
    assert [name for name, _, _ in of_asap(tmp_path / "a")] == ["a\ufffd", "a\ufffd (2)", "None (2)"]
    write_imagescope(tmp_path / "i", slide)
    assert [name for name, _, _ in of_imagescope(tmp_path / "i")] == ["a\ufffd", "a\ufffd (2)", "None"]


def test_colours_are_those_of_the_geojson(tmp_path: Path) -> None:
    slide = many(20, classes=2)
    write_formats({name: tmp_path / f"a.{name}" for name in ("geojson", "asap", "imagescope")}, slide)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    shown = {feature["properties"]["classification"]["name"]: feature["properties"] for feature in features}
    rgb = {name: properties["classification"]["color"] for name, properties in shown.items()}
    groups = ElementTree.parse(tmp_path / "a.asap").iterfind("AnnotationGroups/Group")
    assert {group.get("Name"): list(bytes.fromhex(group.get("Color", "")[1:])) for group in groups} == rgb
    layers = ElementTree.parse(tmp_path / "a.imagescope").iterfind("Annotation")
    assert {layer.get("Name"): list(int(layer.get("LineColor", "")).to_bytes(3, "little")) for layer in layers} == rgb


def test_imagescope_says_how_large_a_pixel_is(tmp_path: Path) -> None:
    write_imagescope(tmp_path / "a.xml", scanned(mpp=Mpp(0.4990, 0.5)))
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert root is not None
    assert root.get("MicronsPerPixel") == "0.499"


def test_a_gzipped_geojson_is_the_geojson(tmp_path: Path) -> None:
    slide = many(3 * rows.ROWS_AT_ONCE + 1, classes=2, origin=(1000, 70))
    paths = {"geojson": tmp_path / "a.geojson", "geojson.gz": tmp_path / "a.geojson.gz"}
    write_formats(paths, slide)
    packed = paths["geojson.gz"].read_bytes()
    assert gzip.decompress(packed) == paths["geojson"].read_bytes()
    assert len(packed) < paths["geojson"].stat().st_size / 4
    assert packed[3:8] == bytes(5), "neither a file name nor a time, so that the bytes are the same every time"
    write_formats(paths, slide)
    assert paths["geojson.gz"].read_bytes() == packed
    np.testing.assert_array_equal(read_annotations(paths["geojson.gz"]).boxes, read_annotations(paths["geojson"]).boxes)


def test_a_data_frame_reads_the_geoparquet(tmp_path: Path) -> None:
    slide = many(300, classes=2, mpp=Mpp(0.25, 0.5))
    write_formats({"parquet": tmp_path / "a.parquet", "csv": tmp_path / "a.csv"}, slide)
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert frame.crs is None
    assert list(frame.columns) == [*list(COLUMNS)[:3], "geometry", *list(COLUMNS)[3:]]
    boxes = slide.detections.boxes
    np.testing.assert_array_equal(frame.geometry.bounds.to_numpy(), boxes)
    np.testing.assert_array_equal(frame[["x0_px", "y0_px", "x1_px", "y1_px"]].to_numpy(), boxes)
    np.testing.assert_allclose(frame.geometry.centroid.x * 0.25, frame["centre_x_um"])
    np.testing.assert_allclose(frame.geometry.centroid.y * 0.5, frame["centre_y_um"])
    np.testing.assert_allclose(frame.geometry.area * 0.25 * 0.5, frame["width_um"] * frame["height_um"])
    lines = (tmp_path / "a.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == frame["id"].tolist()


def test_geoparquet_says_what_the_standard_asks_for(tmp_path: Path) -> None:
    slide = many(50)
    write_parquet(tmp_path / "a.parquet", slide)
    geo = json.loads(parquet.read_metadata(tmp_path / "a.parquet").metadata[b"geo"])
    assert (geo["version"], geo["primary_column"], list(geo["columns"])) == ("1.1.0", "geometry", ["geometry"])
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"], column["crs"]) == ("WKB", ["Polygon"], None)
    low, high = slide.detections.boxes[:, :2].min(axis=0), slide.detections.boxes[:, 2:].max(axis=0)
    assert column["bbox"] == [*low, *high]
    write_parquet(tmp_path / "none.parquet", scanned())
    assert len(geopandas.read_parquet(tmp_path / "none.parquet")) == 0


def test_geoparquet_is_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signetscan.formats.parquet.ROWS_A_GROUP", 100)
    slide = many(250)
    write_parquet(tmp_path / "a.parquet", slide)
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [100, 100, 50]
    file.close()
    assert of_parquet(tmp_path / "a.parquet") == expected(slide)


@pytest.mark.parametrize("name", ["geojson.gz", "asap", "imagescope", "parquet"])
def test_memory_does_not_grow_with_the_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 256)
    monkeypatch.setattr("signetscan.formats.parquet.ROWS_A_GROUP", 256)

    def most_held(count: int) -> int:
        slide = many(count)
        before = slide.detections.boxes.nbytes * 2  # a layer of ImageScope holds its own detections
        tracemalloc.start()
        WRITERS[name](tmp_path / "a", slide)
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held - before

    most_held(1)
    assert most_held(10_240) < 1.2 * most_held(1024)


@pytest.mark.parametrize("name", sorted(SUFFIXES.keys() - {"dicom"}))
def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        WRITERS[name](tmp_path / "nowhere" / "a", many(3))
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="a: cannot be written"):
        WRITERS[name](tmp_path / "a", many(3))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["\r", "a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "plain"])
def test_a_class_name_stays_in_its_row_of_the_csv(name: str) -> None:
    line = csv_file._line(["id", name, "1"])
    assert line.endswith("1\n")
    assert list(csv.reader(io.StringIO(line, newline=""), strict=True)) == [["id", name, "1"]]

"""Files that people and other programs wrote: what is odd in them is left out and said, what is hostile is bounded."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from signetscan.annotations import Meaning, interpret, read_annotations, read_boxes_csv, read_boxes_xml, read_geojson
from signetscan.annotations.left_out import Reason
from signetscan.annotations.objects import Region, in_any
from signetscan.annotations.outlines import area_of, filled
from signetscan.annotations.qupath import read_areas
from signetscan.cli.main import cli
from signetscan.errors import AnnotationError
from signetscan.testing.memory import run_measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

WRITTEN = ROOT.parent / "shared" / "data" / "qupath-written"
WITHOUT_CORNERS = ("one-emptyroi.geojson", "one-thin.geojson")
SAMPLE = ROOT / "tests" / "data" / "sample.svs"
CELL = "Signet ring cell"


def ring(x: float, y: float, width: float = 50, height: float = 50) -> list[list[float]]:
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]


def polygon(*rings: list[list[float]], **more: object) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings), **more}


def feature(geometry: object, name: str | None = CELL, kind: str = "annotation", **more: object) -> dict[str, Any]:
    properties = {"objectType": kind, "classification": name and {"name": name}, **more}
    return {"type": "Feature", "id": "b402fcf3", "geometry": geometry, "properties": properties}


def stored(path: Path, *features: object) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


GOOD = feature(polygon(ring(10, 20)))

# ---- objects that are left out --------------------------------------------------------------------------------------


def test_the_root_and_what_has_no_geometry_do_not_hide_the_rest(tmp_path: Path) -> None:
    root = feature({}, "Image", "root", childObjects=[GOOD, feature(None), feature({}, "Tumor\x1b[2J")])
    read = read_geojson(stored(tmp_path / "a.geojson", root))
    assert read.boxes.tolist() == [[10, 20, 60, 70]]
    first, second = read.left_out
    assert (first.reason, first.count, first.named) == (Reason.ROOT, 1, ())
    assert (second.reason, second.count) == (Reason.UNREADABLE, 2)
    assert second.named == (
        "feature 1 (Signet ring cell, id b402fcf3): has no geometry",
        r"feature 1 (Tumor\x1b[2J, id b402fcf3): has no geometry",
    )


def test_only_the_first_few_are_named(tmp_path: Path) -> None:
    broken = feature(None, "A" * 100_000) | {"id": "x" * 100_000}
    (left,) = read_geojson(stored(tmp_path / "a.geojson", GOOD, *[broken] * 50)).left_out
    assert left.count == 50
    assert len(str(left)) < 600


def test_a_file_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    for parser in (read_geojson, read_areas):
        with pytest.raises(AnnotationError, match=r"a\.geojson: nothing in it can be used; .*feature 1"):
            parser(stored(tmp_path / "a.geojson", feature(None)))
    assert len(read_geojson(stored(tmp_path / "b.geojson"))) == 0, "nobody drew anything"


@pytest.mark.parametrize(
    ("plane", "counts"),
    [
        (None, True),
        ({"c": -1, "z": 0, "t": 0}, True),
        ({"c": 0, "z": 0, "t": 0}, True),
        ({}, True),
        ({"c": -1, "z": 1, "t": 0}, False),
        ({"c": -1, "z": 0, "t": 3}, False),
        ({"c": 2, "z": 0, "t": 0}, False),
    ],
)
def test_objects_of_another_plane_are_not_mixed_with_those_of_the_first(
    tmp_path: Path, plane: object, counts: bool
) -> None:
    path = stored(tmp_path / "a.geojson", GOOD, feature(polygon(ring(500, 500), plane=plane)))
    read, areas = read_geojson(path), read_areas(path)
    assert len(read) == len(areas.regions) == 1 + counts
    for left_out in (read.left_out, areas.left_out):
        assert [left.reason for left in left_out] == ([] if counts else [Reason.OTHER_PLANE])


def test_regions_without_an_area_are_none(tmp_path: Path) -> None:
    flat = [polygon(ring(0, 0, 0, 0)), polygon([[0, 0], [90, 90], [0, 0]]), polygon(ring(5, 5, 100, 0))]
    path = stored(tmp_path / "a.geojson", GOOD, *[feature(one, "Positive region") for one in flat])
    read, areas = read_geojson(path), read_areas(path)
    assert (read.regions, len(areas.regions)) == ((), 1)
    assert [(left.reason, left.count) for left in (*read.left_out, *areas.left_out)] == [(Reason.NO_AREA, 3)] * 2


def test_half_characters_in_names_are_replaced(tmp_path: Path) -> None:
    (name,) = read_geojson(stored(tmp_path / "a.geojson", feature(polygon(ring(0, 0)), "a\ud800b"))).names
    assert name == "a?b"


# ---- objects of several parts ---------------------------------------------------------------------------------------


def of_parts(*parts: list[list[float]], kind: str = "MultiPolygon") -> dict[str, Any]:
    if kind == "GeometryCollection":
        return {"type": kind, "geometries": [polygon(part) for part in parts]}
    return {"type": kind, "coordinates": [[part] for part in parts]}


@pytest.mark.parametrize("kind", ["MultiPolygon", "GeometryCollection"])
def test_parts_close_together_are_one_cell_and_others_are_cells_of_their_own(tmp_path: Path, kind: str) -> None:
    halves = of_parts(ring(0, 0, 60, 27), ring(0, 32, 60, 27), ring(63, 20, 3, 3), kind=kind)
    apart = of_parts(ring(1000, 0, 40, 40), ring(2000, 0, 40, 40), ring(2041, 0, 40, 40), kind=kind)
    read = read_geojson(stored(tmp_path / "a.geojson", feature(halves), feature(apart)))
    assert read.boxes.tolist() == [
        [0, 0, 66, 59],
        [1000, 0, 1040, 40],
        [2000, 0, 2040, 40],
        [2041, 0, 2081, 40],
    ]
    assert (read.names, read.split) == ((CELL,) * 4, 1)


@pytest.mark.parametrize("kind", ["MultiPolygon", "GeometryCollection"])
@pytest.mark.parametrize("name", ["Ignore*", "Positive region", "Region*", "Normal", "ROI"])
def test_areas_keep_their_parts(tmp_path: Path, name: str, kind: str) -> None:
    parts = of_parts(ring(0, 0, 900, 900), ring(2000, 0, 900, 900), kind=kind)
    marked = interpret(read_geojson(stored(tmp_path / "a.geojson", feature(parts, name))), (0.25, 0.25))
    (area,) = marked.ignored or marked.regions
    points = np.array([[450.0, 450], [1450, 450], [2450, 450]])
    assert area.holds(points).tolist() == [True, False, True]
    assert area.normal is (name == "Normal")


def test_a_region_is_what_was_drawn_and_not_the_box_around_it(tmp_path: Path) -> None:
    """A triangle has its corners in those of its box."""
    triangle = feature(polygon([[0, 0], [900, 0], [0, 900], [0, 0]]), "Region*")
    (region,) = interpret(read_geojson(stored(tmp_path / "a.geojson", triangle)), (0.25, 0.25)).regions
    assert not region.is_rectangle
    assert region.holds(np.array([[100.0, 100], [800, 800]])).tolist() == [True, False]


def test_collections_hold_points_and_lines_too(tmp_path: Path) -> None:
    mixed = {
        "type": "GeometryCollection",
        "geometries": [
            {"type": "Point", "coordinates": [1, 2]},
            {"type": "LineString", "coordinates": [[0, 0], [5, 5]]},
            of_parts(ring(100, 100), kind="GeometryCollection"),
        ],
    }
    read = read_geojson(stored(tmp_path / "a.geojson", feature(mixed)))
    assert read.boxes.tolist() == [[100, 100, 150, 150], [1, 2, 1, 2]]
    assert [(left.reason, left.count) for left in read.left_out] == [(Reason.LINES, 1)]


# ---- what may stand at the top, and how it is packed ----------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {"name": "x", "crs": {"a": [1]}, "features": [GOOD], "type": "FeatureCollection"},
        {"root": feature({}, None, "root", childObjects=[GOOD])},
        polygon(ring(10, 20)),
        [polygon(ring(10, 20))],
        GOOD,
    ],
)
def test_what_qupath_takes_is_taken(tmp_path: Path, content: object) -> None:
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    assert read_geojson(tmp_path / "a.geojson").boxes.tolist() == [[10, 20, 60, 70]]


def zipped(path: Path, *files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


ONE = json.dumps([GOOD]).encode()


def test_a_zip_of_one_file_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    notes = ("__MACOSX/._a.geojson", b"\0\5"), ("folder/", b"")
    for number, name in enumerate(["a.geojson", "../../etc/passwd", "/a\x1b.geojson"]):
        path = zipped(tmp_path / f"{number}.zip", *notes, (name, ONE))
        assert len(read_annotations(path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.zip", "1.zip", "2.zip"], "nothing is unpacked"
    assert len(read_geojson(zipped(tmp_path / "stored.zip", ("a", ONE), method=zipfile.ZIP_STORED))) == 1
    (tmp_path / "packed.geojson").write_bytes(gzip.compress(ONE))
    assert len(read_geojson(tmp_path / "packed.geojson")) == 1, "whatever the suffix says"


def test_zips_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, said: str) -> None:
        with pytest.raises(AnnotationError, match=said):
            read_annotations(path)

    refused(zipped(tmp_path / "two.zip", ("a.geojson", ONE), ("b.geojson", ONE)), "2 files")
    refused(zipped(tmp_path / "none.zip"), "0 files")
    refused(zipped(tmp_path / "bz2.zip", ("a", ONE), method=zipfile.ZIP_BZIP2), "packed in a way")
    many = zipped(tmp_path / "many.zip", *((f"{number}.geojson", b"[]") for number in range(2000)))
    refused(many, "not a ZIP as QuPath writes")
    whole = zipped(tmp_path / "whole.zip", ("a.geojson", ONE)).read_bytes()
    for number, cut in enumerate((whole[:-30], whole[:60] + b"x" + whole[61:], b"PK\3\4", whole[:20] + bytes(80))):
        (tmp_path / f"cut{number}.zip").write_bytes(cut)
        refused(tmp_path / f"cut{number}.zip", rf"cut{number}\.zip: ")
    monkeypatch.setattr("signetscan.annotations.features.MAX_GEOJSON_BYTES", 100_000)
    refused(zipped(tmp_path / "bomb.zip", ("a.geojson", b" " * 100_001)), "too large")


def test_a_qupath_project_is_called_by_its_name(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "data" / "1").mkdir(parents=True)
    (project / "project.qpproj").write_text('{"version":"0.7.0","images":[]}')
    data = project / "data" / "1" / "data.qpdata"
    data.write_bytes(b"\xac\xed\0\5t\0\4")
    renamed = tmp_path / "renamed.geojson"
    renamed.write_bytes(data.read_bytes())
    good = str(stored(tmp_path / "good.geojson", GOOD))
    sample = str(SAMPLE)
    paths = [str(project), str(project / "project.qpproj"), str(data)]
    commands = [
        *(["evaluate", good, path] for path in (*paths, str(renamed))),
        *(["compare", path, good] for path in paths),
        *(["train", path, "--out", str(tmp_path / "run")] for path in paths),
        *(["dataset", "add", sample, path, "--out", str(tmp_path / "set")] for path in paths[1:]),
        *(["detect", sample, "--roi", path, "--out", str(tmp_path / "out")] for path in paths),
        *(["convert", path, "--format", "csv"] for path in paths),
        *(["view", path, "--slide", sample] for path in paths),
    ]
    for command in commands:
        result = CliRunner().invoke(cli, command)
        assert result.exit_code != 0, command
        assert "QuPath project" in result.output, (command, result.output)
        assert "export the objects" in result.output, command


# ---- what was left out is said by every command ---------------------------------------------------------------------


def test_every_command_says_what_was_left_out(tmp_path: Path) -> None:
    odd = (
        feature(None),
        feature(polygon(ring(200, 200), plane={"z": 2, "t": 0, "c": -1})),
        feature(of_parts(ring(100, 10, 20, 20), ring(200, 10, 20, 20))),
    )
    truth = stored(tmp_path / "a.geojson", GOOD, *odd)
    found = stored(tmp_path / "f.geojson", feature(polygon(ring(10, 20)), kind="detection", measurements={"Score": 1}))
    commands = (
        ["evaluate", str(found), str(truth)],
        ["compare", str(found), str(truth)],
        ["dataset", "add", str(SAMPLE), str(truth), "--out", str(tmp_path / "set")],
    )
    for command in commands:
        output = CliRunner().invoke(cli, command).output
        assert "because they cannot be understood: 1, namely a.geojson feature 2 (Signet ring cell" in output, output
        assert "being in another plane than the first" in output, output
        assert "each part taken for an object of its own: 1" in output, output


# ---- files of QuPath itself -----------------------------------------------------------------------------------------


@pytest.mark.skipif(not WRITTEN.is_dir(), reason="needs shared/data beside the checkout")
def test_all_that_qupath_writes_is_read_or_left_out_with_a_reason() -> None:
    alone = {f"one-{kind}.geojson" for kind in ("tplane", "zplane", "line", "polyline")}
    for path in sorted(path for path in WRITTEN.rglob("*.*") if path.is_file()):
        if path.name in alone or (path.parent.name == "v0.4.4" and path.name in WITHOUT_CORNERS):
            with pytest.raises(AnnotationError, match="nothing in it can be used"):
                read_annotations(path)
            continue
        read = read_annotations(path)
        whole = len(read) + len(read.regions) + sum(left.count for left in read.left_out)
        assert whole or "empty" in path.name, path
        # QuPath 0.4 writes outlines without a corner where it finds no area in one.
        assert not any("no coordinates" not in str(left) for left in read.left_out if left.reason is Reason.UNREADABLE)
    for version in WRITTEN.glob("v*"):
        plain, packed = (read_geojson(version / f"all.{suffix}") for suffix in ("geojson", "zip"))
        np.testing.assert_array_equal(plain.boxes, packed.boxes)
        assert read_geojson(version / "one-multipolygon.geojson").boxes.tolist() == [
            [1000, 1000, 1030, 1030],
            [1050, 1050, 1080, 1080],
        ]


# ---- cost -----------------------------------------------------------------------------------------------------------


READ = """
import pathlib, sys, time
from signetscan.annotations import read_annotations
from signetscan.errors import AnnotationError
started = time.process_time()
try:
    read_annotations(pathlib.Path(sys.argv[1]))
except AnnotationError as error:
    print(str(error)[-200:], file=sys.stderr)
print(time.process_time() - started)
"""
"""Prints the time that reading or refusing a file takes, s."""


BOMBS: dict[str, Callable[[], bytes]] = {
    "lists.geojson": lambda: b'[{"type":"Feature","properties":{"x":[' + b"[]," * 20_000_000 + b"[]]}}]",
    "tables.geojson": lambda: b'{"type":"Feature","x":[' + b'{"":0},' * 8_000_000 + b"0]}",
    "points.geojson": lambda: (
        b'[{"type":"Feature","geometry":{"type":"MultiPoint","coordinates":[' + b"[1,1]," * 10_000_000 + b"[1,1]]}}]"
    ),
    "keys.geojson": lambda: (
        b"{" + b",".join(b'"%d":0' % number for number in range(4_000_000)) + b',"type":"FeatureCollection"}'
    ),
    "numbers.geojson": lambda: b"[" + b"1," * 40_000_000 + b"1]",
    "children.geojson": lambda: b'[{"type":"Feature","properties":{"childObjects":[' + b"1," * 25_000_000 + b"1]}}]",
    "blanks.geojson": lambda: b" " * 60_000_000 + b"[]",
    "text.geojson": lambda: b'[{"type":"Feature","x":"' + b"a" * 90_000_000 + b'"}]',
    "attributes.xml": lambda: b"<a " + b" ".join(b'a%d="1"' % number for number in range(500_000)) + b"/>",
    "objects.xml": lambda: b"<a>" + b"<object><name/></object>" * 400_000 + b"</a>",
    "deep.xml": lambda: b"<a>" * 500_000 + b"</a>" * 500_000,
    "text.xml": lambda: b"<annotation><size><width>" + b"1" * 20_000_000 + b"</width></size></annotation>",
    "elements.xml": lambda: b"<a>" + b"<b/>" * 12_000_000 + b"</a>",
    "newlines.csv": lambda: b"x0,y0,x1,y1" + b"\n" * 100_000_000,
    "row.csv": lambda: b"x0,y0,x1,y1\n" + b"," * 60_000_000,
    "lines.csv": lambda: b"x0,y0,x1,y1\n" + b'"a\n",' * 10_000_000,
    "head.csv": lambda: b"x0,y0,x1,y1," + b"a," * 30_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_no_file_takes_much_more_than_its_size(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    seconds, mebibytes = run_measured([sys.executable, "-c", READ, str(path)])
    assert float(seconds) < 60
    assert mebibytes < 700


@pytest.mark.slow
def test_an_outline_of_many_corners_is_read_and_searched(tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 200_000)
    corners = np.stack([5000 + 4000 * np.cos(angle), 5000 + 4000 * np.sin(angle)], axis=1).round(2)
    path = stored(tmp_path / "a.geojson", feature(polygon(corners.tolist())))
    points = np.random.default_rng(0).uniform(0, 10_000, (100_000, 2))
    started = time.process_time()
    held = in_any(read_areas(path).regions, points)
    assert time.process_time() - started < 20
    distance = np.hypot(*(points - 5000).T)
    sure = np.abs(distance - 4000) > 0.1
    assert (held[sure] == (distance < 4000)[sure]).all()


def test_an_outline_that_nobody_draws_is_refused_by_the_work_it_makes() -> None:
    corners = np.array([(number, 1e6 * (number % 2)) for number in range(100_000)], np.float64)
    points = np.random.default_rng(0).uniform(0, 1e5, (10_000, 2))
    with pytest.raises(AnnotationError, match="simplify"):
        Region(rings=(corners,), normal=False).holds(points)


@given(
    st.lists(
        arrays(np.float64, st.tuples(st.integers(1, 7), st.just(2)), elements=st.integers(-3, 12).map(float)),
        min_size=1,
        max_size=3,
    )
)
def test_filled_pixels_are_those_whose_centre_is_held(rings: list[NDArray[np.float64]]) -> None:
    rows, columns = np.mgrid[:9, :8]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1)
    expected = Region(rings=tuple(rings), normal=False).holds(centres).reshape(9, 8)
    np.testing.assert_array_equal(filled(rings, (9, 8)), expected)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6), st.integers(0, 10**6))
def test_in_any_is_in_one_after_the_other(corners: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    regions = [
        Region(rings=(np.array(ring(x, y, *rng.integers(1, 9, 2)), np.float64),), normal=False) for x, y in corners
    ]
    points = rng.integers(0, 30, (40, 2)).astype(np.float64)
    expected = np.any([region.holds(points) for region in regions], axis=0) if regions else np.zeros(40, np.bool_)
    np.testing.assert_array_equal(in_any(regions, points), expected)


# ---- XML and CSV ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["ASAP_Annotations", "Annotations", "svg"])
def test_xml_of_other_programs_is_not_taken_for_a_file_without_cells(tmp_path: Path, root: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(f"<{root}><Annotation><Coordinates/></Annotation></{root}>")
    with pytest.raises(AnnotationError, match=f"XML of another format.*{root}"):
        read_boxes_xml(path)


def test_the_first_of_two_elements_counts_and_outer_objects_come_first(tmp_path: Path) -> None:
    def box(edge: int) -> str:
        return f"<bndbox><xmin>{edge}</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"

    path = tmp_path / "a.xml"
    path.write_text(
        f"<annotation><object><name>a<b/>x</name><object><name>inner</name>{box(2)}</object>{box(1)}{box(3)}"
        f"<name>second</name></object><size><width>7</width><height>8</height></size></annotation>"
    )
    read = read_boxes_xml(path)
    assert (read.names, read.boxes[:, 0].tolist(), read.image_size) == (("a", "inner"), [1, 2], (7, 8))


def test_rows_of_several_lines_are_read_one_after_another(tmp_path: Path) -> None:
    table = io.StringIO()
    table.write("class,x0,y0,x1,y1\n")
    for number in range(40):
        table.write(f'"{"a" * 100_000}\n{number}",1,2,3,4\n')
    path = tmp_path / "a.csv"
    path.write_text(table.getvalue())
    assert len(read_boxes_csv(path)) == 40


def test_no_more_objects_than_memory_is_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signetscan.annotations.bounds.MAX_OBJECTS", 2)
    points = {"type": "MultiPoint", "coordinates": [[1, 1]] * 3}
    box = "<object><bndbox><xmin>1</xmin><ymin>0</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
    (tmp_path / "a.xml").write_text(f"<a>{box * 3}</a>")
    (tmp_path / "a.csv").write_text("x0,y0,x1,y1\n" + "1,2,3,4\n" * 3)
    for path in (stored(tmp_path / "a.geojson", feature(points)), tmp_path / "a.xml", tmp_path / "a.csv"):
        with pytest.raises(AnnotationError, match="million objects"):
            read_annotations(path)


def test_large_areas_are_ignored_only_where_they_were_drawn(tmp_path: Path) -> None:
    """Two parts far apart are one area, and what lies between them counts."""
    area = feature(of_parts(ring(0, 0, 900, 900), ring(5000, 0, 900, 900)), "Ignore*")
    cells = [feature(polygon(ring(x, 400, 40, 40))) for x in (400, 3000, 5400)]
    marked = interpret(read_geojson(stored(tmp_path / "a.geojson", area, *cells)), (0.25, 0.25))
    assert marked.meaning.tolist() == [Meaning.IGNORED_AREA, Meaning.IGNORED, Meaning.CELL, Meaning.IGNORED]


def test_areas_of_tissue_are_no_cells(tmp_path: Path) -> None:
    """Where no class is chosen, the cells of the only other class count; small ones of these classes are cells."""
    names = ("Tumor", "Stroma", "Immune cells", "Necrosis", "Other")
    large = [feature(polygon(ring(0, 0, 2000, 2000)), name) for name in names]
    marked = interpret(read_geojson(stored(tmp_path / "a.geojson", GOOD, *large)), (0.25, 0.25))
    assert marked.meaning.tolist() == [Meaning.CELL, *[Meaning.TISSUE] * 5]
    small = read_geojson(stored(tmp_path / "b.geojson", *(feature(polygon(ring(0, 0)), name) for name in names)))
    found = feature(polygon(ring(0, 0, 2000, 2000)), "Tumor", "detection")
    for read in (small, read_geojson(stored(tmp_path / "c.geojson", found))):
        assert set(interpret(read, (0.25, 0.25)).meaning.tolist()) == {Meaning.CELL}
    detections = stored(tmp_path / "f.geojson", feature(polygon(ring(10, 20)), kind="detection"))
    for command in ("evaluate", "compare"):
        output = CliRunner().invoke(cli, [command, str(detections), str(tmp_path / "a.geojson")]).output
        assert re.search(r"Areas of tissue left out, larger than any cell: 5|Stroma", output), output
        assert "choose one" not in output


@given(st.permutations([(0.0, 0.0), (7.0, 0.0), (7.0, 5.0), (0.0, 5.0)]), st.booleans())
def test_a_rectangle_goes_round_its_corners(corners: list[tuple[float, float]], closed: bool) -> None:
    region = Region(rings=(np.array([*corners, corners[0]] if closed else corners),), normal=False)
    assert region.is_rectangle is (area_of(region.rings[0]) == 35)

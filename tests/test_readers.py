"""Readers of GeoJSON, CSV and scores in XML: what is written comes back, what is hostile is refused by name."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import geojson
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from signetscan.annotations import (
    NORMAL_REGION,
    POSITIVE_REGION,
    Region,
    read_annotations,
    read_boxes_csv,
    read_boxes_xml,
    read_geojson,
)
from signetscan.annotations.left_out import Reason
from signetscan.annotations.qupath import read_areas
from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.formats.annotations import classification
from signetscan.formats.colours import REGION_COLOURS, colour_of
from signetscan.formats.csv_file import write_csv
from signetscan.formats.geojson import write_geojson
from signetscan.slides import Mpp
from signetscan.suffixes import ANNOTATION_SUFFIXES, suffix_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ("Signet ring cell", "Goblet cell")


def some_detections(seed: int, count: int) -> Detections:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100_000, (count, 2)).round(2)
    return Detections(
        boxes=np.concatenate([corner, corner + rng.uniform(1, 90, (count, 2))], axis=1).round(2),
        scores=rng.random(count).round(4).astype(np.float32),
        labels=rng.integers(0, 2, count),
    )


def rectangle(x: float, y: float, width: float = 50, height: float = 50) -> dict[str, Any]:
    ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry: object = None, **properties: object) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry or rectangle(10, 20), "properties": properties}


def stored(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def collection(*features: object) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


# ---- what we write --------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(0, 30))
def test_our_own_files_come_back(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    found = some_detections(seed, count)
    folder = tmp_path_factory.mktemp("own")
    write_geojson(folder / "a.geojson", found, NAMES, source="x")
    write_csv(folder / "a.csv", found, NAMES, source="x", mpp=Mpp(0.25, 0.25))
    for read, kind in ((read_geojson(folder / "a.geojson"), "detection"), (read_boxes_csv(folder / "a.csv"), "")):
        np.testing.assert_allclose(read.boxes, found.boxes, atol=0.0051)
        np.testing.assert_allclose(read.scores, found.scores, atol=1e-6)
        assert read.names == tuple(NAMES[label] for label in found.labels)
        assert read.kinds == (kind,) * count
        assert (read.regions, read.left_out) == ((), ())


def test_the_simulators_truth_has_regions(tmp_path: Path) -> None:
    positive, normal = (classification(name, REGION_COLOURS[name]) for name in (POSITIVE_REGION, NORMAL_REGION))
    path = stored(
        tmp_path / "a.truth.geojson",
        collection(
            feature(rectangle(0, 0, 100, 100), objectType="annotation", classification=positive),
            feature(rectangle(200, 0, 100, 100), objectType="annotation", classification=normal),
            feature(objectType="detection", classification=classification("Signet ring cell", colour_of(0))),
        ),
    )
    read = read_geojson(path)
    assert [(region.box, region.normal) for region in read.regions] == [
        ((0, 0, 100, 100), False),
        ((200, 0, 300, 100), True),
    ]
    assert read.boxes.tolist() == [[10, 20, 60, 70]]
    assert np.isnan(read.scores).all()


# ---- QuPath's variants ----------------------------------------------------------------------------------------------


ONE = feature(objectType="detection", classification={"name": "A"}, measurements={"Score": 0.5})


@pytest.mark.parametrize("content", [[ONE], collection(ONE), ONE, [{**ONE, "id": "PathDetectionObject"}]])
@pytest.mark.parametrize("name", ["a.geojson", "a.json", "A.GeoJSON", "a.geojson.gz", "a.json.gz"])
def test_what_may_stand_at_the_top_and_how_it_is_packed(tmp_path: Path, content: object, name: str) -> None:
    path = stored(tmp_path / name, content)
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    read = read_annotations(path)
    assert (read.boxes.tolist(), read.names, read.scores.tolist()) == ([[10, 20, 60, 70]], ("A",), [0.5])


@pytest.mark.parametrize(
    ("classification", "name"),
    [
        ("Signet ring cell", "Signet ring cell"),
        ({"name": " Signet ring cell ", "color": [1, 2, 3]}, "Signet ring cell"),
        ({"name": "A", "colorRGB": -3670016}, "A"),
        ({"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "Tumor: Positive"),
        ({"names": []}, ""),
        ({"name": None}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_classifications(tmp_path: Path, classification: object, name: str) -> None:
    path = stored(tmp_path / "a.geojson", [feature(objectType="cell", classification=classification)])
    assert read_geojson(path).names == (name,)


@pytest.mark.parametrize(
    ("properties", "score"),
    [
        ({"measurements": {"Score": 0.25}}, 0.25),
        ({"measurements": {"SCORE": 1}}, 1),
        ({"measurements": {"Area": 3, "confidence": 0.5, "probability": 0.75}}, 0.5),
        ({"measurements": {"Detection probability": 0.5}}, 0.5),
        ({"measurements": [{"name": "Score", "value": 0.25}, {"name": "Area", "value": 7}]}, 0.25),
        ({"measurements": {"Score": "NaN"}}, None),
        ({"measurements": {"Score": None}}, None),
        ({"measurements": {"Area": 5}}, None),
        ({"measurements": None}, None),
        ({"measurements": []}, None),
        ({"probability": 0.5}, 0.5),
        ({"probability": 0.5, "measurements": {"probability": 0.25}}, 0.25),
        ({}, None),
    ],
)
def test_scores(tmp_path: Path, properties: dict[str, object], score: float | None) -> None:
    read = read_geojson(stored(tmp_path / "a.geojson", [feature(**properties)]))
    np.testing.assert_array_equal(read.scores, [np.nan if score is None else score])


@pytest.mark.parametrize(
    ("geometry", "boxes"),
    [
        ({"type": "Point", "coordinates": [5, 6.5]}, [[5, 6.5, 5, 6.5]]),
        ({"type": "MultiPoint", "coordinates": [[5, 6], [7, 8]]}, [[5, 6, 5, 6], [7, 8, 7, 8]]),
        ({"type": "Polygon", "coordinates": [[[0, 0], [10, 5], [3, 9], [0, 0]]]}, [[0, 0, 10, 9]]),
        ({"type": "Polygon", "isEllipse": True, "coordinates": [[[1, 1], [4, 1], [4, 4], [1, 1]]]}, [[1, 1, 4, 4]]),
        (
            {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1]]], [[[8, 8], [9, 8], [9, 9]]]]},
            [[0, 0, 1, 1], [8, 8, 9, 9]],
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0, 7], [10, 5, 7], [3, 9, 7]]]}, [[0, 0, 10, 9]]),
    ],
)
def test_geometries(tmp_path: Path, geometry: dict[str, Any], boxes: list[list[float]]) -> None:
    read = read_geojson(stored(tmp_path / "a.geojson", [feature(geometry, classification="A")]))
    assert read.boxes.tolist() == boxes
    assert read.names == ("A",) * len(boxes)
    assert read.kinds == ("annotation",) * len(boxes), "without a type, as in QuPath"


def test_what_is_no_cell_is_counted(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], [5, 5]]}
    path = stored(
        tmp_path / "a.geojson",
        [
            feature(line),
            feature({"type": "MultiLineString", "coordinates": [[[0, 0], [5, 5]]]}),
            feature(objectType="tile"),
            feature(objectType="tmaCore"),
            feature(objectType="cell"),
        ],
    )
    read = read_geojson(path)
    assert read.kinds == ("cell",)
    assert {left.reason: left.count for left in read.left_out} == {Reason.LINES: 2, Reason.TILES: 1, Reason.CORES: 1}


def test_nested_objects_are_found(tmp_path: Path) -> None:
    inner = feature(rectangle(1, 1), objectType="cell", childObjects=[feature(rectangle(2, 2), objectType="detection")])
    outer = feature(rectangle(0, 0), objectType="annotation", childObjects=[inner, feature(rectangle(3, 3))])
    read = read_geojson(stored(tmp_path / "a.geojson", [outer]))
    assert read.boxes[:, 0].tolist() == [0, 1, 2, 3]
    assert read.kinds == ("annotation", "cell", "detection", "annotation")


def test_properties_may_be_missing(tmp_path: Path) -> None:
    one = feature()
    del one["properties"]
    read = read_geojson(stored(tmp_path / "a.geojson", [one, {**one, "properties": None}]))
    assert len(read) == 2


def test_a_detection_named_like_a_region_is_none(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.geojson", [feature(objectType="detection", classification="Positive region")])
    read = read_geojson(path)
    assert (len(read), read.regions) == (1, ())


# ---- regions --------------------------------------------------------------------------------------------------------


def even_odd(region: Region, x: float, y: float) -> bool:
    inside = False
    for ring in region.rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                inside = not inside
    return inside


@given(
    arrays(np.float64, st.tuples(st.integers(3, 8), st.just(2)), elements=st.integers(0, 20).map(float)),
    arrays(np.float64, (5, 2), elements=st.floats(-1, 21)),
)
def test_points_in_a_polygon(ring: NDArray[np.float64], points: NDArray[np.float64]) -> None:
    region = Region(rings=(ring,), normal=False)
    assert region.holds(points).tolist() == [even_odd(region, x, y) for x, y in points.tolist()]


def test_regions_share_no_border_and_have_holes(tmp_path: Path) -> None:
    hole = [[3, 3], [7, 3], [7, 7], [3, 7], [3, 3]]
    outer = rectangle(0, 0, 10, 10)["coordinates"][0]
    path = stored(
        tmp_path / "a.geojson",
        [
            feature({"type": "Polygon", "coordinates": [outer, hole]}, classification="Positive region"),
            feature(rectangle(10, 0, 10, 10), classification="normal REGION"),
            feature(
                {"type": "MultiPolygon", "coordinates": [[rectangle(30, 0, 5, 5)["coordinates"][0]]] * 1},
                classification="Positive region",
            ),
        ],
    )
    ring, normal, several = read_geojson(path).regions
    points = np.array([[5.0, 5], [1, 1], [10, 5], [0, 0], [20, 5], [31, 1]])
    assert ring.holds(points).tolist() == [False, True, False, True, False, False]
    assert normal.holds(points).tolist() == [False, False, True, False, False, False]
    assert several.holds(points).tolist() == [False] * 5 + [True]
    assert (ring.normal, normal.normal, several.normal) == (False, True, False)
    assert ring.moved(100, 50).box == (100, 50, 110, 60)


# ---- hostile GeoJSON ------------------------------------------------------------------------------------------------


def refused(path: Path, *said: str) -> None:
    with pytest.raises(AnnotationError, match=rf"^{re.escape(str(path))}: ") as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in said), caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"17",
        b'"text"',
        b"{}",
        b'{"type":"FeatureCollection"}',
        b'{"type":"FeatureCollection","features":{}}',
        b'{"type":"Polygon","coordinates":[]}',
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"1" * 5000 + b"]",
    ],
    ids=lambda content: content[:20].decode("latin-1") or "empty",
)
def test_what_is_no_geojson(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a bad one.geojson"
    path.write_bytes(content)
    refused(path)


def with_geometry(kind: object, coordinates: object) -> dict[str, Any]:
    return feature({"type": kind, "coordinates": coordinates}, classification="A")


@pytest.mark.parametrize(
    "broken",
    [
        None,
        1,
        [],
        {"type": "Feature", "properties": {}},
        {"type": "Feature", "geometry": None, "properties": {}},
        {"type": "Thing", "geometry": rectangle(0, 0), "properties": {}},
        {"type": "Feature", "geometry": rectangle(0, 0), "properties": []},
        {"type": "Feature", "geometry": rectangle(0, 0), "properties": 1},
        feature({"type": "Polygon"}),
        with_geometry("Blob", [[[0, 0], [1, 1]]]),
        with_geometry(["Polygon"], [[[0, 0], [1, 1]]]),
        with_geometry({}, [[[0, 0], [1, 1]]]),
        with_geometry("GeometryCollection", []),
        with_geometry("Polygon", None),
        with_geometry("Polygon", []),
        with_geometry("Polygon", [[]]),
        with_geometry("Polygon", [[0, 0], [1, 1]]),
        with_geometry("Polygon", [[[0], [1]]]),
        with_geometry("Polygon", [[[0, 0], [1]]]),
        with_geometry("Polygon", [[["0", "0"], ["1", "1"]]]),
        with_geometry("Polygon", [[[True, False], [True, True]]]),
        with_geometry("Polygon", [[[None, 0], [1, 1]]]),
        with_geometry("Polygon", [[{"x": 1}]]),
        with_geometry("Polygon", {"0": 1}),
        with_geometry("Polygon", "text"),
        with_geometry("Polygon", [[[0, 0], [1e300, 1]]]),
        with_geometry("Polygon", [[[0, 0], [10**400, 1]]]),
        with_geometry("Polygon", [[[0, 0], [float("nan"), 1]]]),
        with_geometry("Polygon", [[[0, 0], [float("inf"), 1]]]),
        with_geometry("Point", [[0, 0]]),
        with_geometry("Point", []),
        with_geometry("MultiPolygon", [[[0, 0], [1, 1]]]),
        feature(classification=5),
        feature(classification=["A"]),
        feature(classification={"name": 5}),
        feature(classification={"names": [1]}),
        feature(measurements=5),
        feature(measurements=[1]),
        feature(measurements={"Score": "high"}),
        feature(measurements={"Score": [1]}),
        feature(measurements={"Score": True}),
        feature(measurements={"Score": {}}),
        feature(measurements={"Score": 10**400}),
        feature(childObjects=5),
        feature(childObjects=[5]),
        feature(childObjects=[feature(childObjects=[{"type": "Feature"}])]),
    ],
    ids=str,
)
def test_a_broken_object_is_left_out_by_number(tmp_path: Path, broken: object) -> None:
    """The others are read; a file in which there is nothing else is refused."""
    read = read_geojson(stored(tmp_path / "a.geojson", [ONE, broken, ONE]))
    (left,) = read.left_out
    assert (left.reason, left.count) == (Reason.UNREADABLE, 1)
    assert left.named[0].startswith("feature 2")
    objects = 3 if "childObjects" in str(broken) else 2
    assert len(read) - objects in {0, 1}, "an object whose nested objects are broken is read itself"
    if objects == 2:
        refused(stored(tmp_path / "b.geojson", [broken]), "feature 1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {
            "type": st.just("Feature"),
            "geometry": st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["Point", "MultiPoint", "LineString", "Polygon", "MultiPolygon"]) | JSON,
                    "coordinates": JSON,
                }
            )
            | JSON,
        },
        optional={
            "properties": st.dictionaries(
                st.sampled_from(["objectType", "classification", "measurements", "childObjects", "score"]), JSON
            )
            | JSON
        },
    )
    | JSON
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_no_other_error_than_ours(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.geojson"
    for whole in ([content], content):
        try:
            read = read_geojson(stored(path, whole))
        except AnnotationError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either outcome is right
        else:
            assert np.isfinite(read.boxes).all()
            assert len(read.boxes) == len(read.names) == len(read.scores) == len(read.kinds)


def test_gzip_that_is_broken_or_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.geojson.gz"
    whole = gzip.compress(json.dumps(collection(ONE)).encode())
    for content in (b"", b"text", whole[:-9], whole[:30] + b"xxxx" + whole[34:]):
        path.write_bytes(content)
        refused(path)
    monkeypatch.setattr("signetscan.annotations.features.MAX_GEOJSON_BYTES", 1_000_000)
    path.write_bytes(gzip.compress(b" " * 1_000_001))
    refused(path, "too large")
    path.write_bytes(gzip.compress(json.dumps(collection(ONE)).encode().ljust(1_000_000)))
    assert len(read_geojson(path)) == 1


@pytest.mark.parametrize(
    ("name", "limit"),
    [("a.geojson", "features.MAX_GEOJSON_BYTES"), ("a.csv", "csv_file.MAX_CSV_BYTES"), ("a.xml", "voc.MAX_XML_BYTES")],
)
def test_files_too_large_missing_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str
) -> None:
    path = tmp_path / name
    refused(path, "No such file")
    path.mkdir()
    refused(path)
    path.rmdir()
    monkeypatch.setattr(f"signetscan.annotations.{limit}", 1000)
    path.write_bytes(b" " * 1001)
    refused(path, "too large")


def test_endings() -> None:
    from pathlib import Path

    names = ("a.geojson", "b.GEOJSON.GZ", "c.json", "d.xml", "e.csv", "f.txt", "geojson", "g.gz")
    assert [suffix_of(name, ANNOTATION_SUFFIXES) for name in names] == [
        ".geojson",
        ".geojson.gz",
        ".json",
        ".xml",
        ".csv",
        "",
        "",
        "",
    ]
    refused(Path("somewhere/f.txt"), ".geojson")


def test_other_libraries_geojson_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    made = geojson.FeatureCollection([geojson.Feature(geometry=geojson.Polygon([[(0, 0), (5, 0), (5, 7), (0, 0)]]))])
    path.write_text("\ufeff" + geojson.dumps(made), encoding="utf-8")
    assert read_geojson(path).boxes.tolist() == [[0, 0, 5, 7]]


# ---- CSV ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names", "scores"),
    [
        ("x0,y0,x1,y1\n1,2,3,4\n", ("",), [None]),
        ("class,score,x0,y0,x1,y1\nA,0.5,1,2,3,4\n", ("A",), [0.5]),
        ("\ufeff X0 ,Y0,X1,Y1, Score\r\n1,2,3,4,\r\n\r\n1,2,3,4,0.25\r\n", ("", ""), [None, 0.25]),
        ('name,xmin,ymin,xmax,ymax,confidence\n"a, ""b""",1,2,3.0,4e0,1\n', ('a, "b"',), [1]),
        ("x0_px,y0_px,x1_px,y1_px,x0,y0,x1,y1,label\n1,2,3,4,9,9,9,9,B\n", ("B",), [None]),
        ("x0,y0,x1,y1\n", (), []),
    ],
)
def test_tables(tmp_path: Path, text: str, names: tuple[str, ...], scores: list[float | None]) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8", newline="")
    read = read_boxes_csv(path)
    assert read.boxes.tolist() == [[1, 2, 3, 4]] * len(names)
    assert read.names == names
    np.testing.assert_array_equal(read.scores, [np.nan if score is None else score for score in scores])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "x0, y0, x1, y1"),
        (b"x0;y0;x1;y1\n1;2;3;4\n", "x0, y0, x1, y1"),
        (b"x0,y0,x1\n1,2,3\n", "x0, y0, x1, y1"),
        (b"x0,y0,x1,y1,x0\n1,2,3,4,5\n", "named x0"),
        (b"x0,y0,x1,y1,score,score\n1,2,3,4,5,6\n", "named score"),
        (b"x0,y0,x1,y1\n1,2,3\n", "line 2"),
        (b"x0,y0,x1,y1\n1,2,3,4\n1,2,3,4,5\n", "line 3"),
        (b"x0,y0,x1,y1\n1,2,3,4\n1,two,3,4\n", "line 3: y0 is not a number: 'two'"),
        (b"x0,y0,x1,y1\n1,,3,4\n", "y0"),
        (b"x0,y0,x1,y1\n1,nan,3,4\n", "y0"),
        (b"x0,y0,x1,y1\n1,inf,3,4\n", "y0"),
        (b"x0,y0,x1,y1\n1,1e300,3,4\n", "y0"),
        (b"x0,y0,x1,y1,score\n1,2,3,4,high\n", "score is not a number: 'high'"),
        (b"x0,y0,x1,y1\n1,2,3,4\xff\n", "not a CSV table"),
        (b'x0,y0,x1,y1\n1,2,3,"4\n', "not a CSV table"),
        (b"x0,y0,x1,y1,class\n1,2,3,4," + b"a" * 200_000 + b"\n", "not a CSV table"),
        (b"\x89PNG\r\n\x1a\n\0\0", ""),
    ],
)
def test_broken_tables(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    refused(path, said)


@given(st.binary(max_size=60) | st.text(st.sampled_from('x0y1,\n\r"\0 ;e.-'), max_size=60).map(str.encode))
def test_any_bytes_after_a_table_s_head(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"x0,y0,x1,y1,score,class\n" + content)
    try:
        assert np.isfinite(read_boxes_csv(path).boxes).all()
    except AnnotationError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either outcome is right


# ---- scores in XML --------------------------------------------------------------------------------------------------


BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"


def test_scores_in_xml(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    objects = (
        "<confidence> 0.5 </confidence>",
        "<score>1</score>",
        "",
        "<score>0</score><confidence>0.25</confidence>",
    )
    path.write_text(f"<a>{''.join(f'<object>{BOX}{score}</object>' for score in objects)}</a>")
    np.testing.assert_array_equal(read_boxes_xml(path).scores, [0.5, 1, np.nan, 0.25])
    for broken in ("<score/>", "<score>high</score>", "<score>nan</score>", "<confidence>1e999</confidence>"):
        path.write_text(f"<a><object>{BOX}{broken}</object></a>")
        refused(path, "object 1", "score")


def test_outlines_are_the_annotations_with_an_area(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], [5, 5]]}
    path = stored(
        tmp_path / "a.geojson",
        collection(
            feature(rectangle(1, 2), objectType="annotation", classification={"name": "Normal region"}),
            feature(rectangle(3, 4), objectType="detection"),
            feature(line, objectType="annotation"),
            feature(line, objectType="detection"),
            feature(rectangle(5, 6)),
        ),
    )
    areas = read_areas(path)
    assert [(region.box[:2], region.normal) for region in areas.regions] == [((1, 2), False), ((5, 6), False)]
    assert {left.reason: left.count for left in areas.left_out} == {Reason.OF_MODELS: 2, Reason.LINES: 1}
    some = read_areas(stored(tmp_path / "b.geojson", collection(feature(rectangle(1, 2)), {"type": "Feature"})))
    assert [region.box[:2] for region in some.regions] == [(1, 2)]
    assert some.left_out[0].named == ("feature 2: has no geometry",)
    with pytest.raises(AnnotationError, match="feature 1"):
        read_areas(stored(tmp_path / "c.geojson", collection({"type": "Feature"})))


def test_the_largest_coordinate_is_allowed(tmp_path: Path) -> None:
    for value, fits in ((1e9, True), (-1e9, True), (1e9 + 1, False), (-1e9 - 1, False)):
        path = stored(tmp_path / "a.geojson", collection(feature({"type": "Point", "coordinates": [value, 0]})))
        if fits:
            assert read_geojson(path).boxes.tolist() == [[value, 0, value, 0]]
        else:
            with pytest.raises(AnnotationError, match="not a number up to 1e\\+09"):
                read_geojson(path)

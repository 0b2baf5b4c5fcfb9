"""The scripts for QuPath in docs/qupath, run by Groovy against stand-ins for QuPath's classes (tests/qupath_stubs).

The stand-ins have only what QuPath 0.4 to 0.8 all have, so that a script that asks for more fails.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from run_records import MADE
from scanned_slides import many, scanned

from signetscan.annotations import read_geojson
from signetscan.formats import csv_file
from signetscan.formats.colours import LABEL_COLOURS
from signetscan.formats.parts import write_files
from signetscan.formats.result_files import RECORD_SUFFIX
from signetscan.formats.writers import write_formats
from signetscan.measurements import MEASURES, NO_TISSUE, Measurements, rounded
from signetscan.results.record_parts import ResultFile
from signetscan.results.run_record import write_run_record
from signetscan.slides import Bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.formats.scanned_slide import ScannedSlide

ROOT = Path(__file__).resolve().parent.parent
STUBS = Path(__file__).resolve().parent / "qupath_stubs"
pytestmark = pytest.mark.slow

IMPORT, EXPORT = (ROOT / "docs" / "qupath" / f"{name}.groovy" for name in ("import_results", "export_corrections"))
JARS = [Path("/usr/share/java") / name for name in ("groovy-all.jar", "gson.jar")]
BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a program that runs for a second, code that is optimised costs more than it saves."""
SIZE = (90_000, 60_000)

Image = dict[str, Any]
Run = Callable[[Path, list[Image], Path], tuple[list[Image], list[str]]]


@pytest.fixture(scope="module")
def groovy(made_once: Callable[[str, Callable[[Path], object]], Path]) -> list[str]:
    """The words that run a Groovy script which sees Gson and the compiled stand-ins."""
    java = shutil.which("java")
    if java is None or not all(jar.exists() for jar in JARS):
        pytest.skip("no Groovy and Gson here: apt-get install groovy libgoogle-gson-java")
    jars = ":".join(map(str, JARS))
    sources = sorted(map(str, STUBS.glob("qupath/**/*.groovy")))
    compiler = [java, *BRIEF, "-cp", jars, "org.codehaus.groovy.tools.FileSystemCompiler", "-d"]
    compiled = made_once(
        "qupath-stubs",
        lambda out: subprocess.run([*compiler, str(out), *sources], check=True, timeout=300),  # noqa: S603 - ours
    )
    return [java, *BRIEF, "-Dfile.encoding=UTF-8", "-cp", f"{jars}:{compiled}", "groovy.ui.GroovyMain"]


@pytest.fixture
def run(groovy: list[str], tmp_path: Path) -> Run:
    """Runs a script for all images of a project; gives the images after it, and the lines that it printed."""

    def run_script(script: Path, images: list[Image], folder: Path) -> tuple[list[Image], list[str]]:
        project = tmp_path / "project.json"
        project.write_text(json.dumps(images), encoding="utf-8")
        words = [*groovy, str(STUBS / "run_for_project.groovy"), str(script), str(project), str(folder)]
        done = subprocess.run(  # noqa: S603 - written above
            words, capture_output=True, encoding="utf-8", check=True, timeout=300
        )
        after: list[Image] = json.loads(project.read_text(encoding="utf-8"))
        return after, done.stdout.splitlines()

    return run_script


def image(path: str = "/data/s.svs", **changes: object) -> Image:
    return {
        "id": path,
        "name": path.rpartition("/")[2],
        "uris": [f"file:{path}"],
        "width": SIZE[0],
        "height": SIZE[1],
        "type": "OpenSlide",
        "objects": [],
        **changes,
    }


def thing(kind: str, of_class: str | None, number: int = 0, **changes: object) -> dict[str, object]:
    box = [10 * number, 0, 5, 5]
    identity = f"00000000-0000-4000-8000-{number:012d}"
    return {"type": kind, "class": of_class, "id": identity, "box": box, "measurements": {}, "name": None, **changes}


def write_results(
    folder: Path,
    name: str,
    slide: ScannedSlide,
    formats: Sequence[str] = ("geojson", "csv"),
    bounds: Bounds | None = None,
    objects_per_file: int | None = None,
) -> None:
    """Results as detect leaves them, with their run record."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    paths, _ = write_files(target, formats, slide, objects_per_file)
    labels = slide.detections.labels.tolist()
    record = replace(
        MADE,
        slide=replace(MADE.slide, name=target.name, dimensions=SIZE, bounds=bounds),
        model=replace(MADE.model, class_names=slide.class_names),
        geojson_origin=slide.origin,
        detections={each: labels.count(label) for label, each in enumerate(slide.class_names)},
        files={each: ResultFile.of(*parts) for each, parts in paths.items()},
    )
    write_run_record(target.with_name(target.name + RECORD_SUFFIX), record)


class Shown(NamedTuple):
    """A detection, as QuPath has it."""

    id: str
    of_class: str
    colour: int
    measurements: dict[str, float]
    box: list[float]
    """x, y, width, height, in the image."""


def as_geojson(path: Path) -> list[Shown]:
    """What our GeoJSON says of each detection, by another parser."""
    rows = []
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        (x0, y0), _, (x1, y1), *_ = feature["geometry"]["coordinates"][0]
        properties = feature["properties"]
        red, green, blue = properties["classification"]["color"]
        colour = int.from_bytes(bytes([255, red, green, blue]), signed=True)
        name, box = properties["classification"]["name"], [x0, y0, x1 - x0, y1 - y0]
        rows.append(Shown(feature["id"], name, colour, properties["measurements"], box))
    return rows


def as_shown(after: Image) -> list[Shown]:
    names = ("id", "class", "colour", "measurements", "box")
    return [Shown(*(each[name] for name in names)) for each in after["objects"] if each["type"] == "detection"]


def assert_same(after: Image, path: Path) -> None:
    shown, expected = as_shown(after), as_geojson(path)
    assert [row[:4] for row in shown] == [row[:4] for row in expected]
    np.testing.assert_allclose([row.box for row in shown], [row.box for row in expected], atol=1e-6)


@pytest.mark.parametrize("kind", ["csv", "geojson"])
def test_measurements_are_those_of_the_geojson(run: Run, tmp_path: Path, kind: str) -> None:
    tissues, names = ("=sum(a)", 'odd, "quoted"', "Gland"), ("Signet ring cell", 'a, "b"')
    slide = replace(many(60, classes=2), class_names=names)
    rng = np.random.default_rng(0)
    measured = Measurements(
        values=rounded(rng.uniform(0, 2, (60, len(MEASURES)))),
        tissue=rng.choice(np.array([0, 1, 2, NO_TISSUE], np.uint8), 60),
        tissues=tissues,
    )
    slide = replace(slide, detections=replace(slide.detections, measured=measured))
    write_results(tmp_path / "r", "s", slide, (kind,))
    write_formats({"geojson": tmp_path / "expected"}, slide)
    (shown,), printed = run(IMPORT, [image()], tmp_path / "r")
    assert printed == [f"s.svs: 60 detections from s.{kind}"]
    assert_same(shown, tmp_path / "expected")
    features = json.loads((tmp_path / "expected").read_text(encoding="utf-8"))["features"]
    assert [each["metadata"] for each in shown["objects"]] == [
        feature["properties"]["metadata"] for feature in features
    ]


@pytest.mark.parametrize("kind", ["csv", "geojson", "geojson.gz"])
def test_objects_are_those_of_the_geojson(run: Run, tmp_path: Path, kind: str) -> None:
    names = ("Signet ring cell", 'odd, "quoted" 100 %', "=sum(a)", "Zelle: ß 印戒")
    slide = replace(many(5000, classes=4), class_names=names)
    write_results(tmp_path / "r", "s", slide, (kind,))
    write_formats({"geojson": tmp_path / "expected"}, slide)
    (shown,), printed = run(IMPORT, [image()], tmp_path / "r")
    assert_same(shown, tmp_path / "expected")
    assert {each["name"] for each in shown["objects"]} == {f"signetscan: {name}" for name in names}
    assert printed == [f"s.svs: 5000 detections from s.{kind}"]


@pytest.mark.parametrize("kind", ["geojson", "geojson.gz"])
def test_parts_are_put_in_together(run: Run, tmp_path: Path, kind: str) -> None:
    """With what the model says of itself at the end of each; a part that is missing or cut short changes nothing."""
    slide = replace(many(25, classes=2), learnt_from="drawn cells only")
    write_results(tmp_path / "r", "s", slide, (kind,), objects_per_file=10)
    write_formats({"geojson": tmp_path / "expected"}, slide)
    (shown,), printed = run(IMPORT, [image()], tmp_path / "r")
    assert_same(shown, tmp_path / "expected")
    assert printed == [f"s.svs: 25 detections from s.part1.{kind} and 2 more"]
    second = tmp_path / "r" / f"s.part2.{kind}"
    second.write_bytes(second.read_bytes()[:-9])
    (shown,), printed = run(IMPORT, [image()], tmp_path / "r")
    assert (shown["objects"], "its run record says" in printed[0]) == ([], True)
    second.unlink()
    (shown,), printed = run(IMPORT, [image()], tmp_path / "r")
    assert (shown["objects"], "is not there" in printed[0]) == ([], True)


def test_the_script_knows_the_columns_and_colours() -> None:
    text = IMPORT.read_text(encoding="utf-8")
    assert f'HEADER = "{",".join(csv_file.COLUMNS)}"' in text
    listed = re.findall(r"\[(\d+), (\d+), (\d+)\]", text)
    assert [tuple(map(int, colour)) for colour in listed] == list(LABEL_COLOURS)


def test_coordinates_follow_what_qupath_shows(run: Run, tmp_path: Path) -> None:
    """Cropped to the slide's bounds or not, whichever way the GeoJSON counts."""
    bounds = Bounds(1000, 200, 50_000, 40_000)
    images: list[Image] = []
    expected = []
    for origin in ((0, 0), (1000, 200)):
        for kind in ("csv", "geojson"):
            for size, box in (((50_000, 40_000), [100, 30, 30, 35]), (SIZE, [1100, 230, 30, 35])):
                name = f"s{len(images)}"
                slide = scanned([(1100.0, 230.0, 1130.0, 265.0)], [0.5], [0], origin=origin)
                write_results(tmp_path / "r", name, slide, (kind,), bounds=bounds)
                images.append(image(f"/data/{name}.mrxs", width=size[0], height=size[1]))
                expected.append(box)
    shown, _ = run(IMPORT, images, tmp_path / "r")
    assert [each["objects"][0]["box"] for each in shown] == expected


def test_only_what_signetscan_made_is_replaced(run: Run, tmp_path: Path) -> None:
    """Not annotations, other tools' detections with a Score, or what somebody gave another class."""
    write_results(tmp_path / "r", "s", replace(many(40), class_names=("Cell",)))
    others = [
        thing("annotation", "Positive region", 1),
        thing("detection", "Cell", 2, measurements={"Score": 0.5}),
        thing("tile", None, 3),
    ]
    (first,), _ = run(IMPORT, [image(objects=others)], tmp_path / "r")
    assert len(first["objects"]) == 43
    first["objects"][5]["class"] = "Ignore*"
    changed = first["objects"][5]["id"]
    write_results(tmp_path / "r", "s", replace(many(30), class_names=("Cell",)))
    (second,), printed = run(IMPORT, [first], tmp_path / "r")
    assert [each["id"] for each in second["objects"][:3]] == [each["id"] for each in others]
    assert [each["class"] for each in second["objects"] if each["id"] == changed] == ["Ignore*"]
    ids = {each["id"] for each in second["objects"][3:]}
    assert ids == {row.id for row in as_geojson(tmp_path / "r" / "s.geojson")} | {changed}
    assert len(ids) == len(second["objects"]) - 3
    said = "1 kept, because somebody changed the class; 2 other detections left as they are"
    assert printed == [f"s.svs: {len(ids) - 1} detections from s.csv; 39 of an earlier import replaced; {said}"]


def test_what_was_dragged_in_is_not_doubled(run: Run, tmp_path: Path) -> None:
    write_results(tmp_path / "r", "s", replace(many(3), class_names=("Cell",)))
    rows = as_geojson(tmp_path / "r" / "s.geojson")
    dragged = [thing("detection", row.of_class, 7, id=row.id) for row in rows]
    dragged[1]["class"] = "Ignore*"
    (shown,), printed = run(IMPORT, [image(objects=dragged)], tmp_path / "r")
    assert sorted(each["id"] for each in shown["objects"]) == sorted(row.id for row in rows)
    assert sorted(each["class"] for each in shown["objects"]) == ["Cell", "Cell", "Ignore*"]
    assert "2 of an earlier import replaced; 1 kept" in printed[0]


def test_an_image_finds_its_results(run: Run, tmp_path: Path) -> None:
    """By the file, whatever the image is called; by the name where the file is called otherwise."""
    wanted = {
        "a": image("/data/a.svs"),
        "b": image("/data/b.ome.tif", name="b.ome.tif - Image0"),
        "c": image("/data/c.scn", name="c.scn - Series 1"),
        "d é": image("/data/d%20%C3%A9.svs", name="renamed"),
        "e\u00e9": image("/data/ee%CC%81.svs", name="an accent apart"),
        "A/f": image("/data/A/f.svs"),
        "B/f": image("/data/B/f.svs"),
        "g.svs": image("/data/g.svs"),
        "g.ndpi": image("/data/g.ndpi"),
        "h": image("/moved/x.svs", name="h.svs"),
        "i": image("/omero/", uris=["https://host/webclient/?show=image-1"], name="i.scn - Series 1"),
    }
    for number, name in enumerate(wanted, start=1):
        write_results(tmp_path / "r", name, many(number))
    shown, printed = run(IMPORT, list(wanted.values()), tmp_path / "r")
    assert [len(each["objects"]) for each in shown] == list(range(1, len(wanted) + 1)), printed
    assert printed[9] == "h.svs: 10 detections from h.csv, found by the image's name, not its file's"
    assert len(printed) == len(wanted)


def test_an_image_may_be_open_without_a_project(run: Run, tmp_path: Path) -> None:
    write_results(tmp_path / "r", "s", many(2))
    (shown,), printed = run(IMPORT, [image(id=None)], tmp_path / "r")
    assert len(shown["objects"]) == 2
    assert printed[0] == "s.svs: 2 detections from s.csv"
    assert printed[1].startswith("Not saved yet.")


def test_an_image_of_another_slide_gets_nothing(run: Run, tmp_path: Path) -> None:
    for name in ("a", "A/s", "c", "d", "e"):
        write_results(tmp_path / "r", name, many(2))
    images = [
        image("/data/t.svs"),
        image("/data/B/s.svs"),
        image("/data/c%20-%20d.svs", name="c - d.svs"),
        image("/data/d.svs", width=9),
        image("/data/e.svs", type="OpenSlide (Rotate 180)"),
    ]
    shown, printed = run(IMPORT, images, tmp_path / "r")
    assert not any(each["objects"] for each in shown)
    of_slide = "and the results {} are of a slide of 90000 x 60000"
    nothing = f"NOT IMPORTED, no results in {tmp_path / 'r'} are named as this image or its file"
    assert printed == [
        f"t.svs: {nothing}",
        f"s.svs: {nothing}",
        f"c - d.svs: {nothing}",
        f"d.svs: NOT IMPORTED, it is 9 x 60000 pixels (OpenSlide), {of_slide.format('d')}",
        f"e.svs: NOT IMPORTED, it is 90000 x 60000 pixels (OpenSlide (Rotate 180)), {of_slide.format('e')}",
        "No image of the project takes 3 of the results: A/s, a, c",
    ]


def test_what_matches_nothing_or_too_much_is_said(run: Run, tmp_path: Path) -> None:
    for name in ("s", "left", "sub/over"):
        write_results(tmp_path / "r", name, many(2))
    images = [image("/a/s.svs"), image("/b/s.svs"), image("/b/left.svs"), image("/b/left.svs", id="copy")]
    shown, printed = run(IMPORT, images, tmp_path / "r")
    assert [len(each["objects"]) for each in shown] == [0, 0, 2, 2]
    assert [line.partition(",")[0] for line in printed[:2]] == ["s.svs: NOT IMPORTED", "s.svs: NOT IMPORTED"]
    assert printed[-1] == "No image of the project takes 1 of the results: sub/over"


@pytest.mark.parametrize("kind", ["csv", "geojson"])
def test_a_file_that_is_not_whole_changes_nothing(run: Run, tmp_path: Path, kind: str) -> None:
    write_results(tmp_path / "r", "s", many(9), (kind,))
    file, record = tmp_path / "r" / f"s.{kind}", tmp_path / "r" / "s.run.json"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:4] + lines[5:]))
    before = [thing("detection", "Cell", 1, name="signetscan: Cell")]
    (shown,), printed = run(IMPORT, [image(objects=before)], tmp_path / "r")
    assert [each["id"] for each in shown["objects"]] == [before[0]["id"]]
    assert "its run record says" in printed[0]
    changed = json.loads(record.read_text())
    changed["files"][kind]["bytes"] = file.stat().st_size
    record.write_text(json.dumps(changed))
    (shown,), printed = run(IMPORT, [image(objects=before)], tmp_path / "r")
    assert [each["id"] for each in shown["objects"]] == [before[0]["id"]]
    assert "8 detections, and its run record says 9; nothing was changed" in printed[0]


def test_no_detections_are_a_result(run: Run, tmp_path: Path) -> None:
    for name, kind in (("s", "csv"), ("t", "geojson")):
        write_results(tmp_path / "r", name, many(0), (kind,))
    shown, printed = run(IMPORT, [image(), image("/data/t.svs")], tmp_path / "r")
    assert [each["objects"] for each in shown] == [[], []]
    assert printed == ["s.svs: 0 detections from s.csv", "t.svs: 0 detections from t.geojson"]


def test_corrections_of_each_image_are_read_back(run: Run, tmp_path: Path) -> None:
    objects = [
        thing("annotation", "Positive region", 1, box=[0, 0, 500, 500]),
        thing("annotation", "Cell", 2),
        thing("detection", "Cell", 3, measurements={"Score": 0.5}),
        thing("detection", "Ignore*", 4),
        thing("tile", None, 5),
    ]
    images = [
        image("/data/s.ome.tif", objects=objects),
        image("/data/t.svs", objects=objects[2:4]),
        image("/data/u.svs"),
    ]
    shown, printed = run(EXPORT, images, tmp_path / "out")
    assert [each["objects"] for each in shown] == [each["objects"] for each in shown]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["s.geojson", "t.geojson"]
    read = read_geojson(tmp_path / "out" / "s.geojson")
    assert (len(read.regions), read.names, read.kinds[0]) == (1, ("Cell", "Cell", "Ignore*"), "annotation")
    assert read.scores[1] == 0.5
    ids = [feature["id"] for feature in json.loads((tmp_path / "out" / "s.geojson").read_text())["features"]]
    assert ids == [each["id"] for each in objects[:4]]
    assert printed == [
        "s.ome.tif: 2 annotations and 2 detections in s.geojson",
        "t.svs: 0 annotations and 2 detections in t.geojson; no region says what was looked through",
        "u.svs: NOT EXPORTED, it has no annotations and no detections",
    ]


def test_no_corrections_are_written_over(run: Run, tmp_path: Path) -> None:
    """Of images of one name each has a file; results of detect stay; a second export replaces the first."""
    objects = [thing("annotation", "Cell", 2)]
    images = [image(f"/{folder}/s.svs", id=folder, objects=objects) for folder in "ab"] + [
        image("/data/t.svs", objects=objects)
    ]
    write_results(tmp_path / "out", "t", many(2))
    before = (tmp_path / "out" / "t.geojson").read_bytes()
    for _ in range(2):
        _, printed = run(EXPORT, images, tmp_path / "out")
        assert (tmp_path / "out" / "t.geojson").read_bytes() == before
        assert len(read_geojson(tmp_path / "out" / "s-a.geojson").names) == 1
        assert len(read_geojson(tmp_path / "out" / "s-b.geojson").names) == 1
        assert "s.svs would have the same file name" in printed[0]
        assert "would be written over" in printed[2]
    assert not list((tmp_path / "out").glob(".*"))

"""The viewer's parts: Deep Zoom tiles, and marks with their file."""

from __future__ import annotations

import io
import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from served_viewer import SAMPLE, one, scanned

from signetscan.annotations import read_geojson
from signetscan.detections import Detections
from signetscan.errors import AnnotationError, OptionError
from signetscan.formats.geojson import write_geojson
from signetscan.slides import ArraySlide, open_slide
from signetscan.viewer import (
    DeepZoom,
    Mark,
    Marks,
    SavedMarks,
    TileLayout,
    Verdict,
    read_marks,
    saving,
    write_marks,
)
from signetscan.viewer.app import packed, ranked
from signetscan.viewer.deepzoom import jpeg
from signetscan.viewer.merging import said
from signetscan.viewer.saving import MarksFile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.scanned_slide import ScannedSlide

SIZES = [(1, 1), (1, 7), (509, 3), (510, 511), (512, 1021), (1300, 700), (2111, 515)]


def picture(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)


def mean_of_blocks(pixels: NDArray[np.uint8], scale: int) -> NDArray[np.float64]:
    """The slow truth: the picture on white, each block of pixels averaged."""
    height, width = (-(-side // scale) for side in pixels.shape[:2])
    white = np.full((height * scale, width * scale, 3), 255.0)
    white[: pixels.shape[0], : pixels.shape[1]] = pixels
    mean: NDArray[np.float64] = white.reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
    return mean


# ---- Deep Zoom ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.integers(1, 300_000), st.integers(1, 300_000), st.integers(1, 600), st.integers(0, 4), st.data())
def test_tiles_cover_each_level_once(width: int, height: int, tile: int, overlap: int, data: st.DataObject) -> None:
    layout = TileLayout(width, height, tile, overlap)
    assert layout.size(layout.top) == (width, height)
    assert layout.size(0) == (1, 1)
    level = data.draw(st.integers(layout.lowest, layout.top))
    size, grid = layout.size(level), layout.grid(level)
    assert size == tuple(math.ceil(side / 2 ** (layout.top - level)) for side in (width, height))
    column, row = (data.draw(st.integers(0, count - 1)) for count in grid)
    assert layout.holds(level, column, row)
    rect = layout.rect(level, column, row)
    for axis, place in enumerate((column, row)):
        start, end = rect[axis], rect[axis + 2]
        assert start == (0 if place == 0 else place * tile - overlap) or start == 0
        assert start < end <= size[axis]
        assert end == size[axis] if place == grid[axis] - 1 else end >= (place + 1) * tile
    for beyond in (
        (level, grid[0], 0),
        (level, 0, grid[1]),
        (level, -1, 0),
        (layout.top + 1, 0, 0),
        (layout.lowest - 1, 0, 0),
    ):
        assert not layout.holds(*beyond)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tiles_of_each_level_make_the_picture_at_its_size(width: int, height: int) -> None:
    pixels = picture(width, height)
    zoom = DeepZoom(ArraySlide([pixels], mpp=0.25))
    layout = zoom.layout
    for level in range(layout.lowest, layout.top + 1):
        expected = mean_of_blocks(pixels, layout.scale(level))
        columns, rows = layout.grid(level)
        for column in range(columns):
            for row in range(rows):
                x0, y0, x1, y1 = layout.rect(level, column, row)
                tile = zoom.tile(level, column, row)
                assert tile.shape == (y1 - y0, x1 - x0, 3)
                np.testing.assert_allclose(tile, expected[y0:y1, x0:x1], atol=0.51)


@pytest.mark.parametrize(("width", "height"), [(2048, 1536), (2051, 1543)])
def test_levels_of_the_slide_are_used_and_agree(width: int, height: int) -> None:
    """A smooth picture, so that resampling hardly matters but a shift does: by 8 grey levels a pixel of the level.

    One pixel is what rounded sizes of levels may shift it by, at its far end.
    """
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    pixels = np.stack([abs(x % 400 - 200) + 20, abs(y % 400 - 200) + 20, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    small = np.asarray(Image.fromarray(pixels).resize((width // 4, height // 4), Image.Resampling.BOX))
    slide = Recorder(pixels, small)
    zoom = DeepZoom(slide)
    level = zoom.layout.top - 3
    tile = zoom.tile(level, 0, 0)
    assert slide.levels == {1}
    expected = mean_of_blocks(pixels, 8)[: tile.shape[0], : tile.shape[1]]
    off = np.abs(tile - expected)[:-1, :-1]  # the last ones are partly beyond the slide
    assert off.max() <= 9
    assert off[:100, :100].max() <= 4


class Recorder(ArraySlide):
    """Notes what is read."""

    largest = 0

    def __init__(self, *pixels: NDArray[np.uint8]) -> None:
        super().__init__(pixels, mpp=0.25)
        self.levels: set[int] = set()

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        self.levels.add(level)
        self.largest = max(self.largest, size[0] * size[1])
        return super().read_region(location, level, size)


def test_a_slide_without_small_levels_is_read_in_pieces() -> None:
    slide = Recorder(np.full((6000, 12_000, 3), 77, np.uint8))
    tile = DeepZoom(slide).tile(8, 0, 0)
    assert tile.shape == (94, 188, 3)
    assert (tile[:93, :187] == 77).all()
    assert slide.largest <= 4096**2


def test_a_real_slide_looks_as_openslide_shows_it() -> None:
    with open_slide(SAMPLE) as slide:
        zoom = DeepZoom(slide)
        whole = slide.read_region((0, 0), 0, slide.dimensions)
        top = zoom.layout.top
        x0, y0, x1, y1 = zoom.layout.rect(top, 3, 2)
        np.testing.assert_array_equal(zoom.tile(top, 3, 2), whole[y0:y1, x0:x1])
        assert slide.level_downsamples[1] == 4
        small = slide.read_region((0, 0), 1, slide.level_dimensions[1])
        x0, y0, x1, y1 = zoom.layout.rect(top - 2, 1, 0)
        np.testing.assert_array_equal(zoom.tile(top - 2, 1, 0), small[y0:y1, x0:x1])


def test_a_jpeg_is_close_to_its_pixels() -> None:
    smooth = np.asarray(Image.fromarray(picture(8, 8)).resize((128, 100), Image.Resampling.BICUBIC))
    decoded = np.asarray(Image.open(io.BytesIO(jpeg(smooth))))
    assert decoded.shape == smooth.shape
    assert np.abs(decoded.astype(int) - smooth).mean() < 3


# ---- marks ----------------------------------------------------------------------------------------------------------

NAMES = ("Signet ring cell", "Ünïcode: <b>", "100%")
DIMENSIONS = (900, 700)


@st.composite
def detections(draw: st.DrawFn, most: int = 8) -> Detections:
    edge = st.integers(0, 40_000)
    side = st.integers(1, 9999)
    rows = draw(st.lists(st.tuples(edge, edge, side, side, st.integers(0, 10_000), st.integers(0, 2)), max_size=most))
    values = np.array(rows, np.float64).reshape(-1, 6)
    low = values[:, :2] / 100
    found = Detections(
        boxes=np.concatenate([low, low + values[:, 2:4] / 100], axis=1).round(2),
        scores=(values[:, 4] / 10_000).astype(np.float32),
        labels=values[:, 5].astype(np.int64),
    )
    return ranked(found)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["accept", "reject", "clear"]), st.integers(-1, 12)),
        st.tuples(st.just("add"), st.tuples(*[st.floats(-50, 950)] * 4), st.integers(-1, 3)),
        st.tuples(st.just("undo")),
    ),
    max_size=15,
)


def after(found: Detections, steps: list[tuple[object, ...]]) -> Marks:
    """Marks after some steps. What is refused must change nothing, and what is undone lead to what was before."""
    marks = Marks(detections=found, classes=len(NAMES), dimensions=DIMENSIONS)
    states: list[dict[int, Mark]] = [{}]
    for action, *values in steps:
        try:
            getattr(marks, str(action))(*values)
        except OptionError:
            assert marks.by_number == states[-1]
            continue
        if action != "undo":
            states.append(dict(marks.by_number))
        elif len(states) > 1:
            states.pop()
        assert marks.by_number == states[-1]
        assert marks.can_undo == (len(states) > 1)
    return marks


@given(detections(), STEPS)
def test_marks_say_what_was_said_last(found: Detections, steps: list[tuple[object, ...]]) -> None:
    marks = after(found, steps)
    for number, mark in marks.by_number.items():
        x0, y0, x1, y1 = mark.box
        if number < len(found):
            np.testing.assert_array_equal(mark.box, found.boxes[number])
            assert mark.score == found.scores[number]
        else:
            assert mark.verdict is Verdict.ACCEPTED
            assert 0 <= x0 < x1 <= DIMENSIONS[0]
            assert 0 <= y0 < y1 <= DIMENSIONS[1]
    while marks.can_undo:
        marks.undo()
    assert marks.by_number == {}
    assert marks.undo() is None


def the_slide(found: Detections, origin: tuple[int, int] = (0, 0)) -> ScannedSlide:
    return scanned(found, class_names=NAMES, dimensions=DIMENSIONS, origin=origin)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(detections(), STEPS, st.sampled_from([(0, 0), (101, 53)]))
def test_marks_come_back_from_their_file(
    tmp_path: Path, found: Detections, steps: list[tuple[object, ...]], origin: tuple[int, int]
) -> None:
    path = tmp_path / "x.corrected.geojson"
    of, marks = the_slide(found, origin), after(found, steps).by_number
    write_marks(path, SavedMarks(marks=marks), of, found)
    read = read_geojson(path)
    undecided = np.array([kind == "detection" for kind in read.kinds], np.bool_)
    of_marks = sum(number < len(found) for number in marks)
    assert undecided.sum() == (len(found) - of_marks if of_marks else 0)
    read = read.select(~undecided)
    ordered = [marks[number] for number in sorted(marks)]
    boxes = np.array([mark.box for mark in ordered]).reshape(-1, 4)
    np.testing.assert_allclose(read.boxes + origin * 2, boxes, atol=0.005)
    assert read.names == tuple(NAMES[m.label] if m.verdict is Verdict.ACCEPTED else "Ignore*" for m in ordered)
    np.testing.assert_allclose(read.scores, [mark.score for mark in ordered], atol=5e-5)
    assert set(read.kinds) <= {"annotation"}

    def told(some: dict[int, Mark]) -> list[tuple[object, ...]]:
        return sorted((m.box, m.verdict, m.label if m.verdict is Verdict.ACCEPTED else 0) for m in some.values())

    again = read_marks(path, of, found).marks
    assert told(again) == told(marks)
    of_detections = {number for number in again if number < len(found)}
    assert len(of_detections) >= sum(number < len(found) for number in marks), "a detection's mark is found again"
    write_marks(path, SavedMarks(marks=again), of, found)
    assert told(read_marks(path, of, found).marks) == told(marks)


def test_the_file_is_what_qupath_takes(tmp_path: Path) -> None:
    """A colour with each name, closed rings, ids of their own, a score that is a number or left out."""
    found, path = one(), tmp_path / "x.geojson"
    of = the_slide(found)
    marks = Marks(detections=found, classes=3, dimensions=DIMENSIONS)
    marks.reject(0)
    marks.add((100, 100, 50, 60), 1)
    write_marks(path, SavedMarks(marks=marks.by_number), of, found)
    first, second = json.loads(path.read_text())["features"]
    write_geojson(tmp_path / "found.geojson", found, NAMES, source=of.source)
    (detection,) = json.loads((tmp_path / "found.geojson").read_text())["features"]
    assert detection["id"] not in {first["id"], second["id"]}
    assert first["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "Ignore*", "color": [180, 180, 180]},
        "measurements": {"Score": 0.5},
    }
    assert first["geometry"]["coordinates"] == detection["geometry"]["coordinates"]
    assert second["properties"]["classification"] == {"name": NAMES[1], "color": [31, 120, 180]}
    assert second["properties"]["measurements"] == {}
    ring = second["geometry"]["coordinates"][0]
    assert ring == [[50, 60], [100, 60], [100, 100], [50, 100], [50, 60]]


def test_marks_of_another_model_are_kept(tmp_path: Path) -> None:
    """A new scan finds one cell again and one no more; what was said of both stays, and the new one has no mark."""
    path = tmp_path / "x.geojson"
    old = Detections.concatenate([one(), one((200, 200, 230, 230)), one((300, 300, 330, 330))])
    marks = Marks(detections=old, classes=3, dimensions=DIMENSIONS)
    for number, say in enumerate((marks.accept, marks.accept, marks.reject)):
        say(number)
    write_marks(path, SavedMarks(marks=marks.by_number), the_slide(old), old)
    new = Detections.concatenate([one((400, 400, 440, 440)), one()])
    read = read_marks(path, the_slide(new), new).marks
    told = {number: (mark.box[0], str(mark.verdict)) for number, mark in read.items()}
    assert told == {1: (10, "accepted"), 2: (200, "accepted"), 3: (300, "rejected")}
    again = Marks(detections=new, classes=3, dimensions=DIMENSIONS, by_number=read)
    assert again.add((0, 0, 5, 5), 0) == 4


# ---- files that others changed ------------------------------------------------------------------------------------


def feature(box: tuple[float, ...], name: str | None, kind: str = "annotation", /, **more: object) -> dict[str, Any]:
    """An object as QuPath writes it."""
    x0, y0, x1, y1 = box
    properties: dict[str, Any] = {"objectType": kind, **more}
    if name is not None:
        properties["classification"] = {"name": name, "color": [1, 2, 3]}
    ring = [[x0, y0], [x0, y1], [x1, y1], [x1, y0], [x0, y0]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": properties}


def content(path: Path) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(path.read_text())["features"]
    return features


BOXES = ((10.0, 20.0, 40.0, 60.5), (100.0, 20.0, 140.0, 60.0), (200.0, 20.0, 240.0, 60.0))
FOUND = Detections(boxes=np.array(BOXES), scores=np.array([0.9, 0.8, 0.7], np.float32), labels=np.zeros(3, np.int64))
SLIDE = scanned(FOUND, class_names=NAMES, dimensions=DIMENSIONS)

OTHER_PEOPLES = (
    {
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [
                [[0, 0], [300, 0], [150, 200], [0, 0]],
                [[140, 20], [160, 20], [150, 40], [140, 20]],
            ],
        },
        "properties": {"objectType": "annotation", "classification": {"name": "Positive region", "color": [1, 2, 3]}},
    },
    feature((0, 0, 30, 20), "Tumor", metadata={"by": "reader 2"}),
    feature((0, 0, 30, 20), None),
    feature((0, 0, 800, 600), "Ignore*"),
    feature((5, 5, 9, 9), NAMES[0], "tile"),
    feature((5, 5, 90, 90), NAMES[0], "cell"),
    feature((5, 5, 90, 90), "Stroma", "detection"),
    {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [5, 5]},
        "properties": {"objectType": "annotation"},
    },
    {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[5, 5], [9, 9]]}, "properties": {}},
)
"""What the viewer does not show, and must not lose."""


def test_what_the_viewer_does_not_show_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    outline = feature(BOXES[0], NAMES[0], name="a cell", measurements={"Area": float("nan")})
    outline["geometry"]["coordinates"] = [[[10, 30], [25, 20], [40, 40], [25, 60.5], [10, 30]]]
    path.write_text(json.dumps([*OTHER_PEOPLES, outline, feature(BOXES[1], "Reviewed region", name="mine")]))
    file = MarksFile(path, SLIDE, FOUND)
    marks = Marks(detections=FOUND, classes=3, dimensions=DIMENSIONS, by_number=dict(file.saved.marks))
    assert {number: mark.verdict for number, mark in marks.by_number.items()} == {0: "accepted", 3: "reviewed"}
    marks.reject(2)
    file.save(marks)
    kept = content(path)
    for each in OTHER_PEOPLES:
        assert kept.count(each) == 1
    assert sum(each.get("properties", {}).get("name") in {"a cell", "mine"} for each in kept) == 2
    assert next(e for e in kept if e["properties"].get("name") == "a cell")["geometry"] == outline["geometry"]
    assert [e["properties"].get("objectType") for e in kept].count("detection") == 2, (
        "one is not decided, one is other's"
    )
    marks.reject(0)
    marks.clear(3)
    file.save(marks)
    assert not any(each.get("properties", {}).get("name") in {"a cell", "mine"} for each in content(path))


def test_a_file_says_what_nobody_decided(tmp_path: Path) -> None:
    """Detections without a verdict are those of the run, id and score, once there is any verdict."""
    path = tmp_path / "x.geojson"
    write_geojson(tmp_path / "found.geojson", FOUND, NAMES, source=SLIDE.source)
    as_detected = content(tmp_path / "found.geojson")
    marks = Marks(detections=FOUND, classes=3, dimensions=DIMENSIONS)
    file = MarksFile(path, SLIDE, FOUND)
    marks.add((300, 300, 340, 340), 0)
    file.save(marks)
    assert len(content(path)) == 1
    marks.accept(1)
    file.save(marks)
    assert [each for each in content(path) if each["properties"]["objectType"] == "detection"] == as_detected[::2]
    assert {**read_marks(path, SLIDE, FOUND).marks}.keys() == {1, 3}
    marks.add_region((0, 0, 900, 700), Verdict.REVIEWED)
    marks.clear(1)
    file.save(marks)
    assert [each for each in content(path) if each["properties"]["objectType"] == "detection"] == as_detected


def test_only_annotations_and_new_classes_are_verdicts(tmp_path: Path) -> None:
    """QuPath saved the detections: one as it was, one of another class, one rejected, one of an earlier model."""
    path = tmp_path / "x.geojson"
    features = [
        feature(BOXES[0], NAMES[0], "detection"),
        feature(BOXES[1], NAMES[1], "detection"),
        feature(BOXES[2], "Ignore*", "detection"),
        feature((400, 400, 440, 440), NAMES[0], "detection", measurements={"Score": 0.4}),
    ]
    path.write_text(json.dumps(features))
    saved = read_marks(path, SLIDE, FOUND)
    assert {number: (str(mark.verdict), mark.label) for number, mark in saved.marks.items()} == {
        1: ("accepted", 1),
        2: ("rejected", 0),
    }
    assert (saved.outdated, saved.others) == (1, ())


def test_nested_objects_are_read_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    region = feature((0, 0, 300, 200), "Positive region", childObjects=[feature(BOXES[0], NAMES[0])])
    path.write_text(json.dumps([region]))
    saved = read_marks(path, SLIDE, FOUND)
    assert {number: mark.verdict for number, mark in saved.marks.items()} == {0: "accepted", 3: "positive"}
    assert saved.stored[3].feature == feature((0, 0, 300, 200), "Positive region")


def reviewer(path: Path) -> tuple[MarksFile, Marks]:
    file = MarksFile(path, SLIDE, FOUND)
    return file, Marks(detections=FOUND, classes=3, dimensions=DIMENSIONS, by_number=dict(file.saved.marks))


SAYINGS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from(["accept", "reject", "clear", "add", "undo", "region"]), st.integers(0, 2)
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(SAYINGS)
def test_two_reviewers_lose_nothing(tmp_path: Path, sayings: list[tuple[int, str, int]]) -> None:
    """After each save the file holds what was said last of each box, whoever said it."""
    path = tmp_path / "x.geojson"
    path.unlink(missing_ok=True)
    both = (reviewer(path), reviewer(path))
    in_file: set[object] = set()
    for who, action, number in sayings:
        file, marks = both[who]
        synced = {said(mark) for mark in file.saved.marks.values()}
        box = (300.0 + 50 * number, 300.0 + 100 * who, 340.0 + 50 * number, 340.0 + 100 * who)
        try:
            match action:
                case "add":
                    marks.add(box, number)
                case "region":
                    marks.add_region(box, Verdict.REVIEWED)
                case "undo":
                    marks.undo()
                case _:
                    getattr(marks, action)(number)
        except OptionError:
            continue
        mine = {said(mark) for mark in marks.by_number.values()}
        disputed = file.save(marks)
        after = {said(mark) for mark in marks.by_number.values()}
        assert {said(mark) for mark in read_marks(path, SLIDE, FOUND).marks.values()} == after
        if not disputed:
            assert after == (in_file - (synced - mine)) | (mine - synced)
        in_file = set(after)
    for file, marks in both:
        file.save(marks)
        assert {said(mark) for mark in marks.by_number.values()} == in_file


def test_a_box_that_two_judge_otherwise_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    (first, ours), (second, theirs) = reviewer(path), reviewer(path)
    ours.accept(0)
    first.save(ours)
    theirs.reject(0)
    theirs.accept(2)
    assert second.save(theirs) == {0}
    assert (theirs.by_number[0].verdict, theirs.by_number[2].verdict) == ("accepted", "accepted")
    theirs.undo()
    assert 2 not in theirs.by_number
    assert not theirs.can_undo, "what the other said is not ours to undo"
    theirs.reject(0)
    assert second.save(theirs) == frozenset(), "who says it again knows of the other verdict"
    ours.add((1, 1, 9, 9), 0)
    assert first.save(ours) == frozenset()
    assert ours.by_number[0].verdict == "rejected"


def test_a_file_that_others_made_unreadable_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    file, marks = reviewer(path)
    marks.accept(0)
    file.save(marks)
    path.write_text("{ half a fi")
    marks.accept(1)
    with pytest.raises(AnnotationError, match="not GeoJSON"):
        file.save(marks)
    assert path.read_text() == "{ half a fi", "it may be somebody's work"
    path.unlink()
    file.save(marks)
    assert read_marks(path, SLIDE, FOUND).marks.keys() == {0, 1}
    assert [each.name for each in tmp_path.iterdir()] == [path.name], "no lock and no part is left"


def test_a_change_between_reading_and_writing_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QuPath does not know our lock."""
    path = tmp_path / "x.geojson"
    file, marks = reviewer(path)
    marks.accept(0)
    changes = [[feature(BOXES[1], NAMES[0])], [feature(BOXES[1], NAMES[0]), feature(BOXES[2], "Ignore*")]]
    real = write_marks

    def interrupted(*arguments: Any, **more: Any) -> None:  # noqa: ANN401
        if changes:
            path.write_text(json.dumps(changes.pop(0)))
        real(*arguments, **more)

    monkeypatch.setattr(saving, "write_marks", interrupted)
    file.save(marks)
    assert {number: str(mark.verdict) for number, mark in read_marks(path, SLIDE, FOUND).marks.items()} == {
        0: "accepted",
        1: "accepted",
        2: "rejected",
    }


@given(detections())
def test_the_page_gets_detections_from_the_highest_score_down(found: Detections) -> None:
    content, count = packed(found), len(found)
    assert len(content) == 21 * count
    boxes = np.frombuffer(content, "<f4", 4 * count).reshape(-1, 4)
    scores = np.frombuffer(content, "<f4", count, offset=16 * count)
    np.testing.assert_allclose(boxes, found.boxes, rtol=1e-6)
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_array_equal(np.frombuffer(content, np.uint8, count, offset=20 * count), found.labels)


def test_the_copy_of_openseadragon_is_the_one_that_is_named() -> None:
    static = resources.files("signetscan.viewer") / "static"
    version = (static / "openseadragon.min.js").read_text(encoding="utf-8").splitlines()[0].split()[-1]
    assert f"OpenSeadragon {version}, unchanged" in (static / "README.md").read_text(encoding="utf-8")
    assert "CodePlex Foundation" in (static / "openseadragon.LICENSE.txt").read_text(encoding="utf-8")

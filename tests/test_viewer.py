"""The viewer's parts: Deep Zoom tiles, and marks with their file."""

from __future__ import annotations

import io
import json
import math
from importlib import resources
from typing import TYPE_CHECKING

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
from signetscan.viewer import DeepZoom, Mark, Marks, TileLayout, Verdict, read_marks, write_marks
from signetscan.viewer.app import packed, ranked
from signetscan.viewer.deepzoom import jpeg

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
    write_marks(path, marks, of)
    read = read_geojson(path)
    ordered = [marks[number] for number in sorted(marks)]
    boxes = np.array([mark.box for mark in ordered]).reshape(-1, 4)
    np.testing.assert_allclose(read.boxes + origin * 2, boxes, atol=0.005)
    assert read.names == tuple(NAMES[m.label] if m.verdict is Verdict.ACCEPTED else "Ignore*" for m in ordered)
    np.testing.assert_allclose(read.scores, [mark.score for mark in ordered], atol=5e-5)
    assert set(read.kinds) <= {"annotation"}

    def told(some: dict[int, Mark]) -> list[tuple[object, ...]]:
        return sorted((m.box, m.verdict, m.label if m.verdict is Verdict.ACCEPTED else 0) for m in some.values())

    again = read_marks(path, of, found)
    assert told(again) == told(marks)
    of_detections = {number for number in again if number < len(found)}
    assert len(of_detections) >= sum(number < len(found) for number in marks), "a detection's mark is found again"
    write_marks(path, again, of)
    assert told(read_marks(path, of, found)) == told(marks)


def test_the_file_is_what_qupath_takes(tmp_path: Path) -> None:
    """A colour with each name, closed rings, ids of their own, a score that is a number or left out."""
    found, path = one(), tmp_path / "x.geojson"
    of = the_slide(found)
    marks = Marks(detections=found, classes=3, dimensions=DIMENSIONS)
    marks.reject(0)
    marks.add((100, 100, 50, 60), 1)
    write_marks(path, marks.by_number, of)
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
    write_marks(path, marks.by_number, the_slide(old))
    new = Detections.concatenate([one((400, 400, 440, 440)), one()])
    read = read_marks(path, the_slide(new), new)
    told = {number: (mark.box[0], str(mark.verdict)) for number, mark in read.items()}
    assert told == {1: (10, "accepted"), 2: (200, "accepted"), 3: (300, "rejected")}
    again = Marks(detections=new, classes=3, dimensions=DIMENSIONS, by_number=read)
    assert again.add((0, 0, 5, 5), 0) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classification": {"name": "Tumor", "color": [1, 2, 3]}}, "'Tumor'"),
        ({"classification": {"name": "Positive region", "color": [1, 2, 3]}}, "regions"),
        ({"objectType": "tile"}, "other objects"),
    ],
)
def test_a_file_with_more_than_marks_is_not_written_over(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "x.geojson"
    write_marks(path, {0: Mark(box=(1, 2, 3, 4), label=0, verdict=Verdict.ACCEPTED)}, the_slide(one()))
    content = json.loads(path.read_text())
    content["features"][0]["properties"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=said):
        read_marks(path, the_slide(one()), one())


def test_points_are_not_taken_for_boxes(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [5, 5]}, "properties": {}}
    point["properties"] = {"objectType": "annotation", "classification": {"name": NAMES[0], "color": [1, 2, 3]}}
    path.write_text(json.dumps([point]))
    with pytest.raises(AnnotationError, match="points"):
        read_marks(path, the_slide(one()), one())


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

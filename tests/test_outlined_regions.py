"""Regions of any shape in the viewer: drawn by hand, saved as polygons, and read back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from browser_pages import number, press, shown, until
from served_viewer import SAMPLE, one, sample_cells, scanned, serving

from signetscan.annotations import read_geojson
from signetscan.errors import OptionError
from signetscan.formats.drawn_outlines import drawn_outline
from signetscan.slides import ArraySlide, open_slide
from signetscan.viewer import Marks, SavedMarks, Verdict, Viewer, read_marks, write_marks
from signetscan.viewer.saving import MarksFile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from playwright.sync_api import Browser, Page

SIZE = (1000, 800)
SLIDE = scanned(one(), dimensions=SIZE)


def circle(x: float, y: float, radius: float, corners: int = 60, turns: float = 1) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * math.pi * turns, corners, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def test_what_a_hand_draws_becomes_one_valid_ring() -> None:
    ring = drawn_outline(circle(400, 300, 100), SIZE)
    assert shapely.Polygon(ring).is_valid
    assert shapely.Polygon(ring).area == pytest.approx(shapely.Polygon(circle(400, 300, 100)).area, rel=1e-4)
    trembling = circle(400, 300, 100, 500) + np.random.default_rng(3).normal(0, 0.6, (500, 2))
    assert not shapely.Polygon(trembling).is_valid, "the hand crosses its own line"
    ring = drawn_outline(trembling, SIZE)
    assert shapely.Polygon(ring).is_valid
    assert shapely.Polygon(ring).area == pytest.approx(math.pi * 100**2, rel=0.02)
    looped = np.concatenate([circle(400, 300, 100), [[500, 300], [508, 292], [508, 308], [498, 290]]])
    ring = drawn_outline(looped, SIZE)
    assert shapely.Polygon(ring).is_valid
    assert shapely.Polygon(ring).area == pytest.approx(math.pi * 100**2, rel=0.02)


def test_twice_around_is_once_around() -> None:
    ring = drawn_outline(circle(400, 300, 100, 121, 1.9), SIZE)
    assert shapely.Polygon(ring).is_valid
    assert shapely.Polygon(ring).area == pytest.approx(math.pi * 100**2, rel=0.03)


def test_an_outline_ends_with_the_slide() -> None:
    ring = drawn_outline(circle(0, 0, 100), SIZE)
    assert ring.min() == 0
    assert shapely.Polygon(ring).area == pytest.approx(math.pi * 100**2 / 4, rel=0.01)


@pytest.mark.parametrize(
    ("corners", "why"),
    [
        ([[0, 0], [100, 100], [100, 0], [0, 100]], "parts"),
        ([[100, -50], [200, 100], [300, -50], [400, -50], [400, 600], [0, 600], [-50, 300], [600, 300]], "parts"),
        ([[0, 0], [100, 100]], "three corners"),
        ([[0, 0], [100, 100], [50, 50]], "too small"),
        ([[10, 10], [10, 10], [10, 10]], "too small"),
        ([[-10, -10], [-50, -10], [-50, -50]], "not on the slide"),
    ],
)
def test_what_encloses_nothing_or_several_parts_is_refused(corners: list[list[float]], why: str) -> None:
    with pytest.raises(OptionError, match=why):
        drawn_outline(np.array(corners, np.float64), SIZE)


@pytest.mark.parametrize("origin", [(0, 0), (101, 53)])
def test_a_region_comes_back_as_it_was_drawn(tmp_path: Path, origin: tuple[int, int]) -> None:
    path = tmp_path / "x.geojson"
    of = scanned(one(), dimensions=SIZE, origin=origin)
    marks = Marks(detections=one(), classes=1, dimensions=SIZE)
    for place, verdict in enumerate((Verdict.REVIEWED, Verdict.NORMAL, Verdict.POSITIVE)):
        marks.add_outlined(circle(200 + 100 * place, 300, 90), verdict)
    marks.add_outlined(np.array([[5.0, 5], [50, 5], [50, 40], [5, 40]]), Verdict.NORMAL)
    write_marks(path, SavedMarks(marks=marks.by_number), of, one())
    assert read_marks(path, of, one()).marks == marks.by_number
    for feature in json.loads(path.read_text())["features"][:4]:
        assert shapely.from_geojson(json.dumps(feature["geometry"])).is_valid
    normal = next(region for region in read_geojson(path).regions if region.normal)
    assert normal.holds(np.array([[300.0, 300], [300, 220], [380, 380]]) - origin).tolist() == [True, True, False]
    assert marks.by_number[4].outline == (), "a rectangle is one, however it was drawn"


def test_a_region_is_undone_and_is_there_only_once() -> None:
    marks = Marks(detections=one(), classes=1, dimensions=SIZE)
    marks.add_outlined(circle(200, 300, 90), Verdict.NORMAL)
    with pytest.raises(OptionError, match="already there"):
        marks.add_outlined(circle(200, 300, 90), Verdict.NORMAL)
    marks.add_outlined(circle(200, 300, 90), Verdict.REVIEWED)
    while marks.can_undo:
        marks.undo()
    assert marks.by_number == {}


def region(*rings: NDArray[np.float64]) -> dict[str, Any]:
    closed = [[*ring.tolist(), ring[0].tolist()] for ring in rings]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": closed},
        "properties": {"objectType": "annotation", "classification": {"name": "Normal region"}, "name": "by hand"},
    }


def test_regions_that_were_drawn_in_qupath_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those with holes, which stay as they are, and are told."""
    path = tmp_path / "x.corrected.geojson"
    shown_one = region(circle(300, 300, 90))
    path.write_text(json.dumps([shown_one, region(circle(600, 300, 90), circle(600, 300, 20))]))
    slide = ArraySlide([np.zeros((*SIZE[::-1], 3), np.uint8)], mpp=0.25)
    viewer = Viewer(SLIDE, slide, path)
    (mark,) = json.loads(viewer.get("/marks.json").body)["marks"]
    np.testing.assert_allclose(np.reshape(mark["outline"], (-1, 2)), circle(300, 300, 90), atol=0.006)
    assert mark["verdict"] == "normal"
    (warning,) = viewer.warnings
    assert "1 region" in warning
    assert viewer.post("/marks", {"action": "accept", "number": 0}).status == 200
    names = [each["properties"].get("name") for each in json.loads(path.read_text())["features"]]
    assert names.count("by hand") == 2
    assert viewer.post("/marks", {"action": "clear", "number": mark["number"]}).status == 200
    names = [each["properties"].get("name") for each in json.loads(path.read_text())["features"]]
    assert names.count("by hand") == 1
    monkeypatch.setattr("signetscan.viewer.marks_reading.MOST_CORNERS", 50)
    path.write_text(json.dumps([shown_one]))
    assert "1 region" in Viewer(SLIDE, slide, path).warnings[0]


def test_two_outlines_with_one_box_are_two_regions(tmp_path: Path) -> None:
    path = tmp_path / "x.geojson"
    square = np.array([[100.0, 100], [300, 100], [300, 300], [100, 300]])
    halves = (square[[0, 1, 2]], square[[0, 2, 3]])
    files = [MarksFile(path, SLIDE, one()) for _ in halves]
    for file, half in zip(files, halves, strict=True):
        marks = Marks(detections=one(), classes=1, dimensions=SIZE, by_number=dict(file.saved.marks))
        marks.add_outlined(half, Verdict.REVIEWED)
        assert file.save(marks) == frozenset()
    outlines = {frozenset(mark.outline) for mark in read_marks(path, SLIDE, one()).marks.values()}
    assert outlines == {frozenset(map(tuple, half.tolist())) for half in halves}


@pytest.mark.parametrize(
    "outline",
    [[], [1, 2, 3, 4], [1, 2, 3, 4, 5], "abc", [[1, 2], [3, 4], [5, 6]], [0, 0, 1e300, 0, 0, 10],
     [0, 0, 100, 100, 100, 0, 0, 100], [0.0] * 4002, None, [0, 0, True, 0, 5, 5]],
)  # fmt: skip
def test_no_other_outline_is_taken(tmp_path: Path, outline: Any) -> None:  # noqa: ANN401 - anything
    path = tmp_path / "x.geojson"
    viewer = Viewer(SLIDE, ArraySlide([np.zeros((*SIZE[::-1], 3), np.uint8)], mpp=0.25), path)
    assert viewer.post("/marks", {"action": "normal", "outline": outline}).status == 400
    assert json.loads(viewer.get("/marks.json").body)["marks"] == []
    assert viewer.post("/marks", {"action": "normal", "outline": [0, 0, 90, 5, 50, 80]}).status == 200


# ---- in a browser ---------------------------------------------------------------------------------------------------


def middle(page: Page) -> tuple[float, float]:
    stage = page.locator("#stage").bounding_box()
    assert stage is not None
    return stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2


def test_a_region_is_drawn_by_hand_or_corner_by_corner(browser: Browser, tmp_path: Path) -> None:
    marks = tmp_path / "x.corrected.geojson"
    with (
        open_slide(SAMPLE) as slide,
        serving(scanned(sample_cells()), slide, marks) as server,
        shown(server, browser) as page,
    ):
        x, y = middle(page)
        press(page, "e", "m")
        line = circle(x, y, 120, 40)
        page.mouse.move(*line[0])
        page.mouse.down()
        for point in line[1:]:
            page.mouse.move(*point)
        page.mouse.up()
        press(page)
        assert number(page, "regions") == 1
        assert "without cells" in page.inner_text("#selected")
        (drawn,) = read_geojson(marks).regions
        across = drawn.box[2] - drawn.box[0]
        area = shapely.Polygon(drawn.rings[0]).area
        assert area == pytest.approx(math.pi * (across / 2) ** 2, rel=0.03), "a circle"
        press(page, "Escape")
        page.mouse.click(x + 85, y + 85)
        assert "without cells" in page.inner_text("#selected"), "its outline is selected"
        press(page, "u")
        assert number(page, "regions") == 0
        press(page, "b")
        for dx, dy in ((-100, -80), (100, -80), (300, 300), (0, 90)):
            page.mouse.click(x + dx, y + dy)
            page.wait_for_timeout(350)
        press(page, "u", "Backspace")
        page.mouse.click(x, y + 90)
        page.wait_for_timeout(350)
        page.mouse.click(x - 99, y - 79)
        until(page, "document.getElementById('count-regions').textContent === '1'")
        (drawn,) = read_geojson(marks).regions
        assert len(drawn.rings[0]) == 4
        assert not drawn.normal


def test_a_region_is_drawn_by_keys(browser: Browser, tmp_path: Path) -> None:
    marks = tmp_path / "x.corrected.geojson"
    with (
        open_slide(SAMPLE) as slide,
        serving(scanned(sample_cells()), slide, marks) as server,
        shown(server, browser) as page,
    ):
        press(page, "e", "m", "x", "Enter")
        assert "three corners" in page.inner_text("#message")
        for keys in (("ArrowRight", "ArrowRight"), ("ArrowDown", "ArrowDown")):
            press(page, *keys)
            page.wait_for_timeout(100)
            press(page, "x")
        press(page, "Enter")
        assert number(page, "regions") == 1
        (drawn,) = read_geojson(marks).regions
        assert len(drawn.rings[0]) == 4, "three corners and the first again"
        press(page, "g", "x", "Escape", "Enter")
        assert number(page, "regions") == 2, "without a corner, it is the whole view"
        assert page.is_checked("input[value=outline]")


def test_an_outline_that_crosses_itself_is_told(browser: Browser, tmp_path: Path) -> None:
    with (
        open_slide(SAMPLE) as slide,
        serving(scanned(sample_cells()), slide, tmp_path / "x.corrected.geojson") as server,
    ):
        page = browser.new_page(reduced_motion="reduce")
        page.goto(server.url)
        page.wait_for_selector("body[data-drawn-after-ms]")
        x, y = middle(page)
        press(page, "e", "g")
        for dx, dy in ((-100, -80), (100, 80), (100, -80), (-100, 80)):
            page.mouse.click(x + dx, y + dy)
            page.wait_for_timeout(350)
        press(page, "Enter")
        assert "crosses itself" in page.inner_text("#message")
        assert number(page, "regions") == 0
        page.close()

"""The viewer's page in a real browser."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser_pages import number, press, shown, until
from served_viewer import SAMPLE, said_in, sample_cells, scanned, serving

from signetscan.annotations import read_geojson
from signetscan.detections import Detections
from signetscan.slides import open_slide
from signetscan.viewer.app import ranked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.viewer import ViewerServer

CELL = "Signet ring cell"


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "x.corrected.geojson"


@contextmanager
def served(marks: Path, of: ScannedSlide | None = None) -> Iterator[ViewerServer]:
    with open_slide(SAMPLE) as slide, serving(of or scanned(sample_cells()), slide, marks) as server:
        yield server


def test_it_opens_and_shows_the_slide_and_the_cells(browser: Browser, marks: Path) -> None:
    with served(marks) as server, shown(server, browser) as page:
        assert page.title() == "a slide - signetscan view"
        assert page.url == f"http://127.0.0.1:{server.server_port}/", "the token is gone from the address"
        assert (number(page, "shown"), number(page, "open"), number(page, "accepted")) == (72, 72, 0)
        colours = page.evaluate(
            """() => {
                const slide = document.querySelector("#slide canvas");
                const pixels = slide.getContext("2d").getImageData(0, 0, slide.width, slide.height).data;
                return new Set(pixels).size;
            }"""
        )
        assert colours > 50, "tiles are drawn"
        red = """() => {
            const canvas = document.getElementById("overlay");
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            let count = 0;
            for (let at = 0; at < pixels.length; at += 4) count += pixels[at] > 200 && pixels[at + 1] < 60 ? 1 : 0;
            return count;
        }"""
        assert page.evaluate(red) > 72 * 10, "boxes are drawn"
        press(page, "h")
        until(page, f"({red})() === 0")  # they go with the next frame, which a busy machine draws late
        assert page.inner_text("#scale-text").endswith(("µm", "mm"))
        assert not marks.exists()


def test_the_threshold_changes_what_is_shown(browser: Browser, marks: Path) -> None:
    scores = sample_cells().scores
    with served(marks) as server, shown(server, browser) as page:
        for threshold in (0.5, 0.81, 0.99, 1, 0.28):
            page.locator("#threshold").fill(str(threshold))
            assert number(page, "shown") == np.count_nonzero(scores >= np.float32(threshold))
        page.locator("#threshold").focus()
        page.keyboard.press("ArrowRight")
        assert number(page, "shown") == 71
        press(page, "t", "t", "T")
        assert number(page, "shown") == 70


@pytest.mark.slow
def test_cells_are_visited_in_order_and_marked(browser: Browser, marks: Path) -> None:
    found = ranked(sample_cells())
    with served(marks) as server, shown(server, browser) as page:
        page.locator("#threshold").fill("0.90")
        press(page, "n")
        assert "score 0.90" in page.inner_text("#selected")
        press(page, "n")
        assert "score 0.91" in page.inner_text("#selected")
        press(page, "p", "a")
        assert "score 0.91" in page.inner_text("#selected"), "after a mark it goes on"
        press(page, "r")
        assert "score 0.92" in page.inner_text("#selected")
        assert (number(page, "accepted"), number(page, "rejected"), number(page, "open")) == (1, 1, 8)
        page.select_option("#order", "sure")
        press(page, "Escape")
        press(page, "n")
        assert "score 0.99" in page.inner_text("#selected")
        page.uncheck("#go-on")
        page.click("#accept")
        press(page)
        assert "score 0.99" in page.inner_text("#selected")
        assert "accepted" in page.inner_text("#selected")
        read = said_in(marks)
        assert read.names == (CELL, "Ignore*", CELL)
        np.testing.assert_allclose(read.boxes, found.boxes[[0, 8, 9]], atol=0.01)
        np.testing.assert_allclose(read.scores, [0.99, 0.91, 0.90], atol=1e-4)
        press(page, "u")
        assert len(said_in(marks)) == 2
        press(page, "u", "u")
        assert page.is_disabled("#undo")
        assert len(said_in(marks)) == 0


def test_a_box_that_is_drawn_is_added_where_it_was_drawn(browser: Browser, marks: Path) -> None:
    """It is drawn around the middle of the view, where the visited cell is."""
    found = ranked(sample_cells())
    with served(marks) as server, shown(server, browser) as page:
        page.select_option("#order", "sure")
        press(page, "n")
        page.wait_for_timeout(500)
        stage = page.locator("#stage").bounding_box()
        assert stage is not None
        x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
        page.keyboard.down("Shift")
        drag(page, x - 50, y - 30, x + 50, y + 30)
        page.keyboard.up("Shift")
        press(page)
        assert number(page, "added") == 1
        assert "added" in page.inner_text("#selected")
        read = said_in(marks)
        (box,) = read.boxes
        assert read.names == (CELL,)
        middle = found.boxes[0].reshape(2, 2).mean(axis=0)
        np.testing.assert_allclose(box.reshape(2, 2).mean(axis=0), middle, atol=2)
        assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(100 / 60, rel=0.05)
        press(page, "d")
        drag(page, x + 100, y + 100, x + 160, y + 170)
        press(page)
        assert number(page, "added") == 2
        press(page, "d", "Enter")
        assert number(page, "added") == 3
        press(page, "r")
        assert number(page, "added") == 2, "an added box that is rejected is removed"
        assert len(said_in(marks)) == 2


def drag(page: Page, x0: float, y0: float, x1: float, y1: float) -> None:
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()


@pytest.mark.slow
def test_a_click_selects_and_marks_outlast_a_reload_and_a_restart(browser: Browser, marks: Path) -> None:
    with served(marks) as server, shown(server, browser) as page:
        press(page, "n")
        page.wait_for_timeout(500)
        selected = page.inner_text("#selected")
        press(page, "Escape")
        assert "No cell" in page.inner_text("#selected")
        stage = page.locator("#stage").bounding_box()
        assert stage is not None
        page.mouse.click(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
        assert page.inner_text("#selected") == selected
        press(page, "a", "r")
        page.reload()
        page.wait_for_selector("body[data-drawn-after-ms]")
        page.wait_for_load_state("networkidle")
        assert (number(page, "accepted"), number(page, "rejected"), number(page, "open")) == (1, 1, 70)
        press(page, "u")
        assert number(page, "rejected") == 0, "and can still be undone"
        press(page, "u", "n", "r")
    with served(marks) as server, shown(server, browser) as page:
        assert (number(page, "accepted"), number(page, "rejected"), number(page, "open")) == (0, 1, 71)


def test_regions_and_the_slide_are_said_to_be_looked_through(browser: Browser, marks: Path) -> None:
    with served(marks) as server, shown(server, browser) as page:
        press(page, "n", "g", "Enter")
        assert (number(page, "regions"), number(page, "added")) == (1, 0)
        assert "looked through" in page.inner_text("#selected")
        assert "71 shown" in page.inner_text("#message") or "72 shown" in page.inner_text("#message")
        assert page.is_disabled("#accept")
        press(page, "a")
        assert said_in(marks).names == ("Reviewed region",), "a region is no cell"
        press(page, "r")
        assert number(page, "regions") == 0
        stage = page.locator("#stage").bounding_box()
        assert stage is not None
        x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
        press(page, "m")
        drag(page, x - 90, y - 60, x + 90, y + 60)
        press(page)
        (normal,) = read_geojson(marks).regions
        assert normal.normal
        press(page, "Escape")
        page.mouse.click(x - 90, y)
        assert "without cells" in page.inner_text("#selected")
        page.click("#done")
        press(page)
        assert page.get_attribute("#done", "aria-pressed") == "true"
        assert said_in(marks).boxes.tolist() == [[0, 0, 4200, 2120]]
        press(page, "f")
        assert page.get_attribute("#done", "aria-pressed") == "false"
        assert number(page, "regions") == 1
        press(page, "u")
        assert page.get_attribute("#done", "aria-pressed") == "true"


def test_what_somebody_else_said_meanwhile_is_shown(browser: Browser, marks: Path) -> None:
    with (
        served(marks) as first,
        shown(first, browser) as page,
        served(marks) as second,
        shown(second, browser) as other,
    ):
        press(other, "n", "r")
        press(other, "d", "Enter")
        page.select_option("#order", "sure")
        press(page, "n", "a")
        assert (number(page, "accepted"), number(page, "rejected"), number(page, "added")) == (1, 1, 1)
        assert "2 of their marks" in page.inner_text("#message")
        press(other, "s")
        assert number(other, "accepted") == 1
        page.select_option("#order", "doubt")
        press(page, "Escape", "n")
        press(page, "c")
        press(other, "Escape", "n", "a")
        assert "judged this otherwise" in other.inner_text("#message")
        assert (number(other, "accepted"), number(other, "rejected")) == (2, 0)
        assert len(said_in(marks)) == number(other, "accepted") + number(other, "rejected") + number(other, "added")


def test_what_is_not_saved_is_said(browser: Browser, marks: Path) -> None:
    with served(marks) as server, shown(server, browser) as page:
        marks.mkdir()
        press(page, "n", "a")
        assert "Not saved" in page.inner_text("#saved")
        assert "not saved" in page.inner_text("#message")
        marks.rmdir()
        press(page, "s")
        assert "Saved to x.corrected.geojson" in page.inner_text("#saved")
        assert page.inner_text("#message") == ""
        assert len(said_in(marks)) == 1


HOSTILE = '<img src=x onerror="document.title=\'taken\'"> & "co"'


def test_names_are_text_whatever_they_hold(browser: Browser, marks: Path) -> None:
    found = sample_cells()
    two = Detections(boxes=found.boxes, scores=found.scores, labels=np.arange(len(found)) % 2)
    of = scanned(two, name=HOSTILE, class_names=(CELL, HOSTILE))
    with served(marks, of) as server, shown(server, browser) as page:
        assert page.inner_text("#name") == HOSTILE
        assert page.title() == f"{HOSTILE} - signetscan view"
        assert page.locator("#panel img").count() == 0
        assert page.locator("#classes .name").all_inner_texts() == [CELL, HOSTILE]
        page.locator("#classes input[type=checkbox]").first.uncheck()
        assert number(page, "shown") == 36
        press(page, "n", "a")
        assert said_in(marks).names == (HOSTILE,)
        page.locator("#classes input[type=radio]").last.check()
        press(page, "d", "Enter")
        assert said_in(marks).names == (HOSTILE, HOSTILE)


def test_it_fits_a_phone_and_explains_its_keys(browser: Browser, marks: Path) -> None:
    with served(marks) as server, shown(server, browser, width=360, height=740) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        for part in ("#stage", "#accept", "#reject", "#next", "#draw", "#undo"):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert box["height"] >= 44
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
        press(page, "?")
        assert page.is_visible("#help")
        press(page, "n")
        assert "No cell" in page.inner_text("#selected"), "keys wait for the help to be closed"
        press(page, "Escape")
        assert not page.is_visible("#help")


def test_a_result_without_detections_opens(browser: Browser, marks: Path) -> None:
    with served(marks, scanned(Detections.empty())) as server, shown(server, browser) as page:
        press(page, "n", "p", "a", "u")
        press(page, "d", "Enter")
        assert number(page, "added") == 1
        assert len(said_in(marks)) == 1

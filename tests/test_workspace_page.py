"""The pages of a workspace in a real browser: the work list, the gallery, and a slide with what they lead to."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from browser_pages import low_contrast, low_contrast_when_hovered, press, settle, shown, until
from served_viewer import said_in
from workspaces import Folders, make_folders, write_segmentation_of

from signetscan.viewer import open_viewer
from signetscan.viewer.reviewers import remember_reviewer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from signetscan.viewer import ViewerServer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    square = [[400, 200], [1600, 200], [1600, 1400], [400, 1400], [400, 200]]
    tumour = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "properties": {"objectType": "annotation", "classification": {"name": "Tumour", "color": [0, 0, 255]}},
    }
    folders = make_folders(tmp_path, ["a", "b", "ward/c", "gone"], missing=["gone"])
    write_segmentation_of(folders.results / "b", json.dumps([tumour]))
    return folders


@pytest.fixture
def server(folders: Folders) -> Iterator[ViewerServer]:
    """A workspace whose reviewer gave no name, and was asked."""
    import threading

    remember_reviewer("")
    with open_viewer(folders.results, folders.slides) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def names(page: Page) -> list[str]:
    return page.locator("#slides tbody td.name > a:first-child").all_inner_texts()


def follow(page: Page, *keys: str) -> None:
    """Press keys of which the last leads to another page."""
    with page.expect_navigation():
        for key in keys:
            page.keyboard.press(key)
    settle(page)


def test_the_work_list_says_what_there_is_and_leads_to_slides(server: ViewerServer, browser: Browser) -> None:
    with shown(server, browser, is_slide=False) as page:
        assert page.url == f"http://127.0.0.1:{server.server_port}/", "the token is gone from the address"
        assert page.inner_text("#summary") == "4 slides, 0 reviewed, 1 failed, 1 not found."
        assert names(page) == ["a", "b", "gone", "ward/c"]
        assert page.locator("#failed tbody td").all_inner_texts() == ["bad", "bad.svs: not a slide"]
        page.click("[data-by=detections]")
        assert names(page) == ["a", "b", "ward/c", "gone"]
        page.click("[data-by=detections]")
        assert names(page) == ["gone", "ward/c", "b", "a"]
        press_and_type(page, "/", "war")
        assert names(page) == ["ward/c"]
        page.fill("#search", "")
        page.select_option("#state", "missing")
        assert names(page) == ["gone"]
        page.select_option("#state", "all")
        assert "test" in page.inner_text("#slides tbody tr:first-child td.model")
        assert "scores from 0." in page.inner_text("#slides tbody tr:first-child td.model")
        assert page.is_hidden("#model"), "there is one model alone"
        page.click("[data-by=name]")
        page.locator("h1").click()
        follow(page, "n", "n", "p", "Enter")
        assert page.inner_text("#name") == "a"
        press(page, "n", "a", "r")
        follow(page, "w")
        assert page.inner_text("#name") == "b"
        page.click("#to-list")
        settle(page)
        assert "2 of 72" in page.inner_text("#slides tbody tr:first-child")
        page.select_option("#state", "begun")
        assert names(page) == ["a"]


def press_and_type(page: Page, key: str, text: str) -> None:
    page.keyboard.press(key)
    page.keyboard.type(text)


@pytest.mark.slow
def test_a_link_leads_to_a_place(server: ViewerServer, browser: Browser) -> None:
    with shown(server, browser) as page:
        with page.expect_navigation():
            page.evaluate("location.hash = 'slide=ward/c&n=3'")
        settle(page)
        assert page.inner_text("#name") == "ward/c"
        assert "score 0.90" in page.inner_text("#selected")
        page.goto(f"http://127.0.0.1:{server.server_port}/#slide=../x")
        settle(page)
        assert "no slide called ../x" in page.inner_text("#message")


@pytest.mark.slow
def test_who_reviews_is_asked_for_once(folders: Folders, server: ViewerServer, browser: Browser) -> None:
    with shown(server, browser, is_slide=False) as page:
        assert not page.is_visible("#reviewer"), "it was answered before"
        page.click("#change-reviewer")
        page.fill("#reviewer-name", "Anna")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('who').textContent === 'Reviewer: anna'")
        page.goto(f"http://127.0.0.1:{server.server_port}/slide/0/gallery")
        settle(page)
        assert "Reviewer: anna" in page.inner_text("#saved")
        press(page, "a")
    assert len(said_in(folders.results / "a.corrected.anna.geojson")) == 1


def test_forty_cells_are_judged_by_keys_in_the_gallery(
    folders: Folders, server: ViewerServer, browser: Browser
) -> None:
    marks = folders.results / "a.corrected.geojson"
    with shown(server, browser, is_slide=False) as page:
        follow(page, "n", "l")
        assert page.inner_text("#name") == "a"
        page.keyboard.type("ar" * 20)
        until(page, "document.getElementById('progress').textContent.includes('32 of 72 left')")
        press(page)
        said = said_in(marks)
        assert sorted(set(said.names)) == ["Ignore*", "Signet ring cell"]
        assert [said.names.count(name) for name in ("Ignore*", "Signet ring cell")] == [20, 20]
        assert [round(score, 2) for score in said.scores.tolist()[:4]] == [0.99, 0.98, 0.97, 0.96]
        assert said.names[:2] == ("Signet ring cell", "Ignore*"), "in the order of the keys"
        press(page, "u", "u")
        assert len(said_in(marks)) == 38
        press(page, "A")
        judged = len(said_in(marks))
        assert judged > 38
        press(page, "u")
        assert len(said_in(marks)) == 38, "one step takes it back"
        page.select_option("#state", "accepted")
        assert page.locator(".card").count() > 0
        assert page.locator(".card:not([data-state=accepted])").count() == 0
        page.locator("#cards").focus()
        press(page, "ArrowRight", "c")
        assert len(said_in(marks)) == 37
        follow(page, "Enter")
        assert "Signet ring cell" in page.inner_text("#selected"), "the same cell, in the slide"


@pytest.mark.slow
def test_magnification_is_shown_and_chosen(server: ViewerServer, browser: Browser) -> None:
    with shown(server, browser, is_slide=False) as page:
        follow(page, "n", "Enter")
        for key, times in (("1", 5), ("2", 10), ("3", 20), ("4", 40)):
            press(page, key)
            until(page, f"document.getElementById('times').textContent.startsWith('{times}')")
            assert page.get_attribute(f"#times-{times}", "aria-pressed") == "true"
        bar = page.locator("#scale-bar").bounding_box()
        found = re.fullmatch(r"(\d+) µm", page.inner_text("#scale-text"))
        assert bar is not None
        assert found is not None
        assert float(found[1]) / bar["width"] == pytest.approx(0.25, rel=0.02), "40x is 0.25 µm in a pixel"
        page.click("#zoom-out")
        until(page, "document.getElementById('times').textContent.startsWith('27')")
        assert page.get_attribute("#times-40", "aria-pressed") == "false"
        assert page.is_visible("#minimap")
        press(page, "o")
        assert not page.is_visible("#minimap")
        page.click("#minimap-toggle")
        assert page.is_visible("#minimap")


BLUE = """() => {
    const canvas = document.getElementById("classes-layer");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 3; at < data.length; at += 4) count += data[at] > 0 ? 1 : 0;
    return count / (canvas.width * canvas.height);
}"""


@pytest.mark.slow
def test_tissue_classes_lie_over_the_slide(server: ViewerServer, browser: Browser) -> None:
    with shown(server, browser, is_slide=False) as page:
        follow(page, "n", "n", "Enter")
        page.wait_for_selector("#overlay-part:not([hidden])")
        assert page.locator("#overlay-classes .name").all_inner_texts() == ["Tumour", "Stroma"]
        press(page, "0")
        until(page, f"({BLUE})() > 0.05")
        page.locator("#overlay-classes input").first.uncheck()
        until(page, f"({BLUE})() === 0")
        page.locator("#overlay-classes input").first.check()
        press(page, "v")
        until(page, f"({BLUE})() === 0")
        press(page, "v", "b", "Enter")
        assert "all cells are marked" in page.inner_text("#selected")


@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1280])
def test_everybody_can_read_every_page(server: ViewerServer, browser: Browser, width: int) -> None:
    """Contrast by WCAG, at rest, while the pointer is over a control, and with pressed buttons; nothing is cut off."""
    with shown(server, browser, width=width, is_slide=False) as page:
        for address in ("/", "/slide/1/", "/slide/1/gallery"):
            page.goto(f"http://127.0.0.1:{server.server_port}{address}")
            settle(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address
            if address == "/slide/1/":
                press(page, "n", "a", "d")
            elif address.endswith("gallery"):
                press(page, "a", "r")
            assert low_contrast(page) == [], address
            assert low_contrast_when_hovered(page) == [], address
            page.keyboard.press("Escape")
            page.keyboard.press("?")
            assert low_contrast(page, "dialog[open] *") == [], address


@pytest.mark.slow
def test_a_slide_that_is_not_found_is_said_on_its_page(
    server: ViewerServer, browser: Browser, folders: Folders
) -> None:
    for file in (folders.slides / "a.svs", folders.slides / "b.svs"):
        file.unlink()
    (folders.slides / "ward" / "c.svs").write_bytes(b"no slide")
    page = browser.new_page()
    page.goto(server.url)
    settle(page)
    page.goto(f"http://127.0.0.1:{server.server_port}/slide/0/")
    until(page, "document.getElementById('message').textContent.includes('cannot be shown')")
    assert "name the slide" in page.inner_text("#message")
    page.close()

"""Reports and the index of a folder of results, as the viewer serves them: what runs there, and where links lead."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browser_pages import low_contrast, settle, shown
from served_viewer import ask, content, sample_cells
from workspaces import Folders, make_folders

from signetscan.reports.from_results import report_results
from signetscan.reports.index import write_index
from signetscan.viewer import open_viewer, result_pages
from signetscan.viewer.app import ranked
from signetscan.viewer.reviewers import remember_reviewer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from signetscan.viewer import ViewerServer

NAME = "ward/c #1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    remember_reviewer("")


@pytest.fixture(scope="module")
def reported(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Folders:
    """Results of a slide whose name is special in addresses, with its report and the index."""

    def make(root: Path) -> None:
        folders = make_folders(root, [NAME])
        assert len(list(report_results([folders.results], folders.slides))) == 2

    root = made_once("reported", make)
    return Folders(results=root / "results", slides=root / "slides")


@pytest.fixture
def server(reported: Folders) -> Iterator[ViewerServer]:
    with open_viewer(reported.results, reported.slides) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


REPORT = "/results/ward/c%20%231.report.html"


def test_pages_of_results_are_served_under_a_policy_of_their_own(server: ViewerServer, reported: Folders) -> None:
    for path, file in ((REPORT, f"{NAME}.report.html"), ("/results/index.html", "index.html")):
        reply = ask(server, path)
        assert reply.status == 200
        assert content(reply) == (reported.results / file).read_bytes()
        assert reply.getheader("Content-Type") == "text/html; charset=utf-8"
        assert reply.getheader("X-Content-Type-Options") == "nosniff"
        policy = reply.getheader("Content-Security-Policy") or ""
        own = re.search(r"script-src ('sha256-[^']+')", content(reply).decode())
        assert own is not None
        assert own[1] in policy, "the page's own script may run"
        assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
        assert not re.search(r"script-src [^;]*(self|unsafe|http|\*)", policy)
        assert "frame-ancestors 'none'" in policy
        assert ask(server, path, Cookie=None).status == 403
        assert ask(server, path, Host="evil.example").status == 421
    assert "script-src 'self'" in (ask(server, "/").getheader("Content-Security-Policy") or "")


def test_the_name_of_a_slide_leads_to_it(server: ViewerServer) -> None:
    for name in ("ward/c%20%231", "ward/c%20%231.regions"):
        reply = ask(server, f"/named/{name}")
        assert (reply.status, reply.getheader("Location")) == (303, "/slide/1/")
    for name in ("", "ward/c", "ward/c%20%231/", "%2e%2e/x", "//evil.example", "ward/c%20%231%0d%0aX:y"):
        assert ask(server, f"/named/{name}").status == 404


@pytest.mark.parametrize(
    "within",
    ["", "ward/c%20%231.csv", "ward/c%20%231.run.json", "ward", "../secret.report.html", "%2e%2e/secret.report.html",
     "ward/..%2f..%2fsecret.report.html", "x.report.html", ".report.html", "ward/c.report.html",
     "a.regions.report.html", "ward/index.html", "a.report.html/", "a.report.html%00", "/a.report.html"],
)  # fmt: skip
def test_no_other_file_is_served(tmp_path: Path, within: str) -> None:
    folders = make_folders(tmp_path, ["a", "ward/c #1"])
    for file in (
        "secret.report.html",
        "results/x.report.html",
        "results/ward/index.html",
        "results/ward/c.report.html",
    ):
        (tmp_path / file).write_text("secret")
    (folders.results / "a.report.html").write_text("a")
    names = frozenset({"a", NAME})
    assert result_pages.result_page(folders.results, "/results/a.report.html", names).body == b"a"
    assert result_pages.result_page(folders.results, f"/results/{within}", names).status == 404


def test_what_lies_outside_the_folder_or_is_too_large_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_folders(tmp_path, ["a", "b"])
    names = frozenset({"a", "b"})
    (tmp_path / "secret").write_text("secret")
    (folders.results / "a.report.html").symlink_to(tmp_path / "secret")
    (folders.results / "b.report.html").write_text("b" * 100)
    monkeypatch.setattr(result_pages, "MOST_BYTES", 99)
    assert result_pages.result_page(folders.results, "/results/a.report.html", names).status == 404
    assert result_pages.result_page(folders.results, "/results/b.report.html", names).status == 413
    (folders.results / "index.html").write_text("<title>Somebody's page</title>")
    assert result_pages.result_page(folders.results, "/results/index.html", names).status == 404
    assert result_pages.index_address(folders.results) == ""
    write_index(folders.results / "index.html", [])
    assert result_pages.index_address(folders.results) == "/results/index.html"


def test_reports_are_served_where_the_library_that_makes_them_is_missing() -> None:
    code = "import sys, signetscan.viewer\nassert not {'jinja2', 'markupsafe'} & set(sys.modules)\n"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603 - our own code


def in_view(page: Page) -> tuple[float, float]:
    """The place in the middle of the slide's view, level-0 pixels."""
    page.keyboard.press("k")
    page.wait_for_timeout(200)
    values = dict(part.split("=") for part in page.evaluate("location.hash.slice(1)").split("&"))
    return float(values["x"]), float(values["y"])


def follow(page: Page, selector: str, *, is_report: bool = False) -> None:
    with page.expect_navigation():
        page.locator(selector).first.click()
    if is_report:
        page.wait_for_load_state()
    else:
        settle(page)


def test_reports_and_the_index_lead_to_places_of_the_slide(server: ViewerServer, browser: Browser) -> None:
    best = ranked(sample_cells()).boxes[0].reshape(2, 2).mean(axis=0)
    with shown(server, browser, is_slide=False) as page:
        follow(page, "#to-index", is_report=True)
        assert page.inner_text("h1") == "Slides"
    with shown(server, browser, is_slide=False) as page:
        follow(page, "text=Report of cells", is_report=True)
        assert page.url.endswith(REPORT)
        assert page.inner_text("h1") == "c #1"
        follow(page, ".gallery .served")
        assert page.inner_text("#name") == NAME
        assert "score 0.99" in page.inner_text("#selected"), "the cell of the picture"
        np.testing.assert_allclose(in_view(page), best, atol=2)
        page.goto(f"http://127.0.0.1:{server.server_port}{REPORT}")
        x, y, _ = map(float, str(page.locator(".fields li").first.get_attribute("data-at")).split())
        follow(page, ".fields .served")
        np.testing.assert_allclose(in_view(page), (x, y), atol=2)
        assert 400 < float(page.evaluate("new URLSearchParams(location.hash.slice(1)).get('um')")) < 500
        page.goto(f"http://127.0.0.1:{server.server_port}/results/index.html")
        follow(page, "#slides .served")
        assert page.inner_text("#name") == NAME


@pytest.mark.slow
def test_the_overview_leads_to_what_it_shows(server: ViewerServer, browser: Browser) -> None:
    with shown(server, browser, is_slide=False) as page:
        page.goto(f"http://127.0.0.1:{server.server_port}{REPORT}")
        stage = page.locator(".stage").bounding_box()
        assert stage is not None
        for _ in range(3):
            page.mouse.dblclick(stage["x"] + stage["width"] / 4, stage["y"] + stage["height"] / 4)
        slide = page.locator(".picture").bounding_box()
        assert slide is not None
        x = 4200 * (stage["x"] + stage["width"] / 2 - slide["x"]) / slide["width"]
        y = 2120 * (stage["y"] + stage["height"] / 2 - slide["y"]) / slide["height"]
        assert x < 1800, "not just the middle of the slide"
        follow(page, ".zoom .served")
        np.testing.assert_allclose(in_view(page), (x, y), atol=12)
        page.goto(f"http://127.0.0.1:{server.server_port}{REPORT}")
        assert low_contrast(page, ".served") == []
        assert all(box["height"] >= 24 for link in page.locator("li .served").all() if (box := link.bounding_box()))


def test_a_report_that_is_opened_as_a_file_has_no_links_to_a_viewer(reported: Folders, browser: Browser) -> None:
    page = browser.new_page()
    for file in (f"{NAME}.report.html", "index.html"):
        page.goto((reported.results / file).as_uri())
        page.wait_for_load_state()
        assert page.locator(".served").count() == 0
    page.close()


def test_scripts_of_strangers_do_not_run(tmp_path: Path, browser: Browser) -> None:
    """A report that somebody sends could otherwise change marks, because it is served from our address."""
    folders = make_folders(tmp_path, ["a"])
    (folders.results / "a.report.html").write_text(
        "<!DOCTYPE html><title>a</title><img src=x onerror=\"document.title='taken'\">"
        "<script>document.title = 'taken'; fetch('/work.json')</script><script src='/app.js'></script>"
        "<a href=\"javascript:document.title='taken'\">x</a>"
    )
    with open_viewer(folders.results, folders.slides) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        page = browser.new_page()
        page.goto(server.url)
        settle(page)
        asked: set[str] = set()
        page.on("response", lambda response: asked.add(response.url))
        page.goto(f"http://127.0.0.1:{server.server_port}/results/a.report.html")
        page.click("a")
        page.wait_for_timeout(200)
        assert page.title() == "a"
        assert [url for url in asked if "report" not in url] == []
        page.close()
        server.shutdown()

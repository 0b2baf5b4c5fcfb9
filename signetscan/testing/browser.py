"""Pages in Debian's Chromium, without a window: for scripts and for tests."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from signetscan.viewer import Viewer, ViewerServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.slides import Slide

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""What Chromium is called on different systems."""


def chromium_path() -> str | None:
    """The program; None if there is none here."""
    return next((path for path in map(shutil.which, NAMES) if path is not None), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, which ends with the block."""
    with sync_playwright() as playwright:
        # As root, which CI is, Chromium has no sandbox; all pages that it opens are our own.
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def viewed(browser: Browser, scanned: ScannedSlide, slide: Slide, *, width: int, height: int) -> Iterator[Page]:
    """The viewer's page of a slide, after it has been drawn."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ViewerServer(Viewer(scanned, slide, Path(folder) / f"{scanned.name}.corrected.geojson")) as server,
        browsed(browser, server, width=width, height=height) as page,
    ):
        yield page


@contextmanager
def browsed(browser: Browser, server: ViewerServer, *, width: int, height: int) -> Iterator[Page]:
    """The first page of a viewer, after it has been drawn; its server answers until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    try:
        page.goto(server.url)
        page.wait_for_selector("body[data-drawn-after-ms]")
        page.wait_for_load_state("networkidle")
        yield page
    finally:
        page.close()
        server.shutdown()
        thread.join()

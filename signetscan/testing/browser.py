"""The viewer's page in a headless browser."""

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

    from playwright.sync_api import Page

    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.slides import Slide


@contextmanager
def viewed(scanned: ScannedSlide, slide: Slide, *, width: int, height: int) -> Iterator[Page]:
    """The viewer's page in Chromium, after it has been drawn."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ViewerServer(Viewer(scanned, slide, Path(folder) / f"{scanned.name}.corrected.geojson")) as server,
        browsed(server, width=width, height=height) as page,
    ):
        yield page


@contextmanager
def browsed(server: ViewerServer, *, width: int, height: int) -> Iterator[Page]:
    """The first page of a viewer in Chromium, after it has been drawn; the server ends with the block."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        page.goto(server.url)
        page.wait_for_selector("body[data-drawn-after-ms]")
        page.wait_for_load_state("networkidle")
        yield page
        browser.close()
        server.shutdown()

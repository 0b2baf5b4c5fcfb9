"""A picture of the viewer with some marks, as the documentation shows it.

    python scripts/viewer_picture.py RESULT --slide SLIDE --out docs/viewer.png [--width 1280] [--height 800]

RESULT is what `signetscan detect` wrote of the slide. Chromium draws it; the marks are made as a reader makes them, and
go to a folder that is removed again.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

from signetscan.outputs.atomic import part_path
from signetscan.outputs.stored import find_results, load_result
from signetscan.slides import open_slide
from signetscan.viewer import Viewer, ViewerServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from signetscan.outputs.scanned import ScannedSlide
    from signetscan.slides import Slide

COLOURS = 200
"""Of the palette."""


@contextmanager
def viewed(scanned: ScannedSlide, slide: Slide, *, width: int, height: int) -> Iterator[Page]:
    """The viewer's page in Chromium, drawn."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        tempfile.TemporaryDirectory() as folder,
        ViewerServer(Viewer(scanned, slide, Path(folder) / f"{scanned.name}.corrected.geojson")) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        page.goto(server.url)
        page.wait_for_selector("body[data-drawn-after-ms]")
        page.wait_for_load_state("networkidle")
        yield page
        browser.close()
        server.shutdown()


def make_marks(page: Page, *, zoom: int) -> None:
    """Some cells accepted, some rejected, one added."""
    page.select_option("#order", "sure")
    for key in "naaaaaraaaraaaaaa":
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    for _ in range(zoom):
        page.keyboard.press("-")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    stage = page.locator("#stage").bounding_box()
    assert stage is not None  # noqa: S101 - the page has one
    x, y = stage["x"] + 0.68 * stage["width"], stage["y"] + 0.7 * stage["height"]
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 40, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.keyboard.press("n")
    page.wait_for_timeout(3000)  # until messages are gone


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--zoom", type=int, default=2, help="steps out from where a cell is looked at")
    options = parser.parse_args()
    (record,) = find_results(options.result)
    scanned = load_result(record).scanned
    with (
        open_slide(options.slide, mpp=scanned.mpp.x) as slide,
        viewed(scanned, slide, width=options.width, height=options.height) as page,
    ):
        make_marks(page, zoom=options.zoom)
        shot = Image.open(io.BytesIO(page.screenshot()))
    reduced = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    with part_path(options.out) as part:
        reduced.save(part, "PNG", optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

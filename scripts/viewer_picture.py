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

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from signetscan.boxes import centres
from signetscan.outputs.atomic import part_path
from signetscan.outputs.stored import find_results, load_result
from signetscan.slides import open_slide
from signetscan.viewer import Viewer, ViewerServer
from signetscan.viewer.app import ranked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from signetscan.outputs.scanned import ScannedSlide
    from signetscan.slides import Slide

COLOURS = 256
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


def make_marks(page: Page, scanned: ScannedSlide, *, zoom: int) -> None:
    """Where most cells lie together some are accepted, some rejected, one added, and one is selected."""
    found = ranked(scanned.detections)
    middles = centres(found.boxes)
    distances = np.linalg.norm(middles[:, None] - middles[None], axis=2)
    chosen = int((distances < 100 / scanned.mpp.x).sum(axis=1).argmax())
    page.select_option("#order", "sure")
    page.uncheck("#go-on")
    _press(page, "n" * (chosen + 1) + "-" * zoom)
    page.wait_for_timeout(500)
    stage = page.locator("#stage").bounding_box()
    bar = page.locator("#scale-bar").bounding_box()
    assert stage is not None and bar is not None  # noqa: S101, PT018 - the page has them
    per_px = bar["width"] / float(page.inner_text("#scale-text").split()[0]) * scanned.mpp.x
    offsets = (middles - middles[chosen]) * per_px
    inside = (np.abs(offsets) < (0.45 * stage["width"], 0.45 * stage["height"])).all(axis=1)
    in_view = [number for number in np.argsort(distances[chosen]).tolist() if inside[number]]
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    doubtful = sorted(in_view)[-2:]
    for number in in_view[1:9] + doubtful:
        page.mouse.click(x + offsets[number, 0], y + offsets[number, 1])
        _press(page, "r" if number in doubtful else "a")
    page.keyboard.down("Shift")
    page.mouse.move(x - 0.3 * stage["width"], y - 0.3 * stage["height"])
    page.mouse.down()
    page.mouse.move(x - 0.3 * stage["width"] + 50, y - 0.3 * stage["height"] + 50, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    _press(page, "")
    page.mouse.click(x, y)
    page.wait_for_timeout(3000)  # until messages are gone


def _press(page: Page, keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_selector("#panel:not([aria-busy=true])")
    page.wait_for_load_state("networkidle")


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
        make_marks(page, scanned, zoom=options.zoom)
        shot = Image.open(io.BytesIO(page.screenshot()))
    reduced = shot.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with part_path(options.out) as part:
        reduced.save(part, "PNG", optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""A picture of the viewer with some marks, as the documentation shows it.

    python scripts/tools/viewer_picture.py RESULT --slide SLIDE --out docs/viewer.png [--width 1280] [--height 800]

RESULT is what `signetscan detect` wrote of the slide. Chromium draws it; the marks are made as a reader makes them, and
go to a folder that is removed again.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.atomic import part_path
from signetscan.boxes import centres
from signetscan.results.folder import find_results
from signetscan.results.reading import load_result
from signetscan.slides import open_slide
from signetscan.testing.browser import chromium, viewed
from signetscan.viewer.app import ranked

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from signetscan.boxes import Box
    from signetscan.detections import Detections

COLOURS = 256
"""Of the palette."""


def make_marks(page: Page, found: Detections, chosen: int, missed: Box, *, mpp: float, zoom: int) -> None:
    """Around a detection some are accepted, some rejected, and a missed one is added; it is selected itself."""
    page.select_option("#order", "sure")
    page.uncheck("#go-on")
    _press(page, "n" * (chosen + 1) + "-" * zoom)
    page.wait_for_timeout(500)
    stage = page.locator("#stage").bounding_box()
    bar = page.locator("#scale-bar").bounding_box()
    assert stage is not None and bar is not None  # noqa: S101, PT018 - the page has them
    scale = bar["width"] / float(page.inner_text("#scale-text").split()[0]) * mpp
    middles = centres(found.boxes)
    half = np.array([stage["width"], stage["height"]]) / 2
    corner = np.array([stage["x"], stage["y"]]) + half - middles[chosen] * scale
    inside = (np.abs(middles - middles[chosen]) * scale < 0.9 * half).all(axis=1)
    nearest = np.argsort(np.hypot(*(middles - middles[chosen]).T))
    in_view = [number for number in nearest.tolist() if inside[number]]
    doubtful = sorted(in_view)[-2:]
    for number in in_view[1:9] + doubtful:
        page.mouse.click(*(corner + middles[number] * scale).tolist())
        _press(page, "r" if number in doubtful else "a")
    x0, y0, x1, y1 = (np.tile(corner, 2) + np.array(missed) * scale).tolist()
    page.keyboard.down("Shift")
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    _press(page, "")
    page.mouse.click(*(corner + middles[chosen] * scale).tolist())
    page.wait_for_timeout(3000)  # until messages are gone


def scene(found: Detections, mpp: float) -> tuple[Detections, int, Box]:
    """Detections without one, that is to be added; where most of them lie together; and the one left out."""
    middles = centres(found.boxes)
    distances = np.linalg.norm(middles[:, None] - middles[None], axis=2)
    chosen = int((distances < 100 / mpp).sum(axis=1).argmax())
    missed = int(np.argsort(distances[chosen])[10])
    x0, y0, x1, y1 = found.boxes[missed].tolist()
    rest = found.select(np.arange(len(found)) != missed)
    return rest, chosen - (missed < chosen), (x0, y0, x1, y1)


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
    parser.add_argument("--zoom", type=int, default=1, help="steps out from where a cell is looked at")
    options = parser.parse_args()
    (record,) = find_results(options.result)
    scanned = load_result(record).scanned
    found, chosen, missed = scene(ranked(scanned.detections), scanned.mpp.x)
    scanned = replace(scanned, detections=found)
    with (
        open_slide(options.slide, mpp=scanned.mpp.x) as slide,
        chromium() as browser,
        viewed(browser, scanned, slide, width=options.width, height=options.height) as page,
    ):
        make_marks(page, found, chosen, missed, mpp=scanned.mpp.x, zoom=options.zoom)
        shot = Image.open(io.BytesIO(page.screenshot()))
    reduced = shot.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with part_path(options.out) as part:
        reduced.save(part, "PNG", optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

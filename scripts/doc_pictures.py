"""Make the pictures of the documentation anew: docs/report.png.

    python scripts/doc_pictures.py [--width 1200] [--model accurate]

A simulated slide is scanned with --report, and the top of the page is photographed in Chromium (to be installed first).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from signetscan.cli.main import cli
from signetscan.simulate.slide_file import SlideOptions, write_slide

DOCS = Path(__file__).parents[1] / "docs"
SLIDE = SlideOptions(width=14_000, height=8_200, region=3600, seed=11)
"""Six pieces of tissue."""
HEIGHT = 1420
"""Of the picture, pixels."""
COLOURS = 256


def photograph(page_path: Path, picture_path: Path, width: int) -> None:
    """A picture of the top of a page, in few colours so that it is small."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": HEIGHT})
        page.goto(page_path.as_uri())
        page.screenshot(path=picture_path)
        browser.close()
    with Image.open(picture_path) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(picture_path, optimize=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1200, help="of the window, pixels")
    parser.add_argument("--model", default="accurate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_slide(folder / "biopsy.svs", SLIDE)
        words = ["detect", str(folder / "biopsy.svs"), "--report", "--out", str(folder), "--model", options.model]
        cli(words, standalone_mode=False)
        photograph(folder / "biopsy.report.html", DOCS / "report.png", options.width)
    print(f"{DOCS / 'report.png'}: {(DOCS / 'report.png').stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()

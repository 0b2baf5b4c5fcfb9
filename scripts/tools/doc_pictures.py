"""Make pictures of the documentation anew: docs/report.png and docs/terminal.png.

    python scripts/tools/doc_pictures.py [--width 1200] [--model accurate]

A simulated slide is scanned with --report, and the top of the page is photographed in Chromium (to be installed first);
so is what a terminal shows of the first steps. `viewer_picture.py` makes the third.
"""

from __future__ import annotations

import argparse
import html
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE, STDOUT

from PIL import Image

from signetscan.cli.main import cli
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide

DOCS = Path(__file__).parents[2] / "docs"
SAMPLE = Path(__file__).parents[2] / "tests" / "data" / "sample.svs"
SLIDE = SlideOptions(width=14_000, height=8_200, region=3600, seed=11)
"""Six pieces of tissue."""
HEIGHT = 1420
"""Of the picture, pixels."""
COLOURS = 256


STEPS = (
    "signetscan detect sample.svs --out results --report",
    "ls results",
    "signetscan detect sample.svs --out results --report",
)
"""What is typed in the terminal."""
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #1d2430; color: #e6e9ef; font: 15px/1.5 "DejaVu Sans Mono", monospace; }}
pre {{ margin: 22px 26px; white-space: pre-wrap; }} b {{ color: #8fd6a0; font-weight: normal; }}
</style><pre>{text}</pre>"""


def typed(folder: Path) -> str:
    """What a terminal shows of the steps, as HTML."""
    shown = []
    environment = os.environ | {"COLUMNS": "110", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for step in STEPS:
        done = subprocess.run(  # noqa: S602 - the steps above
            step, shell=True, cwd=folder, env=environment, text=True, check=False, stdout=PIPE, stderr=STDOUT
        )
        shown.append(f"<b>$</b> {html.escape(step)}\n{html.escape(done.stdout)}")
    return TERMINAL.format(text="\n".join(shown))


def photograph(page_path: Path, picture_path: Path, width: int, height: int) -> None:
    """A picture of the top of a page, in few colours so that it is small."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root Chromium has no sandbox; the page is our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
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
        photograph(folder / "biopsy.report.html", DOCS / "report.png", options.width, HEIGHT)
        shutil.copy(SAMPLE, folder)
        (folder / "terminal.html").write_text(typed(folder), encoding="utf-8")
        photograph(folder / "terminal.html", DOCS / "terminal.png", 1000, 590)


if __name__ == "__main__":
    main()

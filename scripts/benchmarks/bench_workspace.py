"""How long do a work list and a hundred verdicts take? Made-up results of one slide under many names, in Chromium.

    python scripts/benchmarks/bench_workspace.py SLIDE [--results 200] [--detections 5000] [--cells 100]

The slide lies there under all of these names, so that the list shows it small. Times are those of the page and of a
hand that never waits: it presses the next key as soon as the last was taken.
CPU times are of this process alone, which serves, reads and writes; the browser has processes of its own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.detections import Detections
from signetscan.models.placement import Placement
from signetscan.models.runtime import CPU_PROVIDER
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide
from signetscan.testing.browser import browsed, chromium
from signetscan.testing.specs import make_spec
from signetscan.viewer import open_viewer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Page

    from signetscan.slides import Slide

SIDE = 60
"""Of a box, level-0 pixels."""
SUFFIX = ".svs"
"""Of the slide's names."""


class NoDetector:
    """Says what results need to know of a model."""

    runs_on = Placement(name=CPU_PROVIDER, on_gpu=False)
    sha256 = "0" * 64
    spec = make_spec()

    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        """Nothing."""
        raise NotImplementedError


def write(folder: Path, path: Path, slide: Slide, results: int, detections: int) -> None:
    """Results of a slide under many names; the first has as many detections as asked for, each other a hundred."""
    (folder / "slides").mkdir()
    random, detector = np.random.default_rng(5), NoDetector()
    for number in range(results):
        count = detections if number == 0 else 100
        low = random.uniform(0, 1, (count, 2)) * (np.array(slide.dimensions) - SIDE)
        found = Detections(
            boxes=np.concatenate([low, low + SIDE], axis=1).round(2),
            scores=np.sort(random.uniform(0.3, 1, count)).round(4).astype(np.float32)[::-1].copy(),
            labels=np.zeros(count, np.int64),
        )
        result = SlideResult(
            detections=found, options=ScanOptions().resolve(detector), tiles=1, tiles_scanned=1, tissue_mm2=50.0
        )
        write_results(folder / f"slide-{number:04d}", slide, detector, result)
        (folder / "slides" / f"slide-{number:04d}{SUFFIX}").symlink_to(path)


def keys(page: Page, each: str, times: int) -> tuple[float, float]:
    """Press a key many times. Returns the seconds until all were taken, and until all were saved."""
    start = time.perf_counter()
    for _ in range(times):
        page.keyboard.press(each)
    taken = time.perf_counter() - start
    page.wait_for_selector("#panel:not([aria-busy=true])")
    return taken, time.perf_counter() - start


def opened(page: Page, address: str) -> float:
    """Open a page; gives the milliseconds until it was drawn."""
    page.goto(address)
    page.wait_for_selector("body[data-drawn-after-ms]")
    drawn: float = page.evaluate("Number(document.body.dataset.drawnAfterMs)")
    page.wait_for_load_state("networkidle")
    return drawn


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--results", type=int, default=200)
    parser.add_argument("--detections", type=int, default=5000, help="of the slide that is reviewed")
    parser.add_argument("--cells", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder  # notes no place of a slide
        with open_slide(options.slide, mpp=0.25) as slide:
            write(Path(folder), options.slide.resolve(), slide, options.results, options.detections)
        cpu, start = time.process_time(), time.perf_counter()
        with open_viewer(Path(folder), Path(folder) / "slides") as server:
            print(
                f"{options.results} results: the server starts after {time.perf_counter() - start:.2f} s "
                f"({time.process_time() - cpu:.2f} s of CPU)"
            )
            with chromium() as browser, browsed(browser, server, width=1280, height=800) as page:
                page.keyboard.press("Escape")
                cpu = time.process_time()
                drawn = opened(page, f"http://127.0.0.1:{server.server_port}/")
                print(f"work list drawn after {drawn:.0f} ms ({time.process_time() - cpu:.2f} s of CPU, with pictures)")
                cpu, start = time.process_time(), time.perf_counter()
                for part in range(1, 21):
                    page.evaluate(f"scrollTo(0, document.body.scrollHeight * {part} / 20)")
                    page.wait_for_load_state("networkidle")
                shown = page.evaluate("[...document.images].filter((image) => image.naturalWidth === 128).length")
                print(
                    f"  {shown} slides shown small {time.perf_counter() - start:.1f} s later "
                    f"({time.process_time() - cpu:.2f} s of CPU)"
                )
                for name, address, each in (("gallery", "slide/0/gallery", "a"), ("slide", "slide/0/#n=0", "r")):
                    cpu = time.process_time()
                    drawn = opened(page, f"http://127.0.0.1:{server.server_port}/{address}")
                    print(f"{name} drawn after {drawn:.0f} ms ({time.process_time() - cpu:.2f} s of CPU)")
                    cpu = time.process_time()
                    taken, saved = keys(page, each, options.cells)
                    print(
                        f"  {options.cells} cells by key: taken after {taken:.2f} s, saved after {saved:.2f} s "
                        f"({time.process_time() - cpu:.2f} s of CPU)"
                    )


if __name__ == "__main__":
    main()

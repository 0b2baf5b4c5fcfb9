"""How long does the viewer take with many detections? Made-up ones, in Chromium.

    python scripts/benchmarks/bench_viewer.py SLIDE [--detections 1000000]

SLIDE is any slide, such as one of `scripts/benchmarks/virtual_slide.py`; the detections are spread over it evenly.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.detections import Detections
from signetscan.formats.scanned_slide import ScannedSlide
from signetscan.slides import Mpp, open_slide
from signetscan.testing.browser import chromium, viewed

if TYPE_CHECKING:
    from playwright.sync_api import Page

SIDE = 60
"""Of a box, level-0 pixels."""

FIRST_DRAW = "Number(document.body.dataset.drawnAfterMs)"
SLIDER = """async () => {
    const slider = document.getElementById("threshold");
    const times = [];
    for (let step = 0; step < 20; step++) {
        slider.value = 0.3 + 0.6 * (step % 10) / 10;
        const start = performance.now();
        slider.dispatchEvent(new Event("input"));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        times.push(performance.now() - start);
    }
    slider.value = slider.min;
    slider.dispatchEvent(new Event("input"));
    return times;
}"""
DRAWING = """async () => {
    const { Cells } = await import("/cells.js");
    const { Drawing } = await import("/drawing.js");
    const facts = await (await fetch("slide.json")).json();
    const found = await (await fetch("detections.bin")).arrayBuffer();
    const cells = new Cells(facts.detections, facts.classes.length, found);
    const drawing = new Drawing(document.getElementById("overlay"), cells, facts.classes.map((each) => each.colour));
    const times = [];
    for (let step = 0; step < 20; step++) {
        const start = performance.now();
        drawing.draw({ left: 10 * step, top: 0, scale: SCALE }, null, null);
        drawing.context.getImageData(0, 0, 1, 1);  // which waits for it
        times.push(performance.now() - start);
    }
    return times;
}"""
"""The overlay alone, at a scale."""
MOVES = """async () => {
    const times = [];
    let last = performance.now();
    for (let step = 0; step < 60; step++) {
        const key = step % 20 < 10 ? "ArrowRight" : "ArrowLeft";
        document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        await new Promise((done) => requestAnimationFrame(done));
        times.push(performance.now() - last);
        last = performance.now();
    }
    return times;
}"""


def random_detections(count: int, width: int, height: int) -> Detections:
    """Boxes of one size anywhere on a slide."""
    random = np.random.default_rng(3)
    low = random.uniform(0, 1, (count, 2)) * (width - SIDE, height - SIDE)
    return Detections(
        boxes=np.concatenate([low, low + SIDE], axis=1).round(2),
        scores=random.uniform(0.3, 1, count).round(4).astype(np.float32),
        labels=np.zeros(count, np.int64),
    )


def say(page: Page, what: str, script: str) -> None:
    """Time something in the page."""
    times = np.array(page.evaluate(script))
    print(f"{what}: median {np.median(times):.0f} ms, slowest {times.max():.0f} ms")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--detections", type=int, default=1_000_000)
    options = parser.parse_args()
    with open_slide(options.slide, mpp=0.25) as slide:
        scanned = ScannedSlide(
            name="bench",
            detections=random_detections(options.detections, *slide.dimensions),
            class_names=("Signet ring cell",),
            model="none",
            model_sha256="",
            fingerprint=slide.fingerprint,
            mpp=Mpp(0.25, 0.25),
            dimensions=slide.dimensions,
        )
        with chromium() as browser, viewed(browser, scanned, slide, width=1600, height=1000) as page:
            print(f"{options.detections:,} detections: first drawn after {page.evaluate(FIRST_DRAW):.0f} ms")
            for scale in (0.01, 0.03, 0.1, 0.4, 1):
                say(
                    page,
                    f"overlay at {scale} px of the screen per px of the slide",
                    DRAWING.replace("SCALE", f"{scale}"),
                )
            for zoomed in range(4):
                seen = page.inner_text("#scale-text")
                say(page, f"scale bar {seen}: a step of the threshold, drawn", SLIDER)
                say(page, f"scale bar {seen}: a frame while moving", MOVES)
                for _ in range(4 if zoomed else 2):
                    page.keyboard.press("+")
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(500)


if __name__ == "__main__":
    main()

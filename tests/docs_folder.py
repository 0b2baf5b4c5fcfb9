"""What the pages name besides their own results: the reader's slides, annotations and lists."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from conftest import ROOT

from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide

if TYPE_CHECKING:
    from pathlib import Path

QUICK = {
    "TRAIN_EPOCHS": "1",
    "TRAIN_BATCHES": "2",
    "TRAIN_BATCH_SIZE": "2",
    "TRAIN_CROP": "128",
    "TRAIN_WIDTH": "8",
    "TRAIN_FPN_CHANNELS": "16",
    "TRAIN_HEAD_DEPTH": "1",
    "TRAIN_FPN_LEVELS": "2",
    "TRAIN_BACKBONE": "resnet18",
    "EXPORT_THRESHOLD": "0.5",
    "SIMULATE_IMAGES_SIZE": "256",
}
"""Settings that make training a matter of seconds. They come from the environment, and the lines stay as they are."""


def fill(root: Path, toy_folder: Path) -> None:
    """Put everything that the pages name into a folder, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests" / "data" / "sample.svs", root)
    shutil.copy(ROOT / "tests" / "data" / "sample.truth.geojson", root)
    write_slide(root / "slide.svs", SlideOptions(width=1024, height=1024, region=400, seed=5))
    (root / "slide.truth.geojson").rename(root / "slide.geojson")
    write_slide(root / "second.svs", SlideOptions(width=1024, height=1024, region=400, seed=6))
    (root / "second.truth.geojson").rename(root / "second.geojson")
    for place in ("slides/a.svs", "slides/sub/b.svs", "more/c.svs"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "slide.svs", root / place)
    (root / "worklist.csv").write_text("path,mpp\nmore/c.svs,0.25\n")
    (root / "secret.key").write_bytes(b"a key of some bytes")
    shutil.copytree(toy_folder, root / "DigestPath2019")
    square = [[[100, 100], [900, 100], [900, 900], [100, 900], [100, 100]]]
    outline = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": square}, "properties": {}}
    (root / "roi.geojson").write_text(json.dumps(outline))
    shutil.copy(root / "slide.geojson", root / "corrected.geojson")

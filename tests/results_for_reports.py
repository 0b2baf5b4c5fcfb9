"""Results that reports are made of: a slide held in memory, and detections that nobody had to look for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from conftest import BlobDetector

from signetscan.detections import Detections
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.results.reading import StoredResult
    from signetscan.slides import Bounds

MPP = 1.0
SIZE = (4200, 3000)
"""Of the slide, pixels: 4.2 x 3 mm."""
TISSUE = (slice(300, 2700), slice(300, 3900))


def made_slide(bounds: Bounds | None = None) -> ArraySlide:
    """A pink rectangle on glass, in two levels."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 244, np.uint8)
    pixels[TISSUE] = (226, 168, 200)
    pixels[TISSUE][::7, ::5] = (150, 90, 160)
    return ArraySlide([pixels, np.ascontiguousarray(pixels[::4, ::4])], mpp=MPP, name="made", bounds=bounds)


def random_detections(count: int, classes: int = 1, seed: int = 0) -> Detections:
    """Boxes of 20 px within the tissue, half of them in one place, with scores from 0.3 to 4 decimals."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform((320, 320), (3880, 2680), (count, 2))
    dense = count // 2
    centres[:dense] = np.clip(rng.normal((2900, 900), (250, 200), (dense, 2)), 320, 2680)
    return Detections(
        boxes=np.concatenate([centres - 10, centres + 10], axis=1).round(2),
        scores=(rng.integers(3000, 10_001, count) / 10_000).astype(np.float32),
        labels=rng.integers(0, classes, count),
    )


def written(
    folder: Path,
    found: Detections,
    *,
    slide: ArraySlide | None = None,
    name: str = "made",
    class_names: Sequence[str] = ("Signet ring cell",),
    unread: tuple[tuple[float, float, float, float], ...] = (),
    tissue_mm2: float | None = 9.0,
    formats: Sequence[str] = (),
) -> StoredResult:
    """Results of a scan that never was."""
    detector = BlobDetector(class_names=tuple(class_names), mpp=MPP, intended_use="tests of <reports> & more")
    result = SlideResult(
        detections=found,
        options=ScanOptions(threshold=0.3).resolve(detector),
        tiles=12,
        tiles_scanned=9,
        tissue_mm2=tissue_mm2,
        unread=unread,
        unread_mm2=sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in unread) * MPP**2 / 1e6,
        seconds={"tissue": 0.5, "scan": 12.0},
    )
    return write_results(folder / name, slide or made_slide(), detector, result, formats=formats)

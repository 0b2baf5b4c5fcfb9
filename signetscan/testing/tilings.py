"""How far a tiled scan agrees with one pass over the same region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, SlideAtMpp

if TYPE_CHECKING:
    from signetscan.detections import Detections
    from signetscan.models.detector import Detector
    from signetscan.slides import Slide

SAME_SCORE = 0.02
"""Scores that differ by no more than this are the same."""


def agreement(one: Detections, other: Detections, threshold: float) -> float:
    """Share of the detections from `threshold` of both runs that have their like in the other; 1 where there are none.

    Both are to hold all from `SAME_SCORE` below the threshold (see `scan`): a score that moves from 0.41 to 0.395
    has not moved further than one from 0.51 to 0.495.
    """
    alike = iou_matrix(one.boxes, other.boxes) >= 0.9
    alike &= one.labels[:, None] == other.labels[None]
    alike &= np.abs(one.scores[:, None] - other.scores[None]) <= SAME_SCORE
    found, again = one.scores >= threshold, other.scores >= threshold
    total = int(found.sum() + again.sum())
    return float(alike[found].any(axis=1).sum() + alike[:, again].any(axis=0).sum()) / total if total else 1.0


def scan(slide: Slide, detector: Detector, threshold: float, tile_size: int, overlap: int) -> Detections:
    """Everything found with one tiling, with no tile skipped, down to `SAME_SCORE` below the threshold."""
    options = ScanOptions(
        tile_size=tile_size,
        overlap=overlap,
        threshold=max(threshold - SAME_SCORE, 0.0),
        tissue_mask=False,
    )
    return detect_slide(slide, detector, options).detections


def region_of(slide: Slide, mpp: float, x: int, y: int, side: int) -> ArraySlide:
    """A square of a slide, pixels at `mpp`, as a slide of its own."""
    pixels = SlideAtMpp(slide, mpp).read(x, y, side, side)
    return ArraySlide([pixels], mpp=mpp, name=f"{slide.name} at x {x}, y {y}")

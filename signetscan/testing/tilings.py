"""Agreement of scans of the same region with different tilings."""

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
"""Largest difference between scores that count as the same."""


def agreement(one: Detections, other: Detections, threshold: float) -> float:
    """Part of the detections from `threshold` on, of both scans, that have the same one in the other; 1 without any.

    Both scans must go down to `SAME_SCORE` below the threshold (see `scan`): a score that moves from 0.41 to 0.395 has
    moved no further than one from 0.51 to 0.495.
    """
    same = iou_matrix(one.boxes, other.boxes) >= 0.9
    same &= one.labels[:, None] == other.labels[None]
    same &= np.abs(one.scores[:, None] - other.scores[None]) <= SAME_SCORE
    one_counts, other_counts = one.scores >= threshold, other.scores >= threshold
    total = int(one_counts.sum() + other_counts.sum())
    matched = same[one_counts].any(axis=1).sum() + same[:, other_counts].any(axis=0).sum()
    return float(matched) / total if total else 1.0


def scan(slide: Slide, detector: Detector, threshold: float, tile_size: int, overlap: int) -> Detections:
    """All detections with one tiling, with no tile skipped, down to `SAME_SCORE` below the threshold."""
    options = ScanOptions(
        tile_size=tile_size,
        overlap=overlap,
        threshold=max(threshold - SAME_SCORE, 0.0),
        tissue_mask=False,
    )
    return detect_slide(slide, detector, options).detections


def region_of(slide: Slide, mpp: float, x: int, y: int, side: int) -> ArraySlide:
    """A square of a slide, in pixels of `mpp`, as a slide of its own."""
    pixels = SlideAtMpp(slide, mpp).read(x, y, side, side)
    return ArraySlide([pixels], mpp=mpp, name=f"{slide.name} at x {x}, y {y}")

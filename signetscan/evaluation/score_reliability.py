"""Reliability: whether scores are the probabilities that detections are right, as in a calibrated detector.

Detections of all images are put into bins of equal width by their score; in a calibrated detector, a bin's precision is
its mean score. ECE is the mean gap, each bin weighted by its detections (Guo et al. 2017, "On Calibration of Modern
Neural Networks", eq. 3; for detectors Kueppers et al. 2020, with precision for accuracy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.evaluation.tally import Tally

BINS = 10
"""Number of bins: with more, few of a slide's thousands of detections would fall into one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliability:
    """B bins of the score; a score on an edge belongs to the bin above it, and 1 to the last one."""

    edges: NDArray[np.float64]
    """(B + 1,), from 0 to 1."""
    counts: NDArray[np.int64]
    """(B,), number of detections."""
    confidence: NDArray[np.float64]
    """(B,), their mean score; nan where there are none."""
    precision: NDArray[np.float64]
    """(B,), part of them that matches a cell; nan where there are none."""
    ece: float
    """Expected calibration error, 0 to 1; nan without detections."""


def reliability(tally: Tally, weights: NDArray[np.int64] | None = None, bins: int = BINS) -> Reliability:
    """Bin the detections by their score; `weights` (M,) says how often each image counts."""
    weights = tally.weights() if weights is None else weights
    of_detection = weights[tally.image]
    edges = np.linspace(0, 1, bins + 1)
    scores = tally.scores.astype(np.float64)
    # A score with few decimals may lie on an edge, which float32 just misses; so both are rounded.
    bin_of = np.clip(np.searchsorted(edges.round(6), scores.round(6), side="right") - 1, 0, bins - 1)
    counts = np.bincount(bin_of, of_detection, bins)
    right = np.bincount(bin_of, of_detection * tally.hits, bins)
    sums = np.bincount(bin_of, of_detection * scores, bins)
    with np.errstate(invalid="ignore"):
        confidence, precision = sums / counts, right / counts
    total = counts.sum()
    return Reliability(
        edges=edges,
        counts=counts.astype(np.int64),
        confidence=confidence,
        precision=precision,
        ece=float(np.abs(right - sums).sum() / total) if total else float("nan"),
    )

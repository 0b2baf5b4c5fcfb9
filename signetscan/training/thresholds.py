"""The choice of a model's score threshold on held-out images, and on what the choice rests."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from signetscan.evaluation import make_tally, threshold_for
from signetscan.evaluation.curves import pr_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.evaluation import ImageResult

FIRST_THRESHOLD = 0.5
"""Score threshold as long as nothing tells a better one."""


class ThresholdBasis(Enum):
    """On what a score threshold rests."""

    FALSE_POSITIVES = "false positives in normal images"
    """The lowest score that keeps their number as low as was asked for."""
    FEW_FALSE_POSITIVES = "F1, with few false positives in normal images"
    """The best F1: at every score that was looked at, normal images have fewer false positives than allowed."""
    NO_NORMAL_IMAGE = "F1, without normal images"
    """The best F1: there is no normal image."""
    NOTHING_FOUND = "nothing: no cell was found"
    """The start value: no detection finds a cell."""
    NOTHING_HELD_OUT = "nothing: no image was held out"
    """The start value: there is nothing to choose by."""


def choose_threshold(
    results: Sequence[ImageResult], false_positives_per_normal: float, *, lowest: float
) -> tuple[float, ThresholdBasis]:
    """The score threshold of a model, never below the lowest score that was looked at.

    Normal images decide, because elsewhere a detection without a box may be a cell that nobody boxed. Where they leave
    the threshold open, F1 on the given boxes decides.

    Args:
        results: the held-out images, with detections down to `lowest`.
        false_positives_per_normal: mean number of false positives in a normal image that is allowed.
        lowest: lowest score of the detections.
    """
    has_normals = any(result.normal for result in results)
    if has_normals:
        threshold = threshold_for(results, false_positives_per_normal)
        if threshold >= lowest:
            return threshold, ThresholdBasis.FALSE_POSITIVES
    best_f1, threshold = pr_curve(make_tally(results)).best_f1()
    if not best_f1 > 0:
        return FIRST_THRESHOLD, ThresholdBasis.NOTHING_FOUND
    basis = ThresholdBasis.FEW_FALSE_POSITIVES if has_normals else ThresholdBasis.NO_NORMAL_IMAGE
    return max(threshold, lowest), basis

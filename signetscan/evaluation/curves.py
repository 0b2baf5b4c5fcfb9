"""Curves over all thresholds, and the figures read from them: AP and F1.

Every curve has one point for each distinct score, so that the order of images and of equal scores does not matter.
False positives in normal images count in precision here; DigestPath's precision leaves them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.tally import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.evaluation.tally import Tally

AP_IOU = 0.5
"""Least IoU of AP50."""
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO averages precision."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrCurve:
    """Precision and recall, K thresholds from the highest down."""

    thresholds: NDArray[np.float32]
    """(K,), falling; detections with at least this score count."""
    precision: NDArray[np.float64]
    """(K,), part of the detections of all images that match a cell."""
    recall: NDArray[np.float64]
    """(K,), part of the cells that are found, rising; nan without cells."""
    f1: NDArray[np.float64]
    """(K,), harmonic mean of the two: 2 TP / (detections + cells)."""
    cells: int
    """Number of cells."""

    def best_f1(self) -> tuple[float, float]:
        """The highest F1 and the highest threshold that has it; nan without detections."""
        if not len(self.f1):
            return float("nan"), float("nan")
        best = int(self.f1.argmax())
        return float(self.f1[best]), float(self.thresholds[best])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrocCurve:
    """Recall against false positives, K thresholds from the highest down."""

    thresholds: NDArray[np.float32]
    """(K,), falling."""
    false_positives: NDArray[np.float64]
    """(K,), mean number of detections in a normal image; nan without normal images."""
    recall: NDArray[np.float64]
    """(K,), part of the cells of positive images that are found."""


def pr_curve(tally: Tally, weights: NDArray[np.int64] | None = None) -> PrCurve:
    """Precision, recall and F1 at every threshold; `weights` (M,) says how often each image counts."""
    weights = tally.weights() if weights is None else weights
    of_detection = weights[tally.image]
    counted = np.cumsum(of_detection)[tally.ends]
    true_positives = np.cumsum(of_detection * tally.hits)[tally.ends]
    points = _counted_points(counted)
    counted, true_positives = counted[points], true_positives[points]
    cells = tally.total_cells(weights)
    return PrCurve(
        thresholds=tally.scores[tally.ends][points],
        precision=true_positives / counted,
        recall=true_positives / cells if cells else np.full(len(true_positives), np.nan),
        f1=2 * true_positives / (counted + cells),
        cells=cells,
    )


def average_precision(curve: PrCurve) -> float:
    """AP as COCO interpolates it; nan without cells.

    The mean, over recalls 0, 0.01, ... 1, of the highest precision at that recall or a higher one; 0 where the recall
    is not reached (pycocotools, COCOeval.accumulate). Unlike COCO, it does not stop at 100 detections in an image.
    """
    if not curve.cells:
        return float("nan")
    envelope = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(curve.recall, RECALLS, side="left")].mean())


def froc_curve(tally: Tally, weights: NDArray[np.int64] | None = None) -> FrocCurve:
    """Recall and false positives at every threshold; `weights` (M,) says how often each image counts."""
    weights = tally.weights() if weights is None else weights
    of_detection = weights[tally.image]
    in_normal = tally.normal[tally.image]
    false_positives = np.cumsum(of_detection * in_normal)[tally.ends]
    true_positives = np.cumsum(of_detection * tally.hits)[tally.ends]
    points = _counted_points(np.cumsum(of_detection)[tally.ends])
    false_positives, true_positives = false_positives[points], true_positives[points]
    cells, normals = tally.total_cells(weights), tally.total_normals(weights)
    undefined = np.full(len(true_positives), np.nan)
    return FrocCurve(
        thresholds=tally.scores[tally.ends][points],
        false_positives=false_positives / normals if normals else undefined,
        recall=true_positives / cells if cells else undefined,
    )


def _counted_points(counted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which distinct scores have a detection in an image of weight above 0, (K,).

    Args:
        counted: (K,), detections down to each score, each counted by its image's weight.
    """
    return np.diff(counted, prepend=0) > 0


def f1_at(tally: Tally, threshold: float, weights: NDArray[np.int64] | None = None) -> float:
    """F1 of the detections of all images with at least this score; nan without detections and cells."""
    weights = tally.weights() if weights is None else weights
    above = tally.scores >= threshold
    of_detection = weights[tally.image[above]]
    true_positives = int(of_detection[tally.hits[above]].sum())
    return share(2 * true_positives, int(of_detection.sum()) + tally.total_cells(weights))

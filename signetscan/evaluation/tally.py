"""All detections of a set of images in one sorted list, so that a figure is a few sums over it.

Figures take a weight for each image: with 1 for all they are the figures of the set, and with the number of times that
each image was drawn those of a bootstrap resample, without sorting or matching again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.matching import indices_by_class, match
from signetscan.evaluation.options import MATCH_IOU

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.detections import Detections
    from signetscan.evaluation.matching import ImageResult

    Rule = Callable[[Detections, NDArray[Float], float], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tally:
    """N detections of M images, best first, and whether each matches a cell."""

    scores: NDArray[np.float32]
    """(N,), falling."""
    hits: NDArray[np.bool_]
    """(N,), whether each detection matches a cell."""
    image: NDArray[np.intp]
    """(N,), index of each detection's image."""
    ends: NDArray[np.intp]
    """(K,), index of the last detection of each score. No threshold separates equal scores."""
    normal: NDArray[np.bool_]
    """(M,), whether the image is declared to have no cell."""
    cells: NDArray[np.int64]
    """(M,), number of cells; 0 in normal images."""

    def weights(self) -> NDArray[np.int64]:
        """Weights that count each image once, (M,)."""
        return np.ones(len(self.normal), np.int64)

    def total_cells(self, weights: NDArray[np.int64]) -> int:
        """Number of cells in all images, each image counted by its weight."""
        return int(self.cells @ weights)

    def total_normals(self, weights: NDArray[np.int64]) -> int:
        """Number of normal images, each counted by its weight."""
        return int(weights[self.normal].sum())


def make_tally(results: Sequence[ImageResult], iou: float = MATCH_IOU, rule: Rule = match) -> Tally:
    """Match the detections of all images and sort them.

    Args:
        results: one entry for each image.
        iou: least IoU of a detection with the cell that it matches.
        rule: `match` (DigestPath) or `match_nearest_free` (COCO).
    """
    # Each list starts with an empty array, because there may be no image.
    hits = [np.empty(0, np.bool_), *(_hits(result, iou, rule) for result in results)]
    scores = np.concatenate([np.empty(0, np.float32), *(result.detections.scores for result in results)])
    counts = [len(result.detections) for result in results]
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    return Tally(
        scores=scores,
        hits=np.concatenate(hits)[order],
        image=np.repeat(np.arange(len(results)), counts)[order],
        ends=np.flatnonzero(np.diff(scores, append=np.float32(-np.inf)) != 0),
        normal=np.array([result.normal for result in results], np.bool_),
        cells=np.array([0 if result.normal else len(result.truth) for result in results], np.int64),
    )


def _hits(result: ImageResult, iou: float, rule: Rule) -> NDArray[np.bool_]:
    """Which detections match a cell, of the same class where classes are known, (len(detections),)."""
    hits = np.zeros(len(result.detections), np.bool_)
    if not result.normal:
        for detections, cells in indices_by_class(result):
            hits[detections] = rule(result.detections.select(detections), result.truth[cells], iou)
    return hits


def share(part: float, whole: float) -> float:
    """A part divided by its whole; nan if the whole is 0."""
    return part / whole if whole else float("nan")

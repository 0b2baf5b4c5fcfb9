"""The figures by which DigestPath 2019 ranks: recall, false positives and FROC.

An *image* is positive (with cells, and a box for each) or normal (without cells). Source: the challenge's evaluation
page, and the rule of matching in `signetscan.evaluation.matching`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.curves import f1_at
from signetscan.evaluation.options import MATCH_IOU
from signetscan.evaluation.tally import make_tally, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.evaluation.matching import ImageResult
    from signetscan.evaluation.tally import Tally

FROC_LEVELS = (1, 2, 4, 8, 16, 32)
"""False positives per normal image at which recall is averaged."""
LEAST_PRECISION = 0.2
"""Recall counts only if precision is above this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Recall, precision, false positives and FROC over a set of images."""

    froc: float
    """Mean recall at 1, 2, 4, 8, 16 and 32 false positives per normal image, 0 to 1; nan without cells, and without
    normal images, where nothing limits the false positives."""
    recall_at: tuple[float, ...]
    """Recall at each of these numbers."""
    threshold: float
    """Score threshold of the four values below."""
    recall: float
    """Part of all cells of positive images that are found."""
    precision: float
    """Part of the detections in positive images that match a cell; nan without any."""
    f1: float
    """Harmonic mean of recall and precision over all images, normal ones too: 2 TP / (detections + cells)."""
    false_positives_per_normal: float
    """Mean number of detections in a normal image; nan without normal images."""
    cells: int
    """Cells of all positive images."""
    positives: int
    """Positive images."""
    normals: int
    """Normal images."""

    @property
    def fps_score(self) -> float:
        """100 minus the mean number of detections in a normal image, not below 0; nan without normal images."""
        return float(np.maximum(100 - self.false_positives_per_normal, 0.0))

    @property
    def counted_recall(self) -> float:
        """The recall by which DigestPath ranks: 0 unless the precision is above 0.2; nan without cells."""
        # Without any detection in a positive image, precision is nan, and the recall is 0 anyway.
        return 0.0 if self.precision <= LEAST_PRECISION else self.recall


def evaluate(results: Sequence[ImageResult], threshold: float, iou: float = MATCH_IOU) -> Scores:
    """Evaluate a set of images.

    Args:
        results: one entry for each image.
        threshold: lowest score of detections that count for recall, precision, F1 and false positives.
        iou: least IoU of a detection with the cell that it matches; 0.3 in DigestPath.
    """
    return scores_of(make_tally(results, iou), threshold)


def evaluate_classes(results: Sequence[ImageResult], threshold: float, iou: float = MATCH_IOU) -> Scores:
    """Evaluate a set of images with labelled cells of one or several classes.

    FROC and the recalls behind it are means over the classes that have cells, each evaluated alone with its own false
    positives. Recall, precision, F1 and false positives are of all classes together, because they share one threshold.

    Args:
        results: one entry for each image, with labels.
        threshold: lowest score of detections that count for recall, precision, F1 and false positives.
        iou: least IoU of a detection with the cell of its class that it matches.
    """
    together = evaluate(results, threshold, iou)
    labels = np.unique(np.concatenate([np.empty(0, np.int64), *(_labels(result) for result in results)]))
    if not len(labels):
        return together
    alone = [evaluate([result.of_class(label) for result in results], threshold, iou) for label in labels.tolist()]
    recall_at = tuple(np.mean([scores.recall_at for scores in alone], axis=0).tolist())
    return replace(together, froc=float(np.mean(recall_at)), recall_at=recall_at)


def _labels(result: ImageResult) -> NDArray[np.int64]:
    """The labels of an image's cells; none of a normal image."""
    if result.normal or result.labels is None:
        return np.empty(0, np.int64)
    return result.labels


def scores_of(tally: Tally, threshold: float, weights: NDArray[np.int64] | None = None) -> Scores:
    """Evaluate images whose detections have been matched.

    Args:
        tally: the detections, matched by DigestPath's rule.
        threshold: lowest score of detections that count for recall, precision, F1 and false positives.
        weights: (M,), how often each image counts; once by default.
    """
    weights = tally.weights() if weights is None else weights
    of_detection = weights[tally.image]
    in_normal = tally.normal[tally.image]
    cells, normals = tally.total_cells(weights), tally.total_normals(weights)
    above = tally.scores >= threshold
    true_positives = int(of_detection[above & tally.hits].sum())
    false_positives = int(of_detection[above & in_normal].sum())
    recall_at = froc_recalls(tally, weights)
    return Scores(
        froc=float(np.mean(recall_at)),
        recall_at=recall_at,
        threshold=threshold,
        recall=share(true_positives, cells),
        precision=share(true_positives, int(of_detection[above & ~in_normal].sum())),
        f1=f1_at(tally, threshold, weights),
        false_positives_per_normal=share(false_positives, normals),
        cells=cells,
        positives=int(weights[~tally.normal].sum()),
        normals=normals,
    )


def froc_recalls(tally: Tally, weights: NDArray[np.int64]) -> tuple[float, ...]:
    """Recall at the lowest threshold that each of `FROC_LEVELS` allows, over images that count by their weights.

    Where all false positives are fewer than a level allows, every detection counts. Without normal images there is no
    such level, and the recalls are nan.
    """
    of_detection = weights[tally.image]
    in_normal = tally.normal[tally.image]
    false_positive_scores, false_positives = tally.scores[in_normal], np.cumsum(of_detection[in_normal])
    # The scores of hits, rising, and the number of hits from each of them on.
    hit_scores = tally.scores[tally.hits][::-1]
    true_positives = np.append(np.cumsum(of_detection[tally.hits])[::-1], 0)
    cells, normals = tally.total_cells(weights), tally.total_normals(weights)
    if not normals:
        return (float("nan"),) * len(FROC_LEVELS)
    recalls = []
    for level in FROC_LEVELS:
        # The first false positive beyond the level; detections count above its score.
        first = int(np.searchsorted(false_positives, level * normals, side="right"))
        limit = false_positive_scores[first] if first < len(false_positive_scores) else np.float32(-1)
        recalls.append(share(int(true_positives[np.searchsorted(hit_scores, limit, side="right")]), cells))
    return tuple(recalls)


def threshold_for(results: Sequence[ImageResult], false_positives_per_normal: float) -> float:
    """The lowest score threshold at which normal images have at most so many false positives on average.

    Only normal images decide: in a positive one, a detection without a box may be a cell that nobody boxed.
    """
    normals = [result for result in results if result.normal]
    false_positives = np.sort(
        np.concatenate([np.empty(0, np.float32), *(result.detections.scores for result in normals)])
    )[::-1]
    position = int(false_positives_per_normal * len(normals))
    first = false_positives[position] if position < len(false_positives) else np.float32(-1)
    # Detections count from the threshold on, so it is the next float32 above the first false positive to be left out.
    return min(max(float(np.nextafter(first, np.float32(2))), 0.0), 1.0)

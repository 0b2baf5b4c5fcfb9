"""How good detections are, by the definitions of DigestPath 2019.

An *image* is positive (it holds cells, with a box for each) or normal (it holds none). Matching is greedy: detections
are taken from the best down, each looks at the box it overlaps most, and finds it if their IoU is at least 0.3 and
nobody has found it before; otherwise it is a false alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.merge import best_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.detections import Detections

MATCH_IOU = 0.3
"""Least IoU of a detection with a cell that it finds."""
FROC_LEVELS = (1, 2, 4, 8, 16, 32)
"""False alarms per normal image at which recall is averaged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageResult:
    """What was found in one image, and what is there; one frame for both."""

    detections: Detections
    """All detections, down to a low score."""
    truth: NDArray[np.floating]
    """(N, 4), the cells; none in a normal image."""
    normal: bool
    """Whether the image holds no cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Recall, false alarms and their curve over a set of images."""

    froc: float
    """Mean recall at 1, 2, 4, 8, 16 and 32 false alarms per normal image, 0 to 1; nan without cells."""
    recall_at: tuple[float, ...]
    """Recall at each of these."""
    threshold: float
    """Score threshold that the three values below are for."""
    recall: float
    """Share of all cells of positive images that are found."""
    precision: float
    """Share of the detections in positive images that find a cell; nan where there are none."""
    fps_score: float
    """100 minus the mean number of detections in a normal image, not below 0; nan without normal images."""
    cells: int
    """Cells of all positive images."""
    positives: int
    """Positive images."""
    normals: int
    """Normal images."""


def match(detections: Detections, truth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which detections find a cell, (len(detections),), in the order given."""
    hits = np.zeros(len(detections), np.bool_)
    if len(truth) == 0 or len(detections) == 0:
        return hits
    overlap = iou_matrix(detections.boxes, truth)
    target, best = overlap.argmax(axis=1), overlap.max(axis=1)
    found: set[int] = set()
    for index in best_first(detections).tolist():
        cell = int(target[index])
        if best[index] >= MATCH_IOU and cell not in found:
            found.add(cell)
            hits[index] = True
    return hits


def evaluate(results: Sequence[ImageResult], threshold: float) -> Scores:
    """Score a set of images.

    Args:
        results: one entry an image.
        threshold: score from which detections count for recall, precision and the FPs score.
    """
    positives = [result for result in results if not result.normal]
    normals = [result for result in results if result.normal]
    cells = sum(len(result.truth) for result in positives)
    scores = _joined([result.detections.scores for result in positives])
    hits = np.concatenate([np.empty(0, np.bool_)] + [match(result.detections, result.truth) for result in positives])
    alarms = np.sort(_joined([result.detections.scores for result in normals]))[::-1]
    # The scores of the cells found, for recall at any threshold.
    found = np.sort(scores[hits])
    limits = [_threshold_at(alarms, level * len(normals)) for level in FROC_LEVELS]
    recall_at = tuple(_share(len(found) - int(np.searchsorted(found, limit, side="right")), cells) for limit in limits)
    above = scores >= threshold
    return Scores(
        froc=float(np.mean(recall_at)),
        recall_at=recall_at,
        threshold=threshold,
        recall=_share(int((above & hits).sum()), cells),
        precision=_share(int((above & hits).sum()), int(above.sum())),
        fps_score=max(100 - _share(int((alarms >= threshold).sum()), len(normals)), 0.0) if normals else float("nan"),
        cells=cells,
        positives=len(positives),
        normals=len(normals),
    )


def threshold_for(results: Sequence[ImageResult], alarms_per_normal: float) -> float:
    """The lowest score at which normal images have at most so many false alarms on average.

    Normal images alone decide, because in a positive one a detection without a box may be a cell that nobody boxed.
    """
    normals = [result for result in results if result.normal]
    alarms = np.sort(_joined([result.detections.scores for result in normals]))[::-1]
    # Detections count from the threshold on, so it is the next number above the last alarm to be kept out.
    above = np.nextafter(np.float32(_threshold_at(alarms, alarms_per_normal * len(normals))), np.float32(2))
    return min(max(float(above), 0.0), 1.0)


def _threshold_at(alarms: NDArray[np.float32], allowed: float) -> float:
    """Score above which there are at most `allowed` false alarms, below all where there are no more. `alarms` falls."""
    position = int(allowed)
    return float(alarms[position]) if position < len(alarms) else -1.0


def _joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([np.empty(0, np.float32), *parts])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")

"""Matching of detections with cells.

Both rules are greedy: detections are taken from the best down, each cell is matched once, and a detection without a
cell is a false positive. They differ where cells crowd. DigestPath's considers only the cell that a detection overlaps
most, so a second detection of the same cell is a false positive; COCO's considers all cells not matched yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.evaluation.options import MATCH_IOU
from signetscan.scan.merge import best_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.detections import Detections

BLOCK = 256
"""Detections compared with cells at once. They are sorted by position, so few cells are in reach of a block."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageResult:
    """Detections and ground truth of one image, in the same frame."""

    detections: Detections
    """All detections, down to a low score."""
    truth: NDArray[Float]
    """(N, 4), boxes of the cells; none in a normal image."""
    normal: bool
    """Whether the image has no cell."""
    name: str = ""
    """Name of the image."""
    slide: str = ""
    """Slide that the image is from; empty if not known. Images of one slide are not independent."""
    labels: NDArray[np.int64] | None = None
    """(N,), class of each cell, which only a detection of that class matches; None where classes do not matter."""

    def of_class(self, label: int) -> ImageResult:
        """The detections and cells of one class. A normal image stays normal: it has no cell of any class."""
        if self.labels is None:
            message = "the classes of the cells are not known"
            raise ValueError(message)
        cells = self.labels == label
        detections = self.detections.select(self.detections.labels == label)
        return replace(self, detections=detections, truth=self.truth[cells], labels=self.labels[cells])


def indices_by_class(result: ImageResult) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each class that has cells, indices of its detections and cells; all indices where classes do not matter."""
    if result.labels is None:
        yield np.arange(len(result.detections)), np.arange(len(result.truth))
        return
    for label in np.unique(result.labels):
        yield np.flatnonzero(result.detections.labels == label), np.flatnonzero(result.labels == label)


def match(detections: Detections, truth: NDArray[Float], iou: float = MATCH_IOU) -> NDArray[np.bool_]:
    """Which detections match a cell by DigestPath's rule, (len(detections),), in the order given."""
    return np.asarray(matched_cells(detections, truth, iou) >= 0)


def matched_cells(detections: Detections, truth: NDArray[Float], iou: float = MATCH_IOU) -> NDArray[np.intp]:
    """Index of the cell that each detection matches by DigestPath's rule, (len(detections),); -1 if none.

    A detection matches the cell that it overlaps most, if their IoU is at least `iou` and no better detection has
    matched that cell.
    """
    cells = np.full(len(detections), -1, np.intp)
    candidates = _overlapping(detections, truth, iou)
    matched: set[int] = set()
    for index in best_first(detections).tolist():
        if not candidates[index]:
            continue
        # Of cells with the same overlap, the first.
        _, cell = max(candidates[index], key=lambda candidate: (candidate[0], -candidate[1]))
        if cell not in matched:
            matched.add(cell)
            cells[index] = cell
    return cells


def match_nearest_free(detections: Detections, truth: NDArray[Float], iou: float = MATCH_IOU) -> NDArray[np.bool_]:
    """Which detections match a cell by COCO's rule, (len(detections),), in the order given.

    A detection matches, of the cells that no better detection has matched, the one that it overlaps most, if their IoU
    is at least `iou`; of several with the same overlap the last, as in pycocotools.
    """
    hits = np.zeros(len(detections), np.bool_)
    candidates = _overlapping(detections, truth, iou)
    matched: set[int] = set()
    for index in best_first(detections).tolist():
        free = [(overlap, cell) for overlap, cell in candidates[index] if cell not in matched]
        if free:
            matched.add(max(free)[1])
            hits[index] = True
    return hits


def _overlapping(detections: Detections, truth: NDArray[Float], iou: float) -> list[list[tuple[float, int]]]:
    """For each detection the cells with at least this IoU (above 0), as (IoU, cell)."""
    candidates: list[list[tuple[float, int]]] = [[] for _ in range(len(detections))]
    if len(truth) == 0:
        return candidates
    # Cells sorted by their left edge: a block of detections can overlap only those that start at most the widest cell
    # before its first left edge and not after its last right edge.
    by_left = np.argsort(truth[:, 0], kind="stable")
    lefts, widest = truth[by_left, 0], (truth[:, 2] - truth[:, 0]).max()
    order = np.argsort(detections.boxes[:, 0], kind="stable")
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        boxes = detections.boxes[rows]
        first = np.searchsorted(lefts, boxes[:, 0].min() - widest)
        last = np.searchsorted(lefts, boxes[:, 2].max(), side="right")
        cells = by_left[first:last]
        overlap = iou_matrix(boxes, truth[cells])
        for row, column in np.argwhere(overlap >= iou).tolist():
            candidates[rows[row]].append((float(overlap[row, column]), int(cells[column])))
    return candidates

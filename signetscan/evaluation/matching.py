"""Which detections find a cell.

Both rules are greedy: detections are taken from the best down, and a cell is found once; what finds none is a false
positive. They differ where cells crowd. DigestPath's looks only at the cell that a detection overlaps most, so a double
stays a false positive; COCO's looks at the cells that nobody has found yet.
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
"""Detections compared with cells at once. They are neighbours, so few cells are in reach even on a large slide."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageResult:
    """What was found in one image, and what is there; one frame for both."""

    detections: Detections
    """All detections, down to a low score."""
    truth: NDArray[Float]
    """(N, 4), the cells; none in a normal image."""
    normal: bool
    """Whether the image holds no cell."""
    name: str = ""
    """What it is called."""
    slide: str = ""
    """Slide that it is from; empty where nobody knows. Images of one slide are not independent."""
    labels: NDArray[np.int64] | None = None
    """(N,), class of each cell, which only a detection of the same class finds; None where class does not matter."""

    def of_class(self, label: int) -> ImageResult:
        """What is of one class. A normal image stays one: it holds no cell of any class."""
        if self.labels is None:
            message = "the classes of the cells are not known"
            raise ValueError(message)
        mine = self.labels == label
        detections = self.detections.select(self.detections.labels == label)
        return replace(self, detections=detections, truth=self.truth[mine], labels=self.labels[mine])


def of_classes(result: ImageResult) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices of the detections and of the cells of each class that has cells; of all where class does not matter."""
    if result.labels is None:
        yield np.arange(len(result.detections)), np.arange(len(result.truth))
        return
    for label in np.unique(result.labels):
        yield np.flatnonzero(result.detections.labels == label), np.flatnonzero(result.labels == label)


def match(detections: Detections, truth: NDArray[Float], iou: float = MATCH_IOU) -> NDArray[np.bool_]:
    """Which detections find a cell by DigestPath's rule, (len(detections),), in the order given."""
    return np.asarray(cells_found(detections, truth, iou) >= 0)


def cells_found(detections: Detections, truth: NDArray[Float], iou: float = MATCH_IOU) -> NDArray[np.intp]:
    """The cell that each detection finds by DigestPath's rule, (len(detections),); -1 if none.

    Each detection looks at the cell that it overlaps most, and finds it if their IoU is at least `iou` and nobody has
    found it before.
    """
    cells = np.full(len(detections), -1, np.intp)
    candidates = _overlapping(detections, truth, iou)
    matched: set[int] = set()
    for index in best_first(detections).tolist():
        if not candidates[index]:
            continue
        # Of cells overlapped alike, the first.
        _, cell = max(candidates[index], key=lambda candidate: (candidate[0], -candidate[1]))
        if cell not in matched:
            matched.add(cell)
            cells[index] = cell
    return cells


def match_nearest_free(detections: Detections, truth: NDArray[Float], iou: float = MATCH_IOU) -> NDArray[np.bool_]:
    """Which detections find a cell by COCO's rule, (len(detections),), in the order given.

    Each detection finds, of the cells that nobody has found before, the one that it overlaps most, if their IoU is
    at least `iou`; of equals the last, as in pycocotools.
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

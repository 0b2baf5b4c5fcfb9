"""From the candidates of overlapping tiles to the detections of a slide.

A tile answers for the objects whose centre lies in the part it owns, and a little beyond, because two tiles may
place the same object a fraction of a pixel apart: with a hard border each could leave it to the other. What both
report is one object twice, which the last suppression over the whole slide removes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres, overlapping_pairs
from signetscan.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.tiling import Tile

SEAM_MARGIN = 8.0
"""How far beyond its own part a tile still reports an object, view pixels: many times the jitter between tiles,
and far less than an overlap."""


def best_first(detections: Detections) -> NDArray[np.intp]:
    """Order by falling score; equal scores by place and label, so that no order of arrival shows in the result."""
    keys = (detections.labels, *detections.boxes.T[::-1], -detections.scores)
    order: NDArray[np.intp] = np.lexsort(keys)
    return order


def suppress(detections: Detections, iou_threshold: float) -> Detections:
    """Greedy non-maximum suppression within each label, best first.

    Taken in order of falling score, a box is kept unless its IoU with a kept box of its label exceeds the
    threshold. The result is that of the usual one-by-one loop, reached in a few rounds over all boxes at once: a box
    with no better rival left is kept, and then removes its rivals.

    Returns:
        The kept detections, best first.
    """
    ranked = detections.select(best_first(detections))
    better, worse = _rivals(ranked, iou_threshold)
    undecided = np.ones(len(ranked), np.bool_)
    kept = np.zeros(len(ranked), np.bool_)
    while undecided.any():
        waiting = np.zeros(len(ranked), np.bool_)
        waiting[worse] = True
        winners = undecided & ~waiting
        kept |= winners
        undecided &= ~winners
        undecided[worse[winners[better]]] = False
        open_pairs = undecided[better] & undecided[worse]
        better, worse = better[open_pairs], worse[open_pairs]
    return ranked.select(kept)


def _rivals(ranked: Detections, iou_threshold: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of detections of one label that overlap too much, as (better, worse) index arrays."""
    pairs = [np.empty((0, 2), np.intp)]
    for label in np.unique(ranked.labels):
        of_label = np.flatnonzero(ranked.labels == label)
        pairs.append(of_label[overlapping_pairs(ranked.boxes[of_label], iou_threshold)])
    found = np.concatenate(pairs)
    return found[:, 0], found[:, 1]


def keep_owned(detections: Detections, tile: Tile) -> Detections:
    """The detections (view pixels) whose centre lies in the part that the tile owns, or within the seam margin."""
    x, y = centres(detections.boxes).T
    x0, y0, x1, y1 = tile.owned
    inside = (x >= x0 - SEAM_MARGIN) & (x < x1 + SEAM_MARGIN)
    inside &= (y >= y0 - SEAM_MARGIN) & (y < y1 + SEAM_MARGIN)
    return detections.select(inside)


def merge_tiles(parts: Sequence[Detections], iou_threshold: float) -> Detections:
    """All tiles' detections (one frame) as those of the slide, best first, each object once."""
    return suppress(Detections.concatenate(parts), iou_threshold)

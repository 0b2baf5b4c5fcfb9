"""Merging the detections of overlapping tiles into those of a slide.

A tile reports the objects whose centre lies in the part it owns or a little outside it. Two tiles may see the same
object a fraction of a pixel apart, so with a sharp border each could leave it to the other. Objects that both report
are reduced to one by the final suppression over the whole slide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.detections import Detections
from signetscan.scan.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.scan.neighbours import Runs
    from signetscan.scan.tiling import Tile

SEAM_MARGIN = 8.0
"""How far outside its own part a tile still reports an object, view pixels: many times the difference between tiles,
and far less than an overlap."""
MOST_AT_ONCE = 1 << 19
"""Boxes decided in one round: enough for arrays to pay, few enough to remove most others before their turn."""
MOST_PAIRS = 1 << 21
"""Pairs of boxes compared in one round: bounds memory where thousands of boxes lie on one spot."""


def best_first(detections: Detections) -> NDArray[np.intp]:
    """Indices by falling score; ties go by box and label, so that the result does not depend on the order of tiles."""
    # One sort by score and left edge, packed into an integer, orders almost all. The few that tie need all keys.
    packed = _sortable(-detections.scores).astype(np.uint64) << np.uint64(32) | _sortable(detections.boxes[:, 0])
    order: NDArray[np.intp] = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same)) if len(order) else order
    tied_indices = np.sort(order[tied])
    ties = detections.select(tied_indices)
    order[tied] = tied_indices[np.lexsort((ties.labels, *ties.boxes.T[::-1], -ties.scores))]
    return order


def _sortable(values: NDArray[Float]) -> NDArray[np.uint32]:
    """Unsigned integers in the order of the values, which are rounded to 32 bits first."""
    # The bits of a positive float rise with it; those of a negative one fall, so all of them are turned over.
    with np.errstate(over="ignore", under="ignore"):
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 makes -0 a 0
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def suppress(detections: Detections, iou_threshold: float) -> Detections:
    """Greedy non-maximum suppression within each label.

    In order of falling score, a box is kept unless its IoU with a kept box of its label exceeds the threshold. The
    result is that of the usual loop over single boxes, but it is computed in rounds: the best boxes are decided among
    themselves, the kept ones remove their rivals from the rest, and the next round takes the best of what is left. Time
    and memory thus grow with the pairs of boxes that are still undecided, not with all pairs that overlap.

    Args:
        detections: boxes in one frame.
        iou_threshold: boxes overlap when their IoU exceeds it, 0 to 1.

    Returns:
        The kept detections, best first.
    """
    order = best_first(detections)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    neighbours = Neighbours.of(detections.boxes, detections.labels, iou_threshold)
    removed = np.zeros(len(order), np.bool_)
    undecided = np.arange(len(order))
    while len(undecided):
        best, runs = _best_of(undecided, ranks, neighbours)
        _decide(neighbours.overlapping(runs), ranks, removed)
        rest = undecided[ranks[undecided] > ranks[best].max()]
        for _, rivals in neighbours.overlapping(neighbours.between(best[~removed[best]], rest)):
            removed[rivals] = True
        undecided = rest[~removed[rest]]
    return detections.select(order[~removed[order]])


def _best_of(
    undecided: NDArray[np.intp], ranks: NDArray[np.intp], neighbours: Neighbours
) -> tuple[NDArray[np.intp], list[Runs]]:
    """The best undecided boxes, as many as one round may decide, and where to look for their overlaps."""
    count = min(len(undecided), MOST_AT_ONCE)
    while True:
        left = ranks[undecided]
        best = undecided if count == len(undecided) else undecided[left < np.partition(left, count)[count]]
        runs = neighbours.within(best)
        if sum(run.pairs for run in runs) <= MOST_PAIRS:
            return best, runs
        count //= 2


def _decide(
    pairs: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]], ranks: NDArray[np.intp], removed: NDArray[np.bool_]
) -> None:
    """Mark as removed each box that overlaps a better box that is kept, given all pairs that overlap."""
    both = np.concatenate([np.empty((2, 0), np.intp), *(np.stack(pair) for pair in pairs)], axis=1)
    both = np.where(ranks[both[0]] < ranks[both[1]], both, both[::-1])
    # A box that overlaps no better one is kept and removes its rivals: this settles most pairs at once.
    has_better = np.zeros_like(removed)
    has_better[both[1]] = True
    removed[both[1][~has_better[both[0]]]] = True
    both = both[:, ~removed[both].any(axis=0)]
    better, worse = both[:, np.argsort(ranks[both[0]])]
    # The pairs are in order of the better box's rank, so whatever could remove a box comes before the pairs in which it
    # is the better one. Single bytes are read several times faster from a bytearray than from an array.
    removed_bytes = bytearray(removed)
    for better_index, worse_index in zip(memoryview(better), memoryview(worse), strict=True):
        if not removed_bytes[better_index]:
            removed_bytes[worse_index] = True
    removed[:] = np.frombuffer(removed_bytes, np.bool_)


def keep_owned(detections: Detections, tile: Tile) -> Detections:
    """The detections (view pixels) whose centre lies in the part that the tile owns, or within the seam margin."""
    x, y = centres(detections.boxes).T
    x0, y0, x1, y1 = tile.owned
    inside = (x >= x0 - SEAM_MARGIN) & (x < x1 + SEAM_MARGIN)
    inside &= (y >= y0 - SEAM_MARGIN) & (y < y1 + SEAM_MARGIN)
    return detections.select(inside)


def merge_tiles(parts: Sequence[Detections], iou_threshold: float) -> Detections:
    """The detections of a slide, best first and each object once, from those of its tiles, all in one frame."""
    return suppress(Detections.concatenate(parts), iou_threshold)

"""From the candidates of overlapping tiles to the detections of a slide.

A tile answers for the objects whose centre lies in the part it owns, and a little beyond, because two tiles may
place the same object a fraction of a pixel apart: with a hard border each could leave it to the other. What both
report is one object twice, which the last suppression over the whole slide removes.
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
"""How far beyond its own part a tile still reports an object, view pixels: many times the jitter between tiles,
and far less than an overlap."""
MOST_AT_ONCE = 1 << 19
"""Boxes decided at once: enough that work on arrays pays, few enough that they remove most others before their turn."""
MOST_PAIRS = 1 << 21
"""Pairs that boxes decided at once may make. It bounds memory where thousands of boxes lie on one spot."""


def best_first(detections: Detections) -> NDArray[np.intp]:
    """Order by falling score; equal scores by place and label, so that no order of arrival shows in the result."""
    # One sort by score and left edge, packed in an integer, decides almost all; few tie and need all keys.
    packed = _sortable(-detections.scores).astype(np.uint64) << np.uint64(32) | _sortable(detections.boxes[:, 0])
    order: NDArray[np.intp] = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same)) if len(order) else order
    those = np.sort(order[tied])
    some = detections.select(those)
    order[tied] = those[np.lexsort((some.labels, *some.boxes.T[::-1], -some.scores))]
    return order


def _sortable(values: NDArray[Float]) -> NDArray[np.uint32]:
    """Integers in the order of the values; values that differ by less than 32 bits can tell share one."""
    with np.errstate(over="ignore", under="ignore"):
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # + 0 makes -0 a 0
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def suppress(detections: Detections, iou_threshold: float) -> Detections:
    """Greedy non-maximum suppression within each label, best first.

    Taken in order of falling score, a box is kept unless its IoU with a kept box of its label exceeds the
    threshold. The result is that of the usual one-by-one loop, reached in rounds: the best boxes are decided among
    themselves, those that are kept remove their rivals from the rest, and the next best of what is left follow. So
    time and memory follow the pairs of boxes that are still in question, not all pairs that overlap.

    Returns:
        The kept detections, best first.
    """
    order = best_first(detections)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    neighbours = Neighbours.of(detections.boxes, detections.labels, iou_threshold)
    removed = np.zeros(len(order), np.bool_)
    left = np.arange(len(order))
    while len(left):
        best, runs = _best_of(left, ranks, neighbours)
        _decide(neighbours.overlapping(runs), ranks, removed)
        rest = left[ranks[left] > ranks[best].max()]
        for _, rivals in neighbours.overlapping(neighbours.between(best[~removed[best]], rest)):
            removed[rivals] = True
        left = rest[~removed[rest]]
    return detections.select(order[~removed[order]])


def _best_of(
    left: NDArray[np.intp], ranks: NDArray[np.intp], neighbours: Neighbours
) -> tuple[NDArray[np.intp], list[Runs]]:
    """The best of the boxes that are left, as many as may be decided at once, and where their pairs are."""
    count = min(len(left), MOST_AT_ONCE)
    while True:
        best = left if count == len(left) else left[ranks[left] < np.partition(ranks[left], count)[count]]
        runs = neighbours.within(best)
        if sum(run.pairs for run in runs) <= MOST_PAIRS:
            return best, runs
        count //= 2


def _decide(
    pairs: Iterable[tuple[NDArray[np.intp], NDArray[np.intp]]], ranks: NDArray[np.intp], removed: NDArray[np.bool_]
) -> None:
    """Mark as removed every box that overlaps a better one that is not, given all pairs that overlap."""
    both = np.concatenate([np.empty((2, 0), np.intp), *(np.stack(pair) for pair in pairs)], axis=1)
    both = np.where(ranks[both[0]] < ranks[both[1]], both, both[::-1])
    # Those that overlap no better box settle most pairs at once.
    waiting = np.zeros_like(removed)
    waiting[both[1]] = True
    removed[both[1][~waiting[both[0]]]] = True
    both = both[:, ~removed[both].any(axis=0)]
    better, worse = both[:, np.argsort(ranks[both[0]])]
    # In order of the better box's rank, a box is met as the better one only after all that could remove it. Plain bytes
    # are several times quicker than an array to read one by one.
    gone = bytearray(removed)
    for one, other in zip(memoryview(better), memoryview(worse), strict=True):
        if not gone[one]:
            gone[other] = True
    removed[:] = np.frombuffer(gone, np.bool_)


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

"""Polygons of pieces of a map, from the lines between them.

Every line has two sides. Seen from a piece, it leads around that piece, which lies on its right: clockwise around the
outside, anticlockwise around a hole. So each side of a line is followed by exactly one other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EAST, SOUTH, WEST, NORTH = range(4)


def polygons_around(lines: NDArray[np.int32], sides: NDArray[np.int64], count: int) -> NDArray[np.object_]:
    """The polygon of each piece, exactly, with a corner wherever lines meet.

    Args:
        lines: (N, 4), x0, y0, x1, y1 of both ends of each line, pixels of the map; to the right, or downwards. Lines
            meet at their ends only.
        sides: (N, 2), the pieces above and below each line, or to the left and to the right of it; -1 for none.
        count: number of pieces. The pixels of each join at their sides.

    Returns:
        (count,), valid polygons, pixels of the map; rings begin at their first corner in reading order.
    """
    is_level = lines[:, 1] == lines[:, 3]
    # There and back: with the piece below a line, or to the left of it, and then with the other one.
    piece = np.concatenate([np.where(is_level, sides[:, 1], sides[:, 0]), np.where(is_level, sides[:, 0], sides[:, 1])])
    heading = np.concatenate([np.where(is_level, EAST, SOUTH), np.where(is_level, WEST, NORTH)])
    begins, ends = np.concatenate([lines[:, :2], lines[:, 2:]]), np.concatenate([lines[:, 2:], lines[:, :2]])
    held = piece >= 0
    piece, heading, begins, ends = piece[held], heading[held], begins[held], ends[held]
    order, following = _following(piece, heading, begins, ends, count)
    walked, ring = _rings(order.tolist(), following.tolist())
    owners = piece[walked][np.flatnonzero(np.diff(ring, prepend=-1))]
    rings = shapely.linearrings(begins[walked].astype(np.float64), indices=ring)
    # The first ring of a piece in reading order is its outside: no hole reaches the corner of the piece's first pixel.
    by_piece = owners.argsort(kind="stable")
    return np.asarray(shapely.polygons(rings[by_piece], indices=owners[by_piece]))


def _following(
    piece: NDArray[np.int64],
    heading: NDArray[np.int64],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All sides of lines in the reading order of the corners where they begin, and the one that follows each.

    Where two pixels of a piece touch at a corner, two of its sides end. Turning left there, over to the other pixel,
    makes rings that do not touch themselves: the two other pixels at this corner are not in one gap, as the piece
    goes around either of them.
    """
    columns = int(max(begins[:, 0].max(initial=0), ends[:, 0].max(initial=0))) + 1

    def keys(corners: NDArray[np.int32], headings: NDArray[np.int64]) -> NDArray[np.int64]:
        place = corners[:, 1].astype(np.int64) * columns + corners[:, 0]
        return np.asarray((place * count + piece) * 4 + headings)

    out, into = keys(begins, heading).argsort(), keys(ends, (heading + 3) % 4).argsort()
    following = np.empty_like(out)
    following[into] = out
    return out, following


def _rings(order: Sequence[int], following: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What follows each other, ring by ring, each from its first in order; and the number of the ring of each."""
    seen = bytearray(len(order))
    walked: list[int] = []
    lengths: list[int] = []
    for first in order:
        if seen[first]:
            continue
        here, before = first, len(walked)
        while not seen[here]:
            seen[here] = 1
            walked.append(here)
            here = following[here]
        lengths.append(len(walked) - before)
    return np.array(walked, np.int64), np.repeat(np.arange(len(lengths)), lengths)

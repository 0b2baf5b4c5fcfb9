"""Where outlines cross horizontal lines; what lies in an outline of a million corners follows from that in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Box

    Values = NDArray[np.float64]
    Indices = NDArray[np.intp]

MOST_CROSSINGS = 500_000_000
"""Most crossings that are looked at, half a minute's work: outlines drawn by people or along tissue have few."""
AT_ONCE = 1 << 20
"""Number of crossings in memory."""


def box_around(rings: Sequence[Values]) -> Box:
    """The box around some rings, (K, 2) each."""
    corners = rings[0] if len(rings) == 1 else np.concatenate(rings)
    x0, y0 = corners.min(axis=0).tolist()
    x1, y1 = corners.max(axis=0).tolist()
    return x0, y0, x1, y1


def area_of(ring: Values) -> float:
    """The area of a ring (K, 2) that does not cross itself, square pixels."""
    x, y = (ring - ring[0]).T  # from the first corner: rounding is less, and the edge back to it has no part in the sum
    return abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2


def crossings(rings: Sequence[Values], heights: Values) -> Iterator[tuple[Indices, Values]]:
    """Where the edges of rings cross horizontal lines. An edge has its upper end, and not its lower one.

    Args:
        rings: (K, 2) each, corners in order, closed or not.
        heights: (L,), the lines, from the top.

    Yields:
        Index of the line and x of some crossings, (C,) each.

    Raises:
        AnnotationError: there are more crossings than can be looked at.
    """
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    first = np.searchsorted(heights, np.minimum(starts[:, 1], ends[:, 1]))
    counts = np.searchsorted(heights, np.maximum(starts[:, 1], ends[:, 1])) - first
    edges = np.flatnonzero(counts)
    total = counts[edges].cumsum()
    if len(total) and total[-1] > MOST_CROSSINGS:
        message = (
            f"an outline of {len(starts)} corners runs up and down too often to tell what lies in it; simplify it "
            "(QuPath: Objects > Annotations > Simplify shape) and export it again"
        )
        raise AnnotationError(message)
    blocks = np.searchsorted(total, np.arange(AT_ONCE, total[-1] if len(total) else 0, AT_ONCE))
    for some in np.split(edges, np.unique(blocks)):
        edge = np.repeat(some, counts[some])
        if len(edge):
            step = np.arange(len(edge)) - np.repeat(counts[some].cumsum() - counts[some], counts[some])
            line = first[edge] + step
            (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
            yield line, x0 + (heights[line] - y0) * ((x1 - x0) / (y1 - y0))


def holds(rings: Sequence[Values], points: Values) -> NDArray[np.bool_]:
    """Which points (N, 2) an odd number of rings contains, (N,): as many edges lie to the right of them.

    Raises:
        AnnotationError: see `crossings`.
    """
    order = points[:, 1].argsort(kind="stable")
    x, y = points[order].T
    inside = np.zeros(len(points), np.bool_)
    for line, crossing in crossings(rings, y):
        inside ^= np.bincount(line[x[line] < crossing], minlength=len(points)) % 2 == 1
    return inside[order.argsort()]


def filled(rings: Sequence[Values], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of a picture, (rows, columns), have their centre in an odd number of rings.

    Args:
        rings: (K, 2) each, pixels of the picture.
        size: rows and columns.

    Raises:
        AnnotationError: see `crossings`.
    """
    rows, columns = size
    # A crossing changes sides from one column on.
    changes = np.zeros(rows * (columns + 1), np.bool_)
    for row, x in crossings(rings, np.arange(0.5, rows)):
        column = np.ceil(x - 0.5).clip(0, columns).astype(np.intp)
        places, counts = np.unique(row * (columns + 1) + column, return_counts=True)
        changes[places] ^= counts % 2 == 1
    return np.asarray(np.logical_xor.accumulate(changes.reshape(rows, columns + 1), axis=1)[:, :columns])

"""Rectangles inside a region: training images are rectangles, and around a region lies what nobody spoke of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from signetscan.annotations.outlines import filled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.annotations import Region

    Edges = tuple[int, int, int, int]

CELLS = 128
"""Most cells of the grid along a side of the region: finer ones hardly gain area."""
LEAST_CELL = 4
"""Least side of a cell, view pixels."""
MOST_RECTANGLES = 8
"""Most rectangles of one region."""
LEAST_SHARE = 0.1
"""Least area of a further rectangle, as a part of the first one's: smaller ones are slivers along the outline."""
FAR = 16
"""How far an outline is followed beyond the slide's edge, as a multiple of the longer side of the part on the slide."""


def rectangles_inside(
    region: Region, edges: Edges, scale: tuple[float, float], least_side: int
) -> Iterator[tuple[int, int, int, int]]:
    """Large rectangles inside a region, which do not overlap; a region that is a rectangle is one.

    Args:
        region: the region, level-0 pixels.
        edges: the rectangle around the region on its slide, view pixels.
        scale: level-0 pixels per view pixel, x and y.
        least_side: least side of a rectangle, view pixels.

    Yields:
        Edges of rectangles, view pixels, from the largest down.

    Raises:
        AnnotationError: the outline is too complex.
    """
    if region.is_rectangle:
        yield edges
        return
    step = max(LEAST_CELL, math.ceil(max(edges[2] - edges[0], edges[3] - edges[1]) / CELLS))
    free = _inner_cells(region, edges, scale, step)
    first = 0
    for _ in range(MOST_RECTANGLES):
        column, row, columns, rows = _largest(free)
        first = first or columns * rows
        if min(columns, rows) * step < least_side or columns * rows < first * LEAST_SHARE:
            return
        free[row : row + rows, column : column + columns] = False
        x0, y0 = edges[0] + column * step, edges[1] + row * step
        yield x0, y0, x0 + columns * step, y0 + rows * step


def _inner_cells(region: Region, edges: Edges, scale: tuple[float, float], step: int) -> NDArray[np.bool_]:
    """Which cells of a grid from the rectangle's corner lie wholly inside the region, (rows, columns)."""
    columns, rows = (edges[2] - edges[0]) // step, (edges[3] - edges[1]) // step
    shift = np.array(edges[:2], np.float64)
    rings = [(ring / scale - shift) / step for ring in region.rings]
    if any(np.abs(ring).max() > max(columns, rows) * FAR for ring in rings):
        return np.zeros((rows, columns), np.bool_)  # drawing such lines could take forever
    outline = Image.new("1", (columns, rows))
    draw = ImageDraw.Draw(outline)
    for ring in rings:  # a wide line, for the cells that the outline cuts, however it is rounded
        draw.line([(x, y) for x, y in [*ring.tolist(), *ring[:1].tolist()]], fill=1, width=5)
    return filled(rings, (rows, columns)) & ~np.array(outline, np.bool_)


def _largest(free: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The largest rectangle of free cells: its first column and row, and its numbers of columns and rows."""
    best = (0, 0, 0, 0)
    heights = np.zeros(free.shape[1] + 1, np.int64)  # free cells above and including the row; a 0 ends the last run
    for row in range(free.shape[0]):
        heights[:-1] = np.where(free[row], heights[:-1] + 1, 0)
        starts: list[tuple[int, int]] = []  # columns from which a rectangle of a height reaches to here
        for column, height in enumerate(heights.tolist()):
            start = column
            while starts and starts[-1][1] >= height:
                start, tall = starts.pop()
                if tall * (column - start) > best[2] * best[3]:
                    best = (start, row - tall + 1, column - start, tall)
            starts.append((start, height))
    return best

"""Cutting a plane into parts by its tissue, so that a network sees little glass and few places twice.

A grid that knows nothing of the tissue cuts through the middle of pieces, and its tiles hold the glass between them.
Here the plane is cut in two again and again, from edge to edge, each time where what the network will see is least:
along glass, or evenly where all is tissue. Looking two cuts ahead would find hardly more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float

Part = tuple[int, int, int, int]
"""x0, y0, x1, y1 of a rectangle, numbers of squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSizes:
    """How large tiles are, and what they show around their tissue. All numbers are view pixels."""

    side: float
    """Largest side."""
    overlap: float
    """What two tiles share where tissue goes on from one to the other."""
    glass_margin: float
    """What a tile shows beyond its tissue where that ends."""
    edge_margin: float
    """What a tile shows beyond the edges of the plane."""

    @property
    def seam(self) -> float:
        """What a tile shows beyond its own part where tissue goes on."""
        return self.overlap / 2

    def count(self, length: NDArray[Float]) -> NDArray[Float]:
        """How many tiles cover a length, their margins at both ends included."""
        more: NDArray[Float] = np.ceil((length - self.side) / (self.side - self.overlap))
        return 1 + np.maximum(more, 0)

    def seen(self, width: NDArray[Float], height: NDArray[Float]) -> NDArray[Float]:
        """How many pixels as few tiles as possible show of rectangles, margins at their edges included."""
        across: NDArray[Float] = width + (self.count(width) - 1) * self.overlap
        return across * (height + (self.count(height) - 1) * self.overlap)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tissue:
    """Which squares of a plane hold tissue."""

    squares: NDArray[np.bool_]
    """(rows, columns)."""
    x: NDArray[np.float64]
    """Where the columns begin and the last one ends, (columns + 1,), view pixels."""
    y: NDArray[np.float64]
    """Where the rows begin and the last one ends, (rows + 1,), view pixels."""

    @property
    def turned(self) -> Tissue:
        """With x and y exchanged."""
        return Tissue(squares=self.squares.T, x=self.y, y=self.x)

    def inside(self, part: Part) -> Part | None:
        """The smallest part around the tissue of a part; None if it holds none."""
        x0, y0, x1, y1 = part
        squares = self.squares[y0:y1, x0:x1]
        columns, rows = np.flatnonzero(squares.any(axis=0)), np.flatnonzero(squares.any(axis=1))
        if len(columns) == 0:
            return None
        return x0 + int(columns[0]), y0 + int(rows[0]), x0 + int(columns[-1]) + 1, y0 + int(rows[-1]) + 1


def cover(tissue: Tissue, sizes: TileSizes) -> list[Part]:
    """Cut a plane into parts, each with tissue that one tile shows, unless it is no larger than a square.

    Args:
        tissue: where the plane holds tissue.
        sizes: of the tiles.

    Returns:
        The parts with tissue, which do not overlap, in the order of cutting, so that most neighbours follow each other.
    """
    rows, columns = tissue.squares.shape
    found: list[Part] = []
    edge = sizes.edge_margin
    waiting: list[tuple[Part, Box]] = [((0, 0, columns, rows), (edge, edge, edge, edge))]
    while waiting:
        part, margins = waiting.pop()
        inside = tissue.inside(part)
        if inside is None:
            continue
        left, top, right, bottom = (
            margin if border == end else sizes.glass_margin
            for margin, border, end in zip(margins, part, inside, strict=True)
        )
        column, row = _best_cut(tissue, inside, (left, top, right, bottom), sizes)
        x0, y0, x1, y1 = part
        if column:
            waiting.append(((column, y0, x1, y1), (sizes.seam, *margins[1:])))
            waiting.append(((x0, y0, column, y1), (*margins[:2], sizes.seam, margins[3])))
        elif row:
            waiting.append(((x0, row, x1, y1), (margins[0], sizes.seam, *margins[2:])))
            waiting.append(((x0, y0, x1, row), (*margins[:3], sizes.seam)))
        else:
            found.append(part)
    return found


def _best_cut(tissue: Tissue, part: Part, margins: Box, sizes: TileSizes) -> tuple[int, int]:
    """The column and the row before which to cut, one of them 0; both are 0 if one tile is best.

    Args:
        tissue: where the plane holds tissue.
        part: with tissue in its first and last columns and rows.
        margins: what tiles show beyond its left, upper, right and lower side, view pixels.
        sizes: of the tiles.
    """
    x0, y0, x1, y1 = part
    width = float(tissue.x[x1] - tissue.x[x0]) + margins[0] + margins[2]
    height = float(tissue.y[y1] - tissue.y[y0]) + margins[1] + margins[3]
    column, by_columns = _cheapest(tissue, part, margins, sizes)
    row, by_rows = _cheapest(tissue.turned, (y0, x0, y1, x1), (margins[1], margins[0], margins[3], margins[2]), sizes)
    if not column and not row:
        return 0, 0
    if max(width, height) <= sizes.side and min(by_columns, by_rows) >= width * height:
        return 0, 0
    return (column, 0) if (by_columns, height) < (by_rows, width) else (0, row)


def _cheapest(tissue: Tissue, part: Part, margins: Box, sizes: TileSizes) -> tuple[int, float]:
    """The column before which to cut for least, and what is seen then; among equals the one that halves the tiles."""
    x0, _, x1, _ = part
    if x1 - x0 == 1:
        return 0, np.inf
    seen = _seen_after(tissue, part, margins, sizes)
    length = tissue.x[x1] - tissue.x[x0]
    count = max(2.0, float(sizes.count(np.array(length + margins[0] + margins[2]))))
    even = tissue.x[x0] + length * (count // 2) / count
    cut = int(np.lexsort((np.abs(tissue.x[x0 + 1 : x1] - even), seen.round()))[0])
    return x0 + 1 + cut, float(seen[cut])


def _seen_after(tissue: Tissue, part: Part, margins: Box, sizes: TileSizes) -> NDArray[Float]:
    """What is seen of both sides after a cut before each column but the first, (columns - 1,)."""
    x0, y0, x1, y1 = part
    squares, x = tissue.squares[y0:y1, x0:x1], tissue.x[x0 : x1 + 1]
    height, width = squares.shape
    column, held = np.arange(width), squares.any(axis=0)
    top = np.where(held, squares.argmax(axis=0), height)
    bottom = np.where(held, height - squares[::-1].argmax(axis=0), 0)
    at_cut = np.where(held, sizes.seam, sizes.glass_margin)

    def of_height(top: NDArray[np.intp], bottom: NDArray[np.intp]) -> NDArray[Float]:
        above = np.where(top == 0, margins[1], sizes.glass_margin)
        below = np.where(bottom == height, margins[3], sizes.glass_margin)
        return np.asarray(tissue.y[y0 + bottom] - tissue.y[y0 + top] + above + below)

    last = np.maximum.accumulate(np.where(held, column + 1, 0))[:-1]
    left = of_height(np.minimum.accumulate(top)[:-1], np.maximum.accumulate(bottom)[:-1])
    first = np.minimum.accumulate(np.where(held, column, width)[::-1])[::-1][1:]
    right = of_height(np.minimum.accumulate(top[::-1])[::-1][1:], np.maximum.accumulate(bottom[::-1])[::-1][1:])
    return sizes.seen(x[last] - x[0] + margins[0] + at_cut[:-1], left) + sizes.seen(
        x[-1] - x[first] + margins[2] + at_cut[1:], right
    )

"""The squares of a grid that hold most: where cells are densest, and where tissue is most suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A square of grid cells."""

    row: int
    """Row of its first cell."""
    column: int
    """Column of its first cell."""
    total: int
    """Sum of its cells."""


def fullest_squares(cells: NDArray[np.int64], side: int, *, apart: int) -> Iterator[Square]:
    """The squares with the highest sums, the fullest first; of squares near each other, only the fullest.

    Of neighbouring squares with the same sum, the one in the middle is chosen. A square without anything in it is not.

    Args:
        cells: what each cell of the grid holds, at least 0, (rows, columns), both at least `side`.
        side: cells along a side of a square.
        apart: cells from one square to the next along at least one axis; with `side`, squares do not overlap.
    """
    # A summed-area table gives the sum of each square from its four corners.
    sums = np.pad(cells.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    totals = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    while (best := int(totals.max())) > 0:
        row, column = _middle(np.argwhere(totals == best), side)
        yield Square(row=row, column=column, total=best)
        totals[max(row - apart + 1, 0) : row + apart, max(column - apart + 1, 0) : column + apart] = 0


def _middle(ties: NDArray[np.intp], side: int) -> tuple[int, int]:
    """The middle one of equally full squares, given as rows and columns (N, 2), that overlap the first of them."""
    near = ties[(np.abs(ties - ties[0]) < side).all(axis=1)]
    row, column = near[np.argmin(((near - near.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    return row, column

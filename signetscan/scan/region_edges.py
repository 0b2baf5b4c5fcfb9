"""The edges between regions of a map, band by band: runs of pixel edges that meet at their ends only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EdgeRuns:
    """Straight lines along which the pixels on one side have one value, and those on the other side another."""

    lines: NDArray[np.int32]
    """(N, 4), x0, y0, x1, y1 of both ends, pixels of the map; to the right, or downwards."""
    beside: NDArray[np.int32]
    """(N, 2, 2), row and column of a pixel above the line and of one below it, or to its left and to its right; rows
    count from the one above the band, columns from one to the left of the map."""


@dataclass(slots=True, kw_only=True, eq=False)
class EdgeFinder:
    """Finds the edges of a map, whose bands it is given from top to bottom. Beyond the map all values are 0."""

    width: int
    """Columns of the map."""
    _begun: NDArray[np.int32] | None = None
    """(width + 1,), the row where a vertical run begins that goes on below the last band; -1 where there is none."""

    def next_band(self, values: NDArray[np.uint8], top: int, *, is_last: bool) -> EdgeRuns:
        """The edges of the next band, those above it among them.

        Args:
            values: (rows + 2, width), with the row above the band and the row below it.
            top: row of the map at which the band begins.
            is_last: whether the map ends below it.
        """
        around = np.pad(values, ((0, 0), (1, 1)))
        across = values[:-1] != values[1:]  # (rows + 1, width): edges along the line above each row, and below the last
        along = around[:, :-1] != around[:, 1:]  # (rows + 2, width + 1): edges along the left of each pixel
        touched = along[:-1] | along[1:]  # (rows + 1, width + 1): corners at which a vertical edge ends or passes
        crossed = np.pad(across, ((0, 0), (1, 0))) | np.pad(across, ((0, 0), (0, 1)))  # the same of horizontal edges
        level = _horizontal(across if is_last else across[:-1], touched)
        upright = self._vertical(along, crossed, top)
        parts = [_beside_horizontal(level), _beside_vertical(upright, top)]
        level[:, 1::2] += top
        return EdgeRuns(lines=np.concatenate([level, upright]), beside=np.concatenate(parts))

    def _vertical(self, along: NDArray[np.bool_], crossed: NDArray[np.bool_], top: int) -> NDArray[np.int32]:
        """Vertical runs that end in this band, x0, y0, x1, y1 of the map; the others are kept for the next one."""
        before = self._begun if self._begun is not None else np.full(self.width + 1, -1, np.int32)
        here, above, below = along[1:-1], along[:-2], along[2:]
        begins = here & (~above | crossed[:-1])
        ends = here & (~below | crossed[1:])
        columns, rows = np.nonzero(begins.T)
        old = np.flatnonzero(before >= 0)
        columns, rows = np.concatenate([old, columns]), np.concatenate([before[old], rows + top])
        order = columns.argsort(kind="stable")
        columns, rows = columns[order], rows[order]
        open_ = here[-1] & ~ends[-1]
        # The last run of each of these columns has no end yet.
        last = np.searchsorted(columns, np.flatnonzero(open_), side="right") - 1
        self._begun = np.full(self.width + 1, -1, np.int32)
        self._begun[columns[last]] = rows[last]
        ended = np.ones(len(columns), np.bool_)
        ended[last] = False
        x, lowest = np.nonzero(ends.T)
        return np.stack([columns[ended], rows[ended], x, lowest + top + 1], axis=1).astype(np.int32)


def _horizontal(edges: NDArray[np.bool_], touched: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Horizontal runs, x0, y0, x1, y1; y counts from the line above the band."""
    touched = touched[: len(edges)]
    before, after = np.pad(edges, ((0, 0), (1, 0)))[:, :-1], np.pad(edges, ((0, 0), (0, 1)))[:, 1:]
    y, begins = np.nonzero(edges & (~before | touched[:, :-1]))
    _, ends = np.nonzero(edges & (~after | touched[:, 1:]))
    return np.stack([begins, y, ends + 1, y], axis=1).astype(np.int32)


def _beside_horizontal(lines: NDArray[np.int32]) -> NDArray[np.int32]:
    x, y = lines[:, 0] + 1, lines[:, 1]
    # Line y lies between the rows y and y + 1, because the first one is above the band.
    return np.stack([np.stack([y, x], axis=1), np.stack([y + 1, x], axis=1)], axis=1)


def _beside_vertical(lines: NDArray[np.int32], top: int) -> NDArray[np.int32]:
    x, row = lines[:, 2], lines[:, 3] - top
    return np.stack([np.stack([row, x], axis=1), np.stack([row, x + 1], axis=1)], axis=1)

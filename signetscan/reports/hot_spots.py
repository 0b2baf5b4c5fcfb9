"""Hot spots: where on a slide the detections are densest, in squares of 2 mm², the area in which cells are counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float
    from signetscan.slides import Mpp

AREA_MM2 = 2.0
"""Area of a hot spot, mm²."""
SIDE_UM = 1000 * math.sqrt(AREA_MM2)
"""Side of one, µm."""
STEPS = 32
"""Hot spots start at multiples of this part of their side, some 44 µm; a finer grid moves no count by much."""
MAX_CELLS = 1 << 23
"""Most cells of the grid; a plane that is larger gets a coarser one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotSpot:
    """A square of 2 mm²."""

    box: Box
    """x0, y0, x1, y1, level-0 pixels; it may end beyond the slide."""
    count: int
    """Detections with their centre in it."""


def find_hot_spots(
    centres: NDArray[Float], dimensions: tuple[int, int], mpp: Mpp, *, most: int, steps: int = STEPS
) -> list[HotSpot]:
    """The squares with the most detections, of all that start on a grid and overlap with none that has more.

    Of squares with equally many the one in the middle is taken.

    Args:
        centres: of the detections, (N, 2), x and y in level-0 pixels.
        dimensions: width and height of the slide, level-0 pixels.
        mpp: size of a level-0 pixel.
        most: how many squares at most; none is empty.
        steps: steps of the grid to the side of a square.

    Returns:
        The squares, the fullest first; none where the plane is too large for any grid.
    """
    sides_um = dimensions[0] * mpp.x, dimensions[1] * mpp.y
    while steps and math.prod(side * steps / SIDE_UM + steps for side in sides_um) > MAX_CELLS:
        steps //= 2
    if steps == 0 or len(centres) == 0:
        return []
    cell = np.array([SIDE_UM / mpp.x / steps, SIDE_UM / mpp.y / steps])
    columns, rows = (max(math.ceil(length / size), steps) for length, size in zip(dimensions, cell, strict=True))
    squares = np.clip(centres / cell, 0, [columns - 1, rows - 1]).astype(np.int64)
    cells = np.bincount(squares[:, 1] * columns + squares[:, 0], minlength=rows * columns).reshape(rows, columns)
    sums = np.pad(cells.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    counts = sums[steps:, steps:] - sums[:-steps, steps:] - sums[steps:, :-steps] + sums[:-steps, :-steps]
    spots: list[HotSpot] = []
    while len(spots) < most and (best := int(counts.max())) > 0:
        row, column = _middle(np.argwhere(counts == best), steps)
        x, y = column * cell[0], row * cell[1]
        box = (float(x), float(y), float(x + steps * cell[0]), float(y + steps * cell[1]))
        spots.append(HotSpot(box=box, count=best))
        counts[max(row - steps + 1, 0) : row + steps, max(column - steps + 1, 0) : column + steps] = 0
    return spots


def _middle(ties: NDArray[np.intp], steps: int) -> tuple[int, int]:
    """Of the rows and columns (N, 2) of equally full squares, the one in the middle of those around the first."""
    near = ties[(np.abs(ties - ties[0]) < steps).all(axis=1)]
    row, column = near[np.argmin(((near - near.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    return row, column

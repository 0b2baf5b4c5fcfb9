"""Hot spots: the squares of 2 mm² with the most detections. Pathologists count cells in areas of this size."""

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
"""Side of a hot spot, µm."""
STEPS = 32
"""Steps of the grid per side of a hot spot, 44 µm each; a finer grid hardly changes a count."""
MAX_CELLS = 1 << 23
"""Most cells of the grid; a slide that would have more gets a coarser grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotSpot:
    """A square of 2 mm²."""

    box: Box
    """x0, y0, x1, y1, level-0 pixels; it may end beyond the slide."""
    count: int
    """Detections whose centre lies in the square."""


def find_hot_spots(
    centres: NDArray[Float], dimensions: tuple[int, int], mpp: Mpp, *, most: int, steps: int = STEPS
) -> list[HotSpot]:
    """The squares on a grid with the most detections, such that no two overlap; the fullest is chosen first.

    Of neighbouring squares with the same count, the one in the middle is chosen.

    Args:
        centres: centres of the detections, (N, 2), x and y in level-0 pixels.
        dimensions: width and height of the slide, level-0 pixels.
        mpp: size of a level-0 pixel.
        most: most squares; none is empty.
        steps: steps of the grid per side of a square.

    Returns:
        The squares, the fullest first; none where the slide is too large for any grid.
    """
    sides_um = dimensions[0] * mpp.x, dimensions[1] * mpp.y
    while steps and math.prod(side * steps / SIDE_UM + steps for side in sides_um) > MAX_CELLS:
        steps //= 2
    if steps == 0 or len(centres) == 0:
        return []
    cell_px = np.array([SIDE_UM / mpp.x / steps, SIDE_UM / mpp.y / steps])
    columns, rows = (max(math.ceil(length / size), steps) for length, size in zip(dimensions, cell_px, strict=True))
    cells = np.clip(centres / cell_px, 0, [columns - 1, rows - 1]).astype(np.int64)
    per_cell = np.bincount(cells[:, 1] * columns + cells[:, 0], minlength=rows * columns).reshape(rows, columns)
    # A summed-area table gives the count of each square of steps x steps cells from its four corners.
    sums = np.pad(per_cell.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    counts = sums[steps:, steps:] - sums[:-steps, steps:] - sums[steps:, :-steps] + sums[:-steps, :-steps]
    spots: list[HotSpot] = []
    while len(spots) < most and (best := int(counts.max())) > 0:
        row, column = _middle(np.argwhere(counts == best), steps)
        x, y = column * cell_px[0], row * cell_px[1]
        box = (float(x), float(y), float(x + steps * cell_px[0]), float(y + steps * cell_px[1]))
        spots.append(HotSpot(box=box, count=best))
        # Squares that overlap this one are out.
        counts[max(row - steps + 1, 0) : row + steps, max(column - steps + 1, 0) : column + steps] = 0
    return spots


def _middle(ties: NDArray[np.intp], steps: int) -> tuple[int, int]:
    """The middle one of equally full squares, given as rows and columns (N, 2), that overlap the first of them."""
    near = ties[(np.abs(ties - ties[0]) < steps).all(axis=1)]
    row, column = near[np.argmin(((near - near.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    return row, column

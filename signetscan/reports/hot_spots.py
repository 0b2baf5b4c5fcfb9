"""Hot spots: the squares of 0.2 mm² with the most detections.

That is about a high-power field, an objective of x40: a piece of a biopsy holds several. An area of 2 mm², in which
mitoses are counted, would hold all of a piece.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from signetscan.scan.squares import fullest_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float
    from signetscan.scan.squares import Square
    from signetscan.slides import Mpp

AREA_MM2 = 0.2
"""Area of a hot spot, mm²."""
SIDE_UM = 1000 * math.sqrt(AREA_MM2)
"""Side of a hot spot, µm."""
STEPS = 16
"""Steps of the grid per side of a hot spot, 28 µm each; a finer grid hardly changes a count."""
MAX_CELLS = 1 << 23
"""Most cells of the grid; a slide that would have more gets a coarser grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HotSpot:
    """A square of `AREA_MM2`."""

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
    return [_hot_spot(square, cell_px, steps) for square in islice(fullest_squares(per_cell, steps, apart=steps), most)]


def _hot_spot(square: Square, cell_px: NDArray[np.float64], steps: int) -> HotSpot:
    """The hot spot of a square of grid cells of a width and height in level-0 pixels, (2,)."""
    x0, y0 = (np.array([square.column, square.row]) * cell_px).tolist()
    x1, y1 = (np.array([square.column + steps, square.row + steps]) * cell_px).tolist()
    return HotSpot(box=(x0, y0, x1, y1), count=square.total)

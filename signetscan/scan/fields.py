"""The fields of a slide to look at first: around the places where the scored classes are most probable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from signetscan.scan.class_map import BAND
from signetscan.scan.squares import fullest_squares

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.scan.class_map import ClassMap

PLACE_UM = 100.0
"""Side of the square whose probability counts, µm: about a gland, so that one suspicious gland is enough."""
FIELD_UM = 400.0
"""Side of a field, µm: what an objective of x40 shows. The middles of two fields are at least this far apart."""
STEPS = 4
"""Grid cells along a side of the square, 25 µm each; a finer grid hardly changes a probability."""
MOST_FIELDS = 12
"""Most fields of a slide."""
MOST_CELLS = 1 << 23
"""Most cells of the grid; a slide that would have more gets a coarser grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A place of a slide that is to be looked at."""

    x: float
    """Its middle, level-0 pixels."""
    y: float
    probability: float
    """Mean probability of the scored classes over the square of `PLACE_UM` in its middle, 0 to 1; glass counts as 0."""


def find_fields(class_map: ClassMap, most: int = MOST_FIELDS) -> tuple[Field, ...]:
    """The most suspicious fields of a slide, the most suspicious first; none where nothing is probable at all.

    Args:
        class_map: the map of the slide.
        most: most fields.
    """
    size = _cell_size(class_map)
    cells = _sums(class_map, size)
    wide, high = (size[axis] * STEPS * class_map.pixel[axis] for axis in (0, 1))
    full = 255 * STEPS**2 * size[0] * size[1]
    apart = math.ceil(STEPS * FIELD_UM / PLACE_UM)
    return tuple(
        Field(
            x=square.column * wide / STEPS + wide / 2,
            y=square.row * high / STEPS + high / 2,
            probability=square.total / full,
        )
        for square in islice(fullest_squares(cells, STEPS, apart=apart), most)
    )


def _cell_size(class_map: ClassMap) -> tuple[int, int]:
    """Width and height of a cell of the grid, pixels of the map."""
    rows, columns = class_map.classes.shape
    width, height = (max(1, round(PLACE_UM / STEPS / um)) for um in class_map.pixel_um)
    coarser = max(1, math.ceil(math.sqrt(rows * columns / (width * height * MOST_CELLS))))
    return width * coarser, height * coarser


def _sums(class_map: ClassMap, size: tuple[int, int]) -> NDArray[np.int64]:
    """The sum of the scored probabilities, times 255, in each cell of the grid, (rows, columns); band by band."""
    (rows, columns), (width, height) = class_map.scored.shape, size
    sums = np.zeros((max(-(-rows // height), STEPS), max(-(-columns // width), STEPS)), np.int64)
    starts = np.arange(0, columns, width)
    for top, (_, scored) in zip(range(0, rows, BAND), class_map.bands(), strict=True):
        of_rows = np.add.reduceat(scored, starts, axis=1, dtype=np.int64)
        np.add.at(sums[:, : len(starts)], (np.arange(top, top + len(scored)) // height), of_rows)
    return sums

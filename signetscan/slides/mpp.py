"""The size of a slide's pixels and its source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from signetscan.errors import MppError


class MppSource(StrEnum):
    """Where the size of a slide's pixels comes from, in the words of messages and run records."""

    GIVEN = "given by the user"
    PROPERTIES = "slide properties"
    TIFF_TAGS = "TIFF resolution tags"


PRINT_RESOLUTION_UM = 20.0
"""A TIFF tag that gives larger pixels than this (1270 per inch) is the print setting of an image editor, such as 72 per
inch: no slide scanner has such pixels."""

MIN_MPP = 0.01
"""No microscope's light shows anything as small as such a pixel."""

MAX_MPP = 1000.0
"""No pixel of a slide is a millimetre wide."""

UM_PER_UNIT = {"inch": 25400.0, "centimeter": 10000.0, "millimeter": 1000.0, "micrometer": 1.0}


@dataclass(frozen=True, slots=True)
class Mpp:
    """Size of a level-0 pixel.

    Raises:
        MppError: a size is not one that a pixel can have.
    """

    x: float
    """Width of a pixel, µm."""
    y: float
    """Height of a pixel, µm."""
    source: MppSource = MppSource.GIVEN
    """Where the values come from."""

    def __post_init__(self) -> None:
        if not is_possible(self.x, self.y):
            message = f"{self.x:g} x {self.y:g} µm/px ({self.source}) is not the size of a pixel; give the right one"
            raise MppError(message, options=("mpp",))


def is_possible(x: float, y: float) -> bool:
    """Whether a pixel can be of this width and height, µm."""
    return all(math.isfinite(value) and MIN_MPP <= value <= MAX_MPP for value in (x, y))


def mpp_from_resolution(x: float, y: float, unit: str) -> Mpp | None:
    """Pixel size from TIFF resolution tags; None if they do not give it.

    Args:
        x: pixels per unit along the width.
        y: pixels per unit along the height.
        unit: inch, centimeter, millimeter or micrometer in any case; any other value means that the numbers
            give only a ratio.
    """
    um = UM_PER_UNIT.get(unit.lower())
    if um is None or not (math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0):
        return None
    if max(um / x, um / y) > PRINT_RESOLUTION_UM or not is_possible(um / x, um / y):
        return None
    return Mpp(um / x, um / y, MppSource.TIFF_TAGS)

"""The size of a slide's pixels, and what its file says of it."""

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


@dataclass(frozen=True, slots=True)
class Claim:
    """A size that a file gives for its level-0 pixels, possible or not."""

    x: float
    """Width of a pixel, µm."""
    y: float
    """Height of a pixel, µm."""
    source: MppSource
    """Where the file says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeClaims:
    """All that a file says of the size of its pixels."""

    claims: tuple[Claim, ...] = ()
    """The sizes that it gives, the most trusted first."""
    magnification: float | None = None
    """Magnification of the objective; None if it does not say."""

    @property
    def mpp(self) -> Mpp | None:
        """The most trusted size that a pixel can have; None if there is none."""
        for claim in self.claims:
            if is_possible(claim.x, claim.y):
                return Mpp(claim.x, claim.y, claim.source)
        return None


def is_possible(x: float, y: float) -> bool:
    """Whether a pixel can be of this width and height, µm."""
    return all(math.isfinite(value) and MIN_MPP <= value <= MAX_MPP for value in (x, y))


def size_claim(x: float, y: float, source: MppSource = MppSource.PROPERTIES) -> Claim | None:
    """A size that a file gives, µm; None if a value is no number above 0, which says nothing."""
    return Claim(x, y, source) if all(math.isfinite(value) and value > 0 for value in (x, y)) else None


def resolution_claim(x: float, y: float, unit: str) -> Claim | None:
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
    if max(um / x, um / y) > PRINT_RESOLUTION_UM:
        return None
    return size_claim(um / x, um / y, MppSource.TIFF_TAGS)

"""Outlines that people draw by hand, made into polygons that every reader takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from signetscan.errors import OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_STRAY = 0.05
"""Largest share of what was outlined that may lie in loops of their own, as a hand makes them where a line ends."""
GRID_PX = 0.01
"""Step of the coordinates, level-0 pixels."""


def drawn_outline(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """What a line goes round, as one ring that does not cross itself; small stray loops are left out.

    Args:
        corners: corners of the line in order, (N, 2), level-0 pixels; its end is joined to its beginning.
        size: width and height of the slide, at whose edges the outline is cut off.

    Returns:
        (K, 2), level-0 pixels of two decimals; the first corner is not repeated.

    Raises:
        OptionError: the line goes round nothing on the slide, or round several parts.
    """
    if len(corners) < 3:
        message = "an outline has at least three corners"
        raise OptionError(message)
    drawn = shapely.make_valid(shapely.Polygon(corners), method="structure", keep_collapsed=False)
    on_slide = shapely.set_precision(shapely.intersection(drawn, shapely.box(0, 0, *size)), GRID_PX)
    parts = [part for part in shapely.get_parts(on_slide) if isinstance(part, shapely.Polygon) and part.area]
    if not parts:
        message = "the outline is too small, or not on the slide"
        raise OptionError(message)
    largest = max(parts, key=lambda part: float(part.area))
    filled = shapely.Polygon(largest.exterior)
    stray = sum(part.area for part in parts) - largest.area + filled.area - largest.area
    if stray > MOST_STRAY * largest.area:
        message = "the outline falls into parts, as it crosses itself or leaves the slide; draw each part by itself"
        raise OptionError(message)
    ring: NDArray[np.float64] = np.round(shapely.get_coordinates(filled)[:-1], 2)
    return ring

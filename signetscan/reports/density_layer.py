"""The density map that lies over the overview of a slide."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.formats.density import density_map
from signetscan.reports.pictures import picture_uri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.reports.overview import ShownArea

MAP_PX = 640
"""Longer side of the map, pixels: browsers enlarge it smoothly."""
SPREAD_SHARE = 1 / 60
"""Spread of a detection as a fraction of the area's longer side, so that a hot spot is seen at a glance."""
SPREAD_UM = (50.0, 250.0)
"""Smallest and largest spread, µm: neither a dot for each cell, nor one cloud."""
LEVELS = 64
"""Number of colours in the map; few, so that the picture is small."""
CLEAR = 0.04
"""The map is clear up to this fraction of the highest density."""
STOPS = ((255, 236, 60), (120, 214, 40), (0, 150, 90), (0, 66, 92))
"""Colours from low to high. Neither stain is yellow or green, so that the slide keeps its colours beneath; and each is
darker than the one before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DensityMap:
    """Density of detections over an area."""

    density: NDArray[np.float32]
    """(rows, columns), detections per mm²."""
    spread_um: float
    """Standard deviation of the Gaussian that spreads each detection, µm."""


def area_density(centres: NDArray[Float], area: ShownArea) -> DensityMap:
    """The density of detections over an area.

    Args:
        centres: centres of the detections, (N, 2), x and y in level-0 pixels; those outside the area are left out.
        area: the part of the slide to map.
    """
    width_um, height_um = area.size_um
    step_um = max(width_um, height_um) / MAP_PX
    shape = max(round(height_um / step_um), 1), max(round(width_um / step_um), 1)
    spread_um = float(np.clip(max(width_um, height_um) * SPREAD_SHARE, *SPREAD_UM))
    box = area.x, area.y, area.x + area.width, area.y + area.height
    return DensityMap(density=density_map(centres, box, area.size_um, shape, spread_um), spread_um=spread_um)


def map_uri(density: NDArray[np.float32]) -> str:
    """The map as a PNG in a data URI, clear where there are no detections."""
    highest = max(float(density.max()), 1e-12)
    levels = np.rint(density / highest * (LEVELS - 1)).astype(np.uint8)
    fractions = np.arange(LEVELS) / (LEVELS - 1)
    picture = Image.fromarray(levels, "L")
    picture.putpalette(b"".join(bytes(colour(fraction)) for fraction in fractions.tolist()))
    # Low densities fade away, so that the map has no edge.
    opacity = np.sqrt(np.clip(fractions - CLEAR, 0, None) / (1 - CLEAR))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=bytes((255 * opacity).astype(np.uint8)))
    return picture_uri(buffer, "image/png")


def colour(fraction: float) -> tuple[int, int, int]:
    """Colour of a density, given as a fraction of the highest."""
    positions = np.linspace(0, 1, len(STOPS))
    red, green, blue = (round(float(np.interp(fraction, positions, channel))) for channel in zip(*STOPS, strict=True))
    return red, green, blue

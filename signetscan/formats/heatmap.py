"""Density of detections as a picture: an OME-TIFF to look at beside the slide, or to lay over it.

There is one image for each class, as large as the slide in µm. Its pixels are about 16 µm wide: their size is adjusted
so that width and height are whole numbers of pixels. A pixel's density is the number of detections per mm² around it:
each detection counts once, at the centre of its box, whatever its score, and is spread by a Gaussian of 64 µm over
about 0.05 mm². The Gaussian is reflected at the slide's edge, so that the densities times the area of a pixel add up to
the number of detections.

Colours mean the same on every slide, so that slides can be compared: white is none, and the scale follows the square
root of the density through yellow and red to dark violet at 2000 per mm² and more, a sheet of cells 22 µm apart.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.errors import UnfitError
from signetscan.formats.blocks import NAMESPACE
from signetscan.formats.density import density_map
from signetscan.formats.pyramid import heat_colours, is_small, pyramid_file, write_pyramid
from signetscan.formats.xml_text import xml_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.json_values import Json

PIXEL_UM = 16.0
"""Approximate size of a pixel: a slide fills a screen. Below 20 µm OpenSlide and our slide reader trust TIFF tags."""
SPREAD_UM = 64.0
"""Standard deviation of the Gaussian, a few cells wide: clusters show, and a single cell can still be seen."""
DARKEST = 2000.0
"""Detections per mm² at which the last colour is reached."""

MOST_PIXELS = 1 << 25
"""Largest map, pixels: a slide of 9 by 9 cm. A larger one means that the mpp is wrong."""


def write_heatmap(path: Path, scanned: ScannedSlide) -> None:
    """Write the density of each class as a colour-mapped pyramid.

    Args:
        path: the file to write.
        scanned: the slide and its detections.

    Raises:
        UnfitError: the slide is too large.
        OutputError: the file cannot be written.
    """
    shape = map_shape(scanned)
    colours = heat_colours()
    with pyramid_file(path) as file:
        for label in range(len(scanned.class_names)):
            levels = [_coloured(level, colours) for level in _levels(density(scanned, label, shape))]
            write_pyramid(file, levels, _pixel_um(scanned, shape), _metadata(scanned, label))


def _pixel_um(scanned: ScannedSlide, shape: tuple[int, int]) -> tuple[float, float]:
    """Width and height, µm, of a pixel of a map whose shape is (height, width)."""
    height, width = shape
    return scanned.dimensions[0] * scanned.mpp.x / width, scanned.dimensions[1] * scanned.mpp.y / height


def _metadata(scanned: ScannedSlide, label: int) -> dict[str, Json]:
    """The OME metadata of a class's map."""
    return {
        "Name": xml_text(scanned.class_names[label]),
        "Description": xml_text(
            f"Detections per mm2: white 0, by the square root, darkest from {DARKEST:g}. {scanned.said_of_model}"
        ),
        "UUID": str(uuid.uuid5(NAMESPACE, f"{scanned.source}:heatmap")),
    }


def map_shape(scanned: ScannedSlide) -> tuple[int, int]:
    """Height and width of a slide's map, pixels.

    Raises:
        UnfitError: the slide is too large.
    """
    width, height = (
        max(1, round(side * mpp / PIXEL_UM))
        for side, mpp in zip(scanned.dimensions, (scanned.mpp.x, scanned.mpp.y), strict=True)
    )
    if width * height > MOST_PIXELS:
        message = (
            f"a heat map of {width} x {height} pixels of {PIXEL_UM:g} µm would be too large; if the slide is not, its "
            "mpp is wrong: scan it again with the right mpp"
        )
        raise UnfitError(message, options=("mpp",))
    return height, width


def density(scanned: ScannedSlide, label: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Detections of a class per mm², smoothed: an array of the shape. Detections beyond the slide count at its edge."""
    width, height = scanned.dimensions
    points = centres(scanned.detections.boxes[scanned.detections.labels == label])
    size_um = width * scanned.mpp.x, height * scanned.mpp.y
    return density_map(np.clip(points, 0, scanned.dimensions), (0, 0, width, height), size_um, shape, SPREAD_UM)


def _levels(densities: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The map and its smaller levels, each of averages of two by two pixels of the level before."""
    levels = [densities]
    while not is_small(levels[-1].shape):
        height, width = (side // 2 for side in levels[-1].shape)
        squares = levels[-1][: 2 * height, : 2 * width].reshape(height, 2, width, 2)
        levels.append(squares.mean(axis=(1, 3)))
    return levels


def _coloured(densities: NDArray[np.float32], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Densities (H, W) as a picture (H, W, 3)."""
    steps = np.sqrt(np.minimum(densities / np.float32(DARKEST), 1)) * 255
    picture: NDArray[np.uint8] = colours.take(steps.round().astype(np.uint8), axis=0)
    return picture

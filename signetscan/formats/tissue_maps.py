"""Class maps and heat maps of segmented tissue as OME-TIFF, and reading both back.

A pixel of the largest level is a pixel of the model's output, unchanged. In a class map its value stands for the class:
0 for what was not scanned, 1 for the first class, and so on, 255 for what could not be read. In a heat map it is the
probability of the classes that score the slide, times 255. The palette gives each class its colour; that of heat maps
goes from white to dark violet, as in the heat maps of detections. Of four pixels of a class map, a smaller level shows
the upper left one, because the mean of two classes is none; smaller levels of heat maps are means.

The metadata say what the values of a class map mean, in the channel's name and as key and value.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.errors import ResultError
from signetscan.formats.blocks import NAMESPACE
from signetscan.formats.pyramid import BUFFER_BYTES, TILE, heat_colours, is_small, pyramid_file, write_pyramid
from signetscan.formats.xml_text import xml_text
from signetscan.scan.class_map import BAND, FIRST_CLASS, NOT_SCANNED, UNREAD, array_on_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.segmented_slide import SegmentedSlide
    from signetscan.json_values import Json

    Halve = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

BROKEN = (OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError)
"""What tifffile and imagecodecs raise over damaged files."""
GLASS, BLACK = (255, 255, 255), (0, 0, 0)
"""Colours of what was not scanned, and of what could not be read."""


def write_class_map(path: Path, segmented: SegmentedSlide) -> None:
    """Write the class of each place as a pyramid with a palette, in bounded memory.

    Args:
        path: the file to write.
        segmented: the slide and its map.

    Raises:
        OutputError: the file cannot be written.
    """
    palette = np.zeros((256, 3), np.uint8)
    palette[NOT_SCANNED], palette[UNREAD] = GLASS, BLACK
    palette[FIRST_CLASS : FIRST_CLASS + len(segmented.class_colours)] = segmented.class_colours
    meanings = {str(value): xml_text(meaning) for value, meaning in segmented.values.items()}
    legend = ", ".join(f"{value} {meaning}" for value, meaning in meanings.items())
    about: dict[str, Json] = {
        "Name": "Class map",
        "Description": xml_text(f"Class of each place: {legend}. {segmented.said_of_model}"),
        "Channel": {"Name": legend},
        "MapAnnotation": {"Namespace": "signetscan/classes", "Value": dict(meanings)},
        "UUID": str(uuid.uuid5(NAMESPACE, f"{segmented.source}:classmap")),
    }
    _write(path, segmented, segmented.class_map.classes, _first_of_four, palette, about)


def write_probability_map(path: Path, segmented: SegmentedSlide) -> None:
    """Write the probability of the classes that score a slide as a pyramid with a palette, in bounded memory.

    Args:
        path: the file to write.
        segmented: the slide and its map.

    Raises:
        OutputError: the file cannot be written.
    """
    scored = " + ".join(xml_text(segmented.class_names[label]) for label in segmented.scored)
    about: dict[str, Json] = {
        "Name": "Heat map",
        "Description": xml_text(
            f"Probability of {scored}, times 255: white 0, darkest at 1. {segmented.said_of_model}"
        ),
        "Channel": {"Name": f"Probability of {scored}, times 255"},
        "UUID": str(uuid.uuid5(NAMESPACE, f"{segmented.source}:heatmap")),
    }
    _write(path, segmented, segmented.class_map.scored, _mean_of_four, heat_colours(), about)


def _write(
    path: Path,
    segmented: SegmentedSlide,
    level: NDArray[np.uint8],
    halve: Halve,
    palette: NDArray[np.uint8],
    about: dict[str, Json],
) -> None:
    """Write a map and its smaller levels, which are kept on disk meanwhile."""
    levels = [level]
    while not is_small(levels[-1].shape):
        levels.append(_halved(levels[-1], halve, path.parent))
    with pyramid_file(path, pixels=2 * level.size) as file:
        write_pyramid(file, levels, segmented.class_map.pixel_um, about, palette)


def _halved(level: NDArray[np.uint8], halve: Halve, folder: Path) -> NDArray[np.uint8]:
    """The next level, in a file without a name in a folder."""
    rows, columns = (side // 2 for side in level.shape)
    smaller = array_on_disk((rows, columns), folder)
    for top in range(0, rows, BAND):
        bottom = min(top + BAND, rows)
        smaller[top:bottom] = halve(level[2 * top : 2 * bottom, : 2 * columns])
    return smaller


def _first_of_four(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return level[::2, ::2]


def _mean_of_four(level: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of two by two pixels, halves rounded up."""
    pairs = level[:, ::2].astype(np.uint16) + level[:, 1::2]
    return ((pairs[::2] + pairs[1::2] + 2) // 4).astype(np.uint8)


def map_tiles(path: Path, size: tuple[int, int]) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Read the largest level of a class map or a heat map tile by tile.

    Args:
        path: the file.
        size: rows and columns that it must have.

    Yields:
        Row and column of a tile's first pixel, and its pixels, (rows, columns).

    Raises:
        ResultError: the file is none that signetscan wrote, has another size, or cannot be read.
    """
    message = f"{path}: not the map of {size[1]} x {size[0]} px that its run wrote; segment the slide again"
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            is_ours = page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.tile == (TILE, TILE)
            if not is_ours or page.shape != size or page.dtype != np.uint8:
                raise ResultError(message)
            for pixels, (*_, top, left, _), _ in page.segments(buffersize=BUFFER_BYTES):
                if pixels is None:
                    raise ResultError(message)
                yield top, left, pixels[0, : size[0] - top, : size[1] - left, 0]
    except BROKEN as error:
        raise ResultError(message) from error


def values_at(path: Path, size: tuple[int, int], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The values of a map at some points, read tile by tile.

    Args:
        path: the file of a class map or a heat map.
        size: rows and columns that it must have.
        points: (N, 2), x and y in pixels of the map.

    Returns:
        (N,); `NOT_SCANNED` for points beside the map.

    Raises:
        ResultError: the file is none that signetscan wrote, has another size, or cannot be read.
    """
    columns, rows = np.floor(points.reshape(-1, 2).clip(-1, (size[1], size[0]))).astype(np.int64).T
    inside = (rows >= 0) & (columns >= 0) & (rows < size[0]) & (columns < size[1])
    across = -(-size[1] // TILE)
    tiles = np.where(inside, rows // TILE * across + columns // TILE, -1)
    order = tiles.argsort(kind="stable")
    values = np.full(len(points), NOT_SCANNED, np.uint8)
    for top, left, pixels in map_tiles(path, size):
        number = top // TILE * across + left // TILE
        here = order[slice(*np.searchsorted(tiles, (number, number + 1), sorter=order))]
        values[here] = pixels[rows[here] - top, columns[here] - left]
    return values

"""Pictures as pyramids in OME-TIFF, which QuPath (by Bio-Formats), OpenSlide and tifffile read.

Viewers read the size of a pixel from the OME metadata or from the resolution tags (OpenSlide). Smaller levels are in
SubIFDs, as OME demands. Levels are read a row of tiles at a time, so they may be on disk.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.atomic import part_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.json_values import Json

TILE = 256
"""Side of a stored tile, pixels."""
SMALLEST_LEVEL = 512
"""Levels are added until the longer side of the last is no longer than this, pixels."""
BUFFER_BYTES = 1 << 24
"""Bytes of tiles that are compressed or read at a time; by itself tifffile would hold half a gigabyte."""
BIG_BYTES = 1 << 31
"""Pixels of more bytes than this are written as BigTIFF, in case that they hardly get smaller."""

ANCHORS = ((255, 255, 255), (255, 228, 130), (252, 141, 50), (205, 30, 50), (70, 0, 60))
"""Colours at equal steps of the scale of heat maps, from none to most. It only grows darker, so that people who do not
see colours can read it."""


@contextmanager
def pyramid_file(path: Path, *, pixels: int = 0) -> Iterator[tifffile.TiffWriter]:
    """Open an OME-TIFF for writing; it appears complete or not at all.

    Args:
        path: the file.
        pixels: bytes that its pixels would take without compression.

    Raises:
        OutputError: the file cannot be written.
    """
    with part_path(path) as part, tifffile.TiffWriter(part, ome=True, bigtiff=pixels > BIG_BYTES) as file:
        yield file


def write_pyramid(
    file: tifffile.TiffWriter,
    levels: Sequence[NDArray[np.uint8]],
    pixel_um: tuple[float, float],
    metadata: Mapping[str, Json],
    palette: NDArray[np.uint8] | None = None,
) -> None:
    """Write an image and its smaller levels.

    Args:
        file: the file, from `pyramid_file`.
        levels: pictures from the largest on, (H, W, 3), or with a palette (H, W).
        pixel_um: width and height of a pixel of the largest, µm.
        metadata: what the OME metadata says beside the size of a pixel.
        palette: (256, 3), the colour of each value; None for pictures in colour.
    """
    colours = None if palette is None else palette.T.astype(np.uint16) * 257
    write = partial(
        file.write,
        photometric="rgb" if palette is None else "palette",
        colormap=colours,
        tile=(TILE, TILE),
        compression="deflate",
        dtype=np.uint8,
        buffersize=BUFFER_BYTES,
    )
    about = {
        "axes": "YXS" if palette is None else "YX",
        "Creator": "signetscan",
        "PhysicalSizeX": pixel_um[0],
        "PhysicalSizeXUnit": "\u00b5m",
        "PhysicalSizeY": pixel_um[1],
        "PhysicalSizeYUnit": "\u00b5m",
        **metadata,
    }
    write(
        _tiles(levels[0]),
        shape=levels[0].shape,
        subifds=len(levels) - 1,
        resolution=(1e4 / pixel_um[0], 1e4 / pixel_um[1]),
        resolutionunit="CENTIMETER",
        software="signetscan",
        metadata=about,
    )
    for level in levels[1:]:
        write(_tiles(level), shape=level.shape, subfiletype=1)


def _tiles(level: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """The tiles of a level in reading order; those at the edges are filled up with 0."""
    for top in range(0, level.shape[0], TILE):
        rows = np.asarray(level[top : top + TILE])
        for left in range(0, level.shape[1], TILE):
            part = rows[:, left : left + TILE]
            tile = np.zeros((TILE, TILE, *level.shape[2:]), np.uint8)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def is_small(shape: tuple[int, ...]) -> bool:
    """Whether a level of a height and width needs no smaller one."""
    height, width = shape[:2]
    return max(height, width) <= SMALLEST_LEVEL or min(height, width) <= 1


def heat_colours() -> NDArray[np.uint8]:
    """The colour scale of heat maps, (256, 3)."""
    steps = np.linspace(0, len(ANCHORS) - 1, 256)
    channels = [np.interp(steps, range(len(ANCHORS)), channel) for channel in zip(*ANCHORS, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)

"""A slide as a Deep Zoom pyramid: each level is half the size of the next, and is cut into tiles.

The slide is read by the `Slide` protocol, so every slide that can be scanned can be shown.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.slides.at_mpp import SAME_SIZE, SlideAtMpp, best_level
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.slides.protocol import Slide

TILE_PX = 510
"""Side of a tile without its overlap."""
OVERLAP_PX = 1
"""How far a tile reaches into its neighbours, pixels, so that enlarged tiles show no seam."""
LOWEST = 8
"""Lowest level that is served: below, the slide fits into one tile, which the page can shrink."""
MOST_SIDE = 4096
"""Longest side that is read from the slide at once, pixels, which takes 50 MB. Tiles of slides without small levels are
put together from several such parts."""
QUALITY = 88
"""Quality of a JPEG."""


@dataclass(frozen=True, slots=True)
class TileLayout:
    """Levels and tiles of a Deep Zoom image."""

    width: int
    """Width of the slide, level-0 pixels."""
    height: int
    """Height of the slide, level-0 pixels."""
    tile: int = TILE_PX
    """Side of a tile without its overlap, pixels."""
    overlap: int = OVERLAP_PX
    """How far a tile reaches into its neighbours, pixels."""

    @property
    def lowest(self) -> int:
        """The lowest level that is served."""
        return min(self.top, LOWEST)

    @property
    def top(self) -> int:
        """The level of full size; level 0 is a single pixel."""
        return (max(self.width, self.height) - 1).bit_length()

    def scale(self, level: int) -> int:
        """Level-0 pixels of the slide per pixel of a Deep Zoom level."""
        return 1 << (self.top - level)

    def size(self, level: int) -> tuple[int, int]:
        """Width and height of a level in its pixels; the last column and row may reach beyond the slide."""
        scale = self.scale(level)
        return -(-self.width // scale), -(-self.height // scale)

    def grid(self, level: int) -> tuple[int, int]:
        """Numbers of columns and rows of tiles in a level."""
        width, height = self.size(level)
        return -(-width // self.tile), -(-height // self.tile)

    def holds(self, level: int, column: int, row: int) -> bool:
        """Whether a tile exists and its level is served."""
        if not self.lowest <= level <= self.top:
            return False
        columns, rows = self.grid(level)
        return 0 <= column < columns and 0 <= row < rows

    def rect(self, level: int, column: int, row: int) -> tuple[int, int, int, int]:
        """A tile with its overlap as x0, y0, x1, y1, pixels of its level."""
        (x0, x1), (y0, y1) = (
            (max(index * self.tile - self.overlap, 0), min((index + 1) * self.tile + self.overlap, length))
            for index, length in zip((column, row), self.size(level), strict=True)
        )
        return x0, y0, x1, y1


class DeepZoom:
    """Reads the tiles of a slide. Safe to use from several threads, as the slide is.

    Args:
        slide: the slide. Its pixels are shown as squares, even where their width and height differ.

    Raises:
        MppError: the slide's mpp is unknown.
    """

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self._mpp = known_mpp(slide).x
        self.layout = TileLayout(*slide.dimensions)

    def tile(self, level: int, column: int, row: int) -> NDArray[np.uint8]:
        """A tile with its overlap, uint8 (height, width, 3); white where it reaches beyond the slide.

        Raises:
            SlideError: the pixels cannot be decoded.
        """
        x0, y0, x1, y1 = self.layout.rect(level, column, row)
        return self._read(level, x0, y0, x1 - x0, y1 - y0)

    def _read(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """A window of a level, in pixels of that level."""
        scale = self.layout.scale(level)
        # A slide rounds the sizes of its levels, so a downsample of 4 may be 4.0002. Taking it for 4 shifts the last
        # pixels by no more than one.
        slack = min(scale / max(self._slide.dimensions), SAME_SIZE)
        downsamples = self._slide.level_downsamples
        ratio = scale / downsamples[best_level(downsamples, scale, slack)]
        if max(width, height) == 1 or max(width, height) * ratio <= MOST_SIDE:
            return SlideAtMpp(self._slide, self._mpp * scale, slack=slack).read(x, y, width, height)
        if width >= height:
            half = width // 2
            parts = self._read(level, x, y, half, height), self._read(level, x + half, y, width - half, height)
            return np.concatenate(parts, axis=1)
        half = height // 2
        parts = self._read(level, x, y, width, half), self._read(level, x, y + half, width, height - half)
        return np.concatenate(parts, axis=0)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels, uint8 (height, width, 3), as a JPEG without loss of colour resolution."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()

"""A slide as a Deep Zoom pyramid: each level is half the next one's size, and cut into tiles.

It is read through our own `Slide`, so that it shows whatever can be scanned.
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
"""How far a tile reaches into its neighbours, so that enlarged tiles show no seam."""
LOWEST = 8
"""Below this level all fits into one tile anyway; a viewer makes it smaller itself."""
MOST_SIDE = 4096
"""At most so many pixels of the slide on a side are read at once, which take 50 MB: a tile of a slide that has no small
level is put together from parts."""
QUALITY = 88
"""Of the JPEG."""


@dataclass(frozen=True, slots=True)
class TileLayout:
    """Levels and tiles of a Deep Zoom image."""

    width: int
    """Of the slide, level-0 pixels."""
    height: int
    """Of the slide, level-0 pixels."""
    tile: int = TILE_PX
    """Side of a tile without its overlap, pixels."""
    overlap: int = OVERLAP_PX
    """How far a tile reaches into its neighbours, pixels."""

    @property
    def lowest(self) -> int:
        """The first level that is served."""
        return min(self.top, LOWEST)

    @property
    def top(self) -> int:
        """The level of full size; level 0 is a single pixel."""
        return (max(self.width, self.height) - 1).bit_length()

    def scale(self, level: int) -> int:
        """Level-0 pixels of the slide per pixel of a level."""
        return 1 << (self.top - level)

    def size(self, level: int) -> tuple[int, int]:
        """Width and height of a level in its own pixels; the last ones may lie partly beyond the slide."""
        scale = self.scale(level)
        return -(-self.width // scale), -(-self.height // scale)

    def grid(self, level: int) -> tuple[int, int]:
        """How many columns and rows of tiles a level has."""
        width, height = self.size(level)
        return -(-width // self.tile), -(-height // self.tile)

    def holds(self, level: int, column: int, row: int) -> bool:
        """Whether there is such a tile, and it is served."""
        if not self.lowest <= level <= self.top:
            return False
        columns, rows = self.grid(level)
        return 0 <= column < columns and 0 <= row < rows

    def rect(self, level: int, column: int, row: int) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of a tile with its overlap, pixels of its level."""
        (x0, x1), (y0, y1) = (
            (max(index * self.tile - self.overlap, 0), min((index + 1) * self.tile + self.overlap, length))
            for index, length in zip((column, row), self.size(level), strict=True)
        )
        return x0, y0, x1, y1


class DeepZoom:
    """Reads the tiles of a slide. Safe to use from several threads, as the slide is.

    Args:
        slide: the slide. Its pixels are shown as squares, whatever their size along each axis.

    Raises:
        MppError: the slide's mpp is unknown.
    """

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self._mpp = known_mpp(slide).x
        self.layout = TileLayout(*slide.dimensions)

    def tile(self, level: int, column: int, row: int) -> NDArray[np.uint8]:
        """A tile with its overlap, uint8 (height, width, 3); white where a last pixel reaches beyond the slide.

        Raises:
            SlideError: the pixels cannot be decoded.
        """
        x0, y0, x1, y1 = self.layout.rect(level, column, row)
        return self._read(level, x0, y0, x1 - x0, y1 - y0)

    def _read(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """A window of a level; all are pixels of it."""
        scale = self.layout.scale(level)
        # Sizes of a slide's levels are rounded, so that 4 may be 4.0002. Taken for 4, the last pixels are off by one.
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

"""Reading a whole slide as one small picture, on which tissue is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from signetscan.errors import SlideError
from signetscan.slides.at_mpp import best_level
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.slides.protocol import Slide

OVERVIEW_MPP = 8.0
"""Pixel size of the overview, µm: about that of a nucleus, so that thin strands of tissue still show."""
MAX_OVERVIEW_SIDE = 8192
"""Largest side of an overview, pixels; a larger slide gets a coarser overview."""
BLOCK_SIDE = 4096
"""Side of the blocks in which a slide without a small level is read, pixels of that level."""
PIECE_SIDE = 256
"""Side of the pieces in which a block that cannot be decoded is read again, pixels of its level: a usual side of stored
tiles."""

Part: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom of a rectangle, overview pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overview:
    """A whole slide as a small picture."""

    pixels: NDArray[np.uint8]
    """(rows, columns, 3)."""
    missing: NDArray[np.bool_]
    """Which pixels the file does not hold, (rows, columns); they are white."""
    unread: NDArray[np.bool_]
    """Which pixels no level could be decoded for, (rows, columns); they are white."""
    damaged: int | None
    """The level of which parts could not be decoded, so that finer ones were read there; None if all could."""


def overview_step(slide: Slide) -> float:
    """Level-0 pixels per pixel of the overview on which tissue is looked for.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    mpp = known_mpp(slide)
    # The coarsest of what both axes and the largest side ask for, but never finer than level 0.
    return max(OVERVIEW_MPP / mpp.x, OVERVIEW_MPP / mpp.y, max(slide.dimensions) / MAX_OVERVIEW_SIDE, 1.0)


def overview_size(slide: Slide, step: float) -> tuple[int, int]:
    """Width and height of an overview, overview pixels."""
    width, height = slide.dimensions
    return max(round(width / step), 1), max(round(height / step), 1)


def read_overview(slide: Slide, step: float, level: int | None = None, *, allow_unread: bool = False) -> Overview:
    """The whole slide at one pixel per `step` x `step` level-0 pixels, averaged.

    The level is read in blocks, so that memory stays bounded for a slide without a small level. Where it cannot be
    decoded, finer levels are read.

    Args:
        slide: the slide.
        step: level-0 pixels per pixel of the overview.
        level: the level to read; the one that suits the step if None.
        allow_unread: whether parts may be left white that cannot be decoded on any of these levels.

    Raises:
        SlideError: such a part is not allowed.
    """
    columns, rows = overview_size(slide, step)
    level = best_level(slide.level_downsamples, step) if level is None else level
    drawing = _Drawing(
        slide=slide,
        step=step,
        allow_unread=allow_unread,
        pixels=np.empty((rows, columns, 3), np.uint8),
        missing=np.zeros((rows, columns), np.bool_),
        unread=np.zeros((rows, columns), np.bool_),
    )
    drawing.fill((0, 0, columns, rows), level, BLOCK_SIDE)
    return Overview(
        pixels=drawing.pixels,
        missing=drawing.missing,
        unread=drawing.unread,
        damaged=level if drawing.is_damaged else None,
    )


@dataclass(slots=True, kw_only=True, eq=False)
class _Drawing:
    """An overview that is being read; see `read_overview` and `Overview`."""

    slide: Slide
    step: float
    allow_unread: bool
    pixels: NDArray[np.uint8]
    missing: NDArray[np.bool_]
    unread: NDArray[np.bool_]
    is_damaged: bool = False
    """Whether anything could not be decoded."""

    def fill(self, part: Part, level: int, block: int) -> None:
        """Read a part from a level in blocks of a side, pixels of the level; where it fails, smaller or finer ones."""
        side = max(int(block * self.slide.level_downsamples[level] / self.step), 1)
        for left, top, right, bottom in _blocks(part, side):
            here = np.s_[top:bottom, left:right]
            try:
                self.pixels[here], self.missing[here] = self._read((left, top, right, bottom), level)
            except SlideError:
                self.is_damaged = True
                if block > PIECE_SIDE:
                    self.fill((left, top, right, bottom), level, block // 4)
                elif level:
                    self.fill((left, top, right, bottom), level - 1, BLOCK_SIDE)
                elif self.allow_unread:
                    self.pixels[here], self.unread[here] = 255, True
                else:
                    raise

    def _read(self, part: Part, level: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Pixels of a part, (h, w, 3), and which of them the file does not hold, (h, w).

        Raises:
            SlideError: the level cannot be decoded there.
        """
        left, top, right, bottom = part
        (width, height), (rows, columns) = self.slide.dimensions, self.missing.shape
        downsample = self.slide.level_downsamples[level]
        x0, y0 = int(left * width / columns), int(top * height / rows)
        x1, y1 = right * width / columns, bottom * height / rows
        size = (max(round((x1 - x0) / downsample), 1), max(round((y1 - y0) / downsample), 1))
        window = self.slide.read_window((x0, y0), level, size)
        shrunk = right - left, bottom - top
        if window.missing is None:
            return _shrunk(window.pixels, shrunk), np.zeros(shrunk[::-1], np.bool_)
        # White, because a dark background would darken the pixels that it shares with glass.
        shown = np.where(window.missing[..., None], np.uint8(255), window.pixels)
        return _shrunk(shown, shrunk), _shrunk(window.missing.astype(np.uint8) * 255, shrunk) > 127


def _blocks(part: Part, side: int) -> Iterator[Part]:
    """The squares of a side, overview pixels, that make up a part; those at its right and bottom may be smaller."""
    x0, y0, x1, y1 = part
    for top, left in product(range(y0, y1, side), range(x0, x1, side)):
        yield left, top, min(left + side, x1), min(top + side, y1)


def darkest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The darkest channel of each pixel of (rows, columns, 3): two passes are faster than a reduction by three."""
    return np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def lightest(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The lightest channel of each pixel of (rows, columns, 3)."""
    return np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def _shrunk(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture or mask averaged down to a width and height."""
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))

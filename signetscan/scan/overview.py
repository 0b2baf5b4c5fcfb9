"""Reading a whole slide as one small picture, on which tissue is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.slides.at_mpp import best_level
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.slides.protocol import Slide

OVERVIEW_MPP = 8.0
"""Pixel size of the overview, µm: about that of a nucleus, so that thin strands of tissue still show."""
MAX_OVERVIEW_SIDE = 8192
"""Largest side of an overview, pixels; a larger slide gets a coarser overview."""
BLOCK_SIDE = 4096
"""Side of the blocks in which a slide without a small level is read, pixels of that level."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overview:
    """A whole slide as a small picture."""

    pixels: NDArray[np.uint8]
    """(rows, columns, 3)."""
    missing: NDArray[np.bool_]
    """Which pixels the file does not hold, (rows, columns); they are white."""


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


def read_overview(slide: Slide, step: float, level: int | None = None) -> Overview:
    """The whole slide at one pixel per `step` x `step` level-0 pixels, averaged.

    The level is read in blocks, so that memory stays bounded for a slide without a small level.

    Args:
        slide: the slide.
        step: level-0 pixels per pixel of the overview.
        level: the level to read; the one that suits the step if None.

    Raises:
        SlideError: it cannot be decoded.
    """
    width, height = slide.dimensions
    columns, rows = overview_size(slide, step)
    level = best_level(slide.level_downsamples, step) if level is None else level
    downsample = slide.level_downsamples[level]
    block = max(int(BLOCK_SIDE * downsample / step), 1)
    pixels, missing = np.empty((rows, columns, 3), np.uint8), np.zeros((rows, columns), np.bool_)
    for top in range(0, rows, block):
        for left in range(0, columns, block):
            bottom, right = min(top + block, rows), min(left + block, columns)
            x0, y0 = int(left * width / columns), int(top * height / rows)
            x1, y1 = right * width / columns, bottom * height / rows
            size = (max(round((x1 - x0) / downsample), 1), max(round((y1 - y0) / downsample), 1))
            window = slide.read_window((x0, y0), level, size)
            shown = window.pixels
            if window.missing is not None:
                # White, because a dark background would darken the pixels that it shares with glass.
                shown = np.where(window.missing[..., None], np.uint8(255), shown)
                share = _shrunk(window.missing.astype(np.uint8) * 255, (right - left, bottom - top))
                missing[top:bottom, left:right] = share > 127
            pixels[top:bottom, left:right] = _shrunk(shown, (right - left, bottom - top))
    return Overview(pixels=pixels, missing=missing)


def _shrunk(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture or mask averaged down to a width and height."""
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))

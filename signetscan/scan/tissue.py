"""Finding the tissue of a slide on a small overview, so that blank glass is not read at full resolution.

The mask errs on the side of reading too much: signet ring cells lie in pale mucin, and a cell that is never read is
missed without notice, while a blank tile costs a fraction of a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import morphology

from signetscan.scan.options import DEFAULT_MIN_TISSUE_UM2
from signetscan.slides.at_mpp import best_level
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.slides.protocol import Slide

OVERVIEW_MPP = 8.0
"""Pixel size of the overview, µm: about that of a nucleus, so that thin strands of tissue still show."""
MAX_OVERVIEW_SIDE = 8192
"""Largest side of an overview, pixels; a larger slide gets a coarser overview."""
BLOCK_SIDE = 4096
"""Side of the blocks in which a slide without a small level is read, pixels of that level."""

GLASS_MIN = 200
"""Bare glass is at least this bright in every channel (0 to 255)."""
GLASS_SHARE = 0.002
"""Least share of such pixels that counts as glass; with fewer, the default colour is used."""
DEFAULT_GLASS = (245.0, 245.0, 245.0)
"""Colour of glass on slides that show none."""
TISSUE_OD = 0.04
"""A pixel is tissue if its optical density (natural logarithm) exceeds that of the glass by this in any channel. That
is 4% darker: more than the unevenness of scanners' light, and far less than the palest mucin, which is 10% darker."""

MAX_HOLE_UM2 = 2.5e5
"""Blank areas inside tissue up to this size (µm²) are scanned too: lumina, fat, mucin lakes that were washed out."""
MARGIN_UM = 60.0
"""The mask is widened by this much, µm: the width of a few cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissueMask:
    """Which parts of a slide are tissue, pixel by pixel of an overview."""

    mask: NDArray[np.bool_]
    """(rows, columns)."""
    pixel: tuple[float, float]
    """Width and height of a mask pixel, level-0 pixels."""
    pixel_um2: float
    """Area of a mask pixel, µm²."""

    @property
    def area_mm2(self) -> float:
        """Area of the mask, mm²."""
        return float(np.count_nonzero(self.mask)) * self.pixel_um2 / 1e6

    def bounds(self, x0: float, y0: float, x1: float, y1: float) -> Box | None:
        """The smallest rectangle around the tissue within a rectangle; None if it holds none.

        Both rectangles are x0, y0, x1, y1 in level-0 pixels.
        """
        left, top = max(int(x0 / self.pixel[0]), 0), max(int(y0 / self.pixel[1]), 0)
        right, bottom = max(math.ceil(x1 / self.pixel[0]), 0), max(math.ceil(y1 / self.pixel[1]), 0)
        part = self.mask[top:bottom, left:right]
        columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
        if len(columns) == 0:
            return None
        # Mask pixels at the rectangle's edges extend beyond it.
        return (
            max(x0, (left + int(columns[0])) * self.pixel[0]),
            max(y0, (top + int(rows[0])) * self.pixel[1]),
            min(x1, (left + int(columns[-1]) + 1) * self.pixel[0]),
            min(y1, (top + int(rows[-1]) + 1) * self.pixel[1]),
        )

    def touches(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        """Whether any tissue lies in a rectangle, level-0 pixels."""
        return self.bounds(x0, y0, x1, y1) is not None


def find_tissue(slide: Slide, *, min_area_um2: float = DEFAULT_MIN_TISSUE_UM2) -> TissueMask:
    """Find a slide's tissue.

    Args:
        slide: the slide.
        min_area_um2: pieces of tissue below this area are left out, µm².

    Raises:
        MppError: the slide's pixel size is unknown.
        SlideError: the overview cannot be read.
    """
    whole = whole_slide(slide)
    overview = read_overview(slide, _overview_step(slide))
    mask = tissue_mask(overview, pixel_um2=whole.pixel_um2, min_area_um2=min_area_um2)
    return replace(whole, mask=mask)


def whole_slide(slide: Slide) -> TissueMask:
    """A mask that covers the whole slide; no pixels are read.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    mpp = known_mpp(slide)
    width, height = slide.dimensions
    columns, rows = _overview_size(slide, _overview_step(slide))
    pixel = (width / columns, height / rows)
    area_um2 = pixel[0] * mpp.x * pixel[1] * mpp.y
    return TissueMask(mask=np.ones((rows, columns), np.bool_), pixel=pixel, pixel_um2=area_um2)


def _overview_step(slide: Slide) -> float:
    """Level-0 pixels per pixel of the overview."""
    mpp = known_mpp(slide)
    # The coarsest of what both axes and the largest side ask for, but never finer than level 0.
    return max(OVERVIEW_MPP / mpp.x, OVERVIEW_MPP / mpp.y, max(slide.dimensions) / MAX_OVERVIEW_SIDE, 1.0)


def _overview_size(slide: Slide, step: float) -> tuple[int, int]:
    """Width and height of the overview, overview pixels."""
    width, height = slide.dimensions
    return max(round(width / step), 1), max(round(height / step), 1)


def tissue_mask(
    overview: NDArray[np.uint8], *, pixel_um2: float, min_area_um2: float = DEFAULT_MIN_TISSUE_UM2
) -> NDArray[np.bool_]:
    """Tissue on an overview image.

    Args:
        overview: uint8 (rows, columns, 3).
        pixel_um2: area of a pixel, µm².
        min_area_um2: pieces of tissue below this area are left out, µm².

    Returns:
        Boolean (rows, columns).
    """
    # Which of the 256 values of a channel are tissue is computed once and looked up for each pixel, because an overview
    # has tens of millions of them.
    values = np.arange(256, dtype=np.float32)
    stained = np.log((glass_colour(overview)[:, None] + 1) / (values + 1)) > TISSUE_OD  # (3, 256)
    mask: NDArray[np.bool_] = np.zeros(overview.shape[:2], np.bool_)
    for channel in range(3):
        mask |= stained[channel][overview[..., channel]]
    # Padded, because a closing takes what lies outside for blank, and would open the gaps at the edge again.
    mask = ndimage.binary_closing(np.pad(mask, 2), iterations=2)[2:-2, 2:-2] | mask
    mask = morphology.remove_small_objects(mask, max_size=_pixels(min_area_um2, pixel_um2))
    holes = ndimage.binary_fill_holes(mask) & ~mask
    mask |= holes ^ morphology.remove_small_objects(holes, max_size=_pixels(MAX_HOLE_UM2, pixel_um2))
    if not mask.any():
        return np.zeros_like(mask)
    distance = ndimage.distance_transform_edt(~mask)
    widened: NDArray[np.bool_] = distance <= MARGIN_UM / np.sqrt(pixel_um2)
    return widened


def glass_colour(overview: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The colour of bare glass, (3,): the median of the brightest tenth of all bright pixels.

    Pure white is left out, since it marks what was not scanned.
    """
    red, green, blue = (overview[..., channel] for channel in range(3))
    darkest = np.minimum(np.minimum(red, green), blue)
    bright = overview[(darkest >= GLASS_MIN) & (darkest < 255)]
    if len(bright) < GLASS_SHARE * darkest.size:
        return np.array(DEFAULT_GLASS, np.float32)
    lightness = bright[:, 0].astype(np.uint16) + bright[:, 1] + bright[:, 2]
    brightest = bright[lightness >= np.quantile(lightness, 0.9)]
    return np.asarray(np.median(brightest, axis=0), np.float32)


def read_overview(slide: Slide, step: float) -> NDArray[np.uint8]:
    """The whole slide at one pixel per `step` x `step` level-0 pixels, averaged; uint8 (rows, columns, 3).

    The level is read in blocks, so that memory stays bounded for a slide without a small level.
    """
    width, height = slide.dimensions
    columns, rows = _overview_size(slide, step)
    level = best_level(slide.level_downsamples, step)
    downsample = slide.level_downsamples[level]
    block = max(int(BLOCK_SIDE * downsample / step), 1)
    overview = np.empty((rows, columns, 3), np.uint8)
    for top in range(0, rows, block):
        for left in range(0, columns, block):
            bottom, right = min(top + block, rows), min(left + block, columns)
            x0, y0 = int(left * width / columns), int(top * height / rows)
            x1, y1 = right * width / columns, bottom * height / rows
            size = (max(round((x1 - x0) / downsample), 1), max(round((y1 - y0) / downsample), 1))
            pixels = Image.fromarray(slide.read_region((x0, y0), level, size))
            overview[top:bottom, left:right] = np.asarray(
                pixels.resize((right - left, bottom - top), Image.Resampling.BOX)
            )
    return overview


def _pixels(area_um2: float, pixel_um2: float) -> int:
    return int(area_um2 / pixel_um2)

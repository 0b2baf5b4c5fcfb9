"""Where on a slide there is tissue, judged on a small overview so that blank glass is not read at full size.

The mask errs on the side of reading too much: signet ring cells lie in pale mucin, and a cell that is never
read is lost without a word, while a blank tile costs a fraction of a second.
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
"""Pixel size of the overview, µm: about a nucleus, so that thin strands still count."""
MAX_OVERVIEW_SIDE = 8192
"""Largest side of an overview, pixels; a larger slide gets a coarser overview."""
BLOCK_SIDE = 4096
"""Side of the pieces in which a slide without a small level is read, pixels of the level read."""

GLASS_MIN = 200
"""Bare glass is at least this bright in every channel (0 to 255)."""
GLASS_SHARE = 0.002
"""Least share of such pixels for their colour to be taken as the slide's glass."""
DEFAULT_GLASS = (245.0, 245.0, 245.0)
"""Colour of glass where a slide shows none."""
TISSUE_OD = 0.04
"""A pixel with this optical density (natural logarithm) over the glass in any channel is tissue: 4% darker, above
the unevenness of scanners' light and far below the palest mucin, which stains 10% and more."""

MAX_HOLE_UM2 = 2.5e5
"""Blank areas inside tissue up to this size (µm²) are read too: lumina, fat, mucin lakes washed out of the section."""
MARGIN_UM = 60.0
"""The mask is widened by this much, µm: a few cells."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissueMask:
    """A yes/no overview of a slide."""

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
        """The smallest rectangle around the tissue in a rectangle, within it; None where there is none.

        All are x0, y0, x1, y1 in level-0 pixels.
        """
        left, top = max(int(x0 / self.pixel[0]), 0), max(int(y0 / self.pixel[1]), 0)
        right, bottom = max(math.ceil(x1 / self.pixel[0]), 0), max(math.ceil(y1 / self.pixel[1]), 0)
        part = self.mask[top:bottom, left:right]
        columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
        if len(columns) == 0:
            return None
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
        min_area_um2: pieces below this area are left out, µm².

    Raises:
        MppError: the slide's pixel size is unknown.
        SlideError: the overview cannot be read.
    """
    everything = whole_slide(slide)
    overview = read_overview(slide, _overview_step(slide))
    mask = tissue_mask(overview, pixel_um2=everything.pixel_um2, min_area_um2=min_area_um2)
    return replace(everything, mask=mask)


def whole_slide(slide: Slide) -> TissueMask:
    """A mask that takes all of a slide for tissue, without reading it.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    own = known_mpp(slide)
    width, height = slide.dimensions
    columns, rows = _overview_size(slide, _overview_step(slide))
    pixel = (width / columns, height / rows)
    area_um2 = pixel[0] * own.x * pixel[1] * own.y
    return TissueMask(mask=np.ones((rows, columns), np.bool_), pixel=pixel, pixel_um2=area_um2)


def _overview_step(slide: Slide) -> float:
    """Level-0 pixels per pixel of the overview."""
    own = known_mpp(slide)
    return max(OVERVIEW_MPP / own.x, OVERVIEW_MPP / own.y, max(slide.dimensions) / MAX_OVERVIEW_SIDE, 1.0)


def _overview_size(slide: Slide, step: float) -> tuple[int, int]:
    """Width and height of an overview, its own pixels."""
    width, height = slide.dimensions
    return max(round(width / step), 1), max(round(height / step), 1)


def tissue_mask(
    overview: NDArray[np.uint8], *, pixel_um2: float, min_area_um2: float = DEFAULT_MIN_TISSUE_UM2
) -> NDArray[np.bool_]:
    """Tissue on an overview image.

    Args:
        overview: uint8 (rows, columns, 3).
        pixel_um2: area of a pixel, µm².
        min_area_um2: pieces below this area are left out, µm².

    Returns:
        Boolean (rows, columns).
    """
    # Of each channel's 256 values, those of tissue: looked up, because an overview has tens of millions of pixels.
    values = np.arange(256, dtype=np.float32)
    stained = np.log((glass_colour(overview)[:, None] + 1) / (values + 1)) > TISSUE_OD  # (3, 256)
    mask: NDArray[np.bool_] = np.zeros(overview.shape[:2], np.bool_)
    for channel in range(3):
        mask |= stained[channel][overview[..., channel]]
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

    Exact white is left out, since it is where nothing was scanned.
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

    The level used is read in blocks, so that memory stays bounded for a slide that has no small level.
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

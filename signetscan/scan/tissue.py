"""Finding the tissue of a slide on a small overview, so that blank glass is not read at full resolution.

The mask errs on the side of reading too much: signet ring cells lie in pale mucin, and a cell that is never read is
missed without notice, while a blank tile costs a fraction of a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.scan.fill import find_fill
from signetscan.scan.gaps import judge_gaps
from signetscan.scan.options import DEFAULT_MIN_TISSUE_UM2
from signetscan.scan.overview import darkest, overview_size, overview_step, read_overview
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float
    from signetscan.scan.overview import Overview
    from signetscan.slides.protocol import Slide

GLASS_MIN = 200
"""Bare glass is at least this bright in every channel (0 to 255)."""
GLASS_SHARE = 0.002
"""Least share of such pixels that counts as glass; with fewer, the default colour is used."""
DEFAULT_GLASS = (245.0, 245.0, 245.0)
"""Colour of glass on slides that show none."""
TISSUE_OD = 0.04
"""A pixel is tissue if its optical density (natural logarithm) exceeds that of the glass by this in any channel. That
is 4% darker: more than the unevenness of scanners' light, and far less than the palest mucin, which is 10% darker."""

FRINGE_PX = 2
"""Pixels of the overview around a dark fill in which no tissue is looked for; the margin covers them."""
SQUARE = np.ones((3, 3), np.bool_)
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
    core: NDArray[np.bool_]
    """The tissue itself, without the margin that the mask leaves around it, (rows, columns)."""
    blank: NDArray[np.bool_]
    """Where nothing of the slide shows: what the file does not hold, or software filled up, (rows, columns)."""
    filled_mm2: float = 0.0
    """Area of the parts within tissue that software filled up with black or grey, mm²."""
    cut_um: float = 0.0
    """Length of the edge of what the file holds along which tissue was cut off, µm: the edge of the slide left out."""

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

    def lies_within(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        """Whether tissue itself, not its margin, lies within a rectangle, level-0 pixels.

        A mask pixel on the rectangle's edge may show what is beside it, so it counts only where there is no other.
        """
        (left, right), (top, bottom) = (
            (low, high) if low < high else (middle, middle + 1)
            for low, high, middle in (
                (math.ceil(start / size), int(end / size), int((start + end) / 2 / size))
                for start, end, size in ((x0, x1, self.pixel[0]), (y0, y1, self.pixel[1]))
            )
        )
        return bool(self.core[max(top, 0) : bottom, max(left, 0) : right].any())

    def at(self, x: NDArray[Float], y: NDArray[Float]) -> NDArray[np.bool_]:
        """Whether the mask covers each point of a grid, (Y, X).

        Args:
            x: (X,), level-0 pixels, within the slide.
            y: (Y,), the same.
        """
        rows, columns = self.mask.shape
        row = (y / self.pixel[1]).astype(np.intp).clip(0, rows - 1)
        column = (x / self.pixel[0]).astype(np.intp).clip(0, columns - 1)
        return np.asarray(self.mask[row[:, None], column[None]])

    def on(self, x: NDArray[Float], y: NDArray[Float]) -> NDArray[np.bool_]:
        """Whether tissue lies in each rectangle of a lattice, (Y, X).

        Args:
            x: (X + 1,), where the lattice's columns begin and the last one ends, level-0 pixels, within the slide.
            y: (Y + 1,), the same of its rows.
        """
        rows = np.logical_or.reduceat(np.pad(self.mask, ((0, 1), (0, 0))), _ranges(y / self.pixel[1], len(self.mask)))
        columns = _ranges(x / self.pixel[0], self.mask.shape[1])
        touched = np.logical_or.reduceat(np.pad(rows[::2], ((0, 0), (0, 1))), columns, axis=1)
        return np.asarray(touched[:, ::2])

    def touches(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        """Whether any tissue lies in a rectangle, level-0 pixels."""
        return self.bounds(x0, y0, x1, y1) is not None


def find_tissue(
    slide: Slide, *, min_area_um2: float = DEFAULT_MIN_TISSUE_UM2, allow_unread: bool = False
) -> TissueMask:
    """Find a slide's tissue.

    Args:
        slide: the slide.
        min_area_um2: pieces of tissue below this area are left out, µm².
        allow_unread: whether parts that cannot be decoded may count as tissue.

    Raises:
        MppError: the slide's pixel size is unknown.
        SlideError: the overview cannot be read.
    """
    overview = read_overview(slide, overview_step(slide), allow_unread=allow_unread)
    return tissue_on(slide, overview, min_area_um2=min_area_um2)


def tissue_on(slide: Slide, overview: Overview, *, min_area_um2: float = DEFAULT_MIN_TISSUE_UM2) -> TissueMask:
    """Find a slide's tissue on its overview. Arguments and errors are those of `find_tissue`.

    What could not be decoded counts as tissue, because some may be there.
    """
    whole = whole_slide(slide)
    fill = find_fill(slide, overview, whole.pixel_um2)
    stained = _stained(overview.pixels, _glass_beside(overview.pixels, fill)) & ~overview.missing
    fill &= stained  # what is as bright as glass needs no care
    seen = _pieces(_without(stained, fill), whole.pixel_um2, min_area_um2) & ~fill & ~overview.missing
    gaps = judge_gaps(overview.missing, seen)
    core = seen | gaps.lost | overview.unread
    mask = _widened(core, whole.pixel_um2) & (core | ~fill)
    filled = _with_fringe(fill)
    lost_fill = np.count_nonzero(judge_gaps(filled, seen).lost & fill)
    return replace(
        whole,
        mask=mask,
        core=core,
        blank=filled | overview.missing | overview.unread,
        cut_um=gaps.cut_px * math.sqrt(whole.pixel_um2),
        filled_mm2=lost_fill * whole.pixel_um2 / 1e6,
    )


def whole_slide(slide: Slide) -> TissueMask:
    """A mask that covers the whole slide; no pixels are read.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    mpp = known_mpp(slide)
    width, height = slide.dimensions
    columns, rows = overview_size(slide, overview_step(slide))
    pixel = (width / columns, height / rows)
    area_um2 = pixel[0] * mpp.x * pixel[1] * mpp.y
    everything = np.ones((rows, columns), np.bool_)
    return TissueMask(mask=everything, pixel=pixel, pixel_um2=area_um2, core=everything, blank=~everything)


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
    return _widened(_pieces(_stained(overview, glass_colour(overview)), pixel_um2, min_area_um2), pixel_um2)


def _stained(overview: NDArray[np.uint8], glass: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pixels of an overview are darker than glass of a colour, (3,)."""
    # Which of the 256 values of a channel are tissue is computed once and looked up for each pixel, because an overview
    # has tens of millions of them.
    values = np.arange(256, dtype=np.float32)
    stained = np.log((glass[:, None] + 1) / (values + 1)) > TISSUE_OD  # (3, 256)
    mask: NDArray[np.bool_] = np.zeros(overview.shape[:2], np.bool_)
    for channel in range(3):
        mask |= stained[channel][overview[..., channel]]
    return mask


def _without(stained: NDArray[np.bool_], fill: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is stained and no fill. Where a fill meets glass, their mixture looks like a strand of tissue: it goes."""
    return stained & ~_with_fringe(fill)


def _with_fringe(fill: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A fill and the pixels around it that are mixed with it."""
    return np.asarray(ndimage.binary_dilation(fill, SQUARE, iterations=FRINGE_PX)) if fill.any() else fill


def _pieces(mask: NDArray[np.bool_], pixel_um2: float, min_area_um2: float) -> NDArray[np.bool_]:
    """Pieces of tissue of at least an area, with the gaps and the small blank areas in them, (rows, columns)."""
    # Padded, because a closing takes what lies outside for blank, and would open the gaps at the edge again.
    mask = ndimage.binary_closing(np.pad(mask, 2), iterations=2)[2:-2, 2:-2] | mask
    mask = without_small(mask, _pixels(min_area_um2, pixel_um2))
    holes = ndimage.binary_fill_holes(mask) & ~mask
    mask |= holes ^ without_small(holes, _pixels(MAX_HOLE_UM2, pixel_um2))
    return mask


def without_small(mask: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """A mask, (rows, columns), without pieces of at most so many pixels; corners do not connect.

    Not by scikit-image, which takes as long to import as the rest of a scan's start.
    """
    numbers, count = ndimage.label(mask)
    is_large = np.bincount(numbers.ravel(), minlength=count + 1) > most
    is_large[0] = False
    return np.asarray(is_large[numbers])


def _widened(mask: NDArray[np.bool_], pixel_um2: float) -> NDArray[np.bool_]:
    """A mask with a margin around it."""
    if not mask.any():
        return np.zeros_like(mask)
    distance = ndimage.distance_transform_edt(~mask)
    widened: NDArray[np.bool_] = distance <= MARGIN_UM / np.sqrt(pixel_um2)
    return widened


def _glass_beside(overview: NDArray[np.uint8], fill: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The colour of glass outside a fill, (3,); of the fill where all that is bright is fill: it may be even glass."""
    if not fill.any():
        return glass_colour(overview)
    bright = _may_be_glass(overview) & ~fill
    return glass_colour(overview[~fill][None] if bright.sum() >= GLASS_SHARE * bright.size else overview)


def glass_colour(overview: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The colour of bare glass, (3,): the median of the brightest tenth of all bright pixels.

    Pure white is left out, since it marks what was not scanned.
    """
    is_bright = _may_be_glass(overview)
    bright = overview[is_bright]
    if len(bright) < GLASS_SHARE * is_bright.size:
        return np.array(DEFAULT_GLASS, np.float32)
    lightness = bright[:, 0].astype(np.uint16) + bright[:, 1] + bright[:, 2]
    brightest = bright[lightness >= np.quantile(lightness, 0.9)]
    return np.asarray(np.median(brightest, axis=0), np.float32)


def _may_be_glass(overview: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels are as bright as glass, and not the pure white that marks what was not scanned."""
    low = darkest(overview)
    return (low >= GLASS_MIN) & (low < 255)


def _pixels(area_um2: float, pixel_um2: float) -> int:
    return int(area_um2 / pixel_um2)


def _ranges(edges: NDArray[Float], count: int) -> NDArray[np.intp]:
    """First and end, one after the other, of the mask pixels between neighbouring edges; there are so many in all."""
    first = np.floor(edges[:-1]).clip(0, count - 1)
    end = np.maximum(np.ceil(edges[1:]).clip(0, count), first + 1)
    return np.stack([first, end], axis=1).ravel().astype(np.intp)

"""Uniform black or grey parts of a slide, with which software fills what was not scanned: they are no tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.scan.overview import Overview
    from signetscan.slides.protocol import Slide

EVEN = 2
"""Grey levels by which channels, and neighbouring pixels, of a fill may differ: what JPEG makes of a single colour. Of
tissue, noise of the camera alone makes more at full resolution."""
MIN_FILL_UM2 = 2e3
"""Smallest part that is looked at, µm²: what is left of a stored tile of 64 µm without the pixels at its edge."""
DARK = 200
"""Parts that are darker than this are rare. Glass is made of bright ones."""
MOST_DARK = 256
"""Dark parts that are looked at, the largest first; further ones are scanned, which costs time only."""
MOST_BRIGHT = 16
"""Bright parts that are looked at."""
SAMPLES = 5
"""Places of a part that are looked at in full resolution."""
SAMPLE_SIDE = 64
"""Side of such a place, level-0 pixels."""


def find_fill(slide: Slide, overview: Overview, pixel_um2: float) -> NDArray[np.bool_]:
    """Which pixels of an overview, (rows, columns), show a fill.

    A part is a fill if it is grey and uniform on the overview, and, in places spread over it, in full resolution too:
    pale, washed-out tissue may look uniform from afar.

    Args:
        slide: the slide.
        overview: its overview.
        pixel_um2: area of a pixel of the overview, µm².
    """
    labels, count = ndimage.label(_even(overview.pixels) & ~overview.missing)
    parts = np.asarray(labels, np.int32)
    fill = np.zeros(parts.shape, np.bool_)
    boxes = ndimage.find_objects(parts)
    for part in _candidates(parts, count, overview.pixels, MIN_FILL_UM2 / pixel_um2):
        box = boxes[part - 1]
        inside = parts[box] == part
        rows, columns = np.nonzero(inside)
        if _is_even_in_full(slide, overview, rows + box[0].start, columns + box[1].start):
            fill[box] |= inside
    if fill.all():  # there is no picture that it could fill up
        return np.zeros_like(fill)
    # An even pixel is of one colour with its neighbours, so these belong to the fill, too.
    return np.asarray(ndimage.binary_dilation(fill, np.ones((3, 3), np.bool_)))


def _candidates(parts: NDArray[np.int32], count: int, pixels: NDArray[np.uint8], least: float) -> Iterator[int]:
    """The numbers of the parts that have at least `least` pixels: the largest of the dark ones, and of the bright ones.

    Args:
        parts: number of each pixel's part, (rows, columns); 0 for none.
        count: number of parts.
        pixels: the overview, (rows, columns, 3).
        least: least number of pixels.
    """
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    lightness = np.bincount(parts.ravel(), pixels[..., 1].ravel(), count + 1) / np.maximum(sizes, 1)
    is_dark = lightness < DARK
    for chosen, most in ((is_dark, MOST_DARK), (~is_dark, MOST_BRIGHT)):
        numbers = np.flatnonzero(chosen & (sizes >= max(least, 1)))
        yield from numbers[np.argsort(-sizes[numbers], kind="stable")][:most].tolist()


def _even(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels are grey, like their eight neighbours, and not the exact white that is blank in any case."""
    low, high = pixels.min(axis=2), pixels.max(axis=2)
    spread = ndimage.maximum_filter(high, 3).astype(np.int16) - ndimage.minimum_filter(low, 3)
    return np.asarray((spread <= EVEN) & (low < 255))


def _is_even_in_full(slide: Slide, overview: Overview, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> bool:
    """Whether pixels of the overview, at (N,) rows and columns, have a single grey in full resolution too."""
    width, height = slide.dimensions
    scale_x, scale_y = width / overview.pixels.shape[1], height / overview.pixels.shape[0]
    # No larger than a pixel of the overview, which is known to be even.
    size = tuple(min(SAMPLE_SIDE, max(int(scale), 1)) for scale in (scale_x, scale_y))
    for place in np.linspace(0, len(rows) - 1, SAMPLES).astype(int).tolist():
        corner = (int(columns[place] * scale_x), int(rows[place] * scale_y))
        try:
            sample = slide.read_region(corner, 0, (size[0], size[1]))
        except SlideError:
            return False  # the scan will come across the damage, and tell of it
        if np.ptp(sample) > EVEN:
            return False
    return True

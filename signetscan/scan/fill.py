"""Uniform black or grey parts of a slide, with which software fills what was not scanned: they are no tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.errors import SlideError
from signetscan.scan.overview import darkest, lightest

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
    fill = np.zeros(overview.missing.shape, np.bool_)
    parts = _large_parts(_even(overview.pixels) & ~overview.missing, MIN_FILL_UM2 / pixel_um2)
    boxes = ndimage.find_objects(parts)
    for part in _candidates(parts, overview.pixels):
        box = boxes[part - 1]
        inside = parts[box] == part
        rows, columns = np.nonzero(inside)
        if _is_even_in_full(slide, overview, rows + box[0].start, columns + box[1].start):
            fill[box] |= inside
    if not fill.any() or fill.all():  # if all is fill, there is no picture that it could fill up
        return np.zeros_like(fill)
    # An even pixel is of one colour with its neighbours, so these belong to the fill, too.
    return ndimage.maximum_filter(fill.view(np.uint8), 3).view(np.bool_)


def _large_parts(even: NDArray[np.bool_], least: float) -> NDArray[np.int32]:
    """The number, from 1, of the part of each pixel, (rows, columns); 0 where it has fewer than `least` pixels.

    Noise makes millions of specks, which need no number of their own.
    """
    labels, count = ndimage.label(even)
    is_large = np.bincount(labels.ravel(), minlength=count + 1) >= max(least, 1)
    is_large[0] = False
    return np.where(is_large, is_large.cumsum(), 0).astype(np.int32)[labels]


def _candidates(parts: NDArray[np.int32], pixels: NDArray[np.uint8]) -> Iterator[int]:
    """The numbers of the largest of the dark parts, and of the bright ones.

    Args:
        parts: number of each pixel's part, (rows, columns); 0 for none.
        pixels: the overview, (rows, columns, 3).
    """
    inside = parts > 0
    numbers = parts[inside]
    sizes = np.bincount(numbers)
    is_dark = np.bincount(numbers, pixels[..., 1][inside]) < DARK * sizes
    for chosen, most in ((is_dark, MOST_DARK), (~is_dark & (sizes > 0), MOST_BRIGHT)):
        found = np.flatnonzero(chosen)
        yield from found[np.argsort(-sizes[found], kind="stable")][:most].tolist()


def _even(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels are grey, like their eight neighbours, and not the exact white that is blank in any case."""
    low = darkest(pixels)
    # The maximum is never below the minimum, so that the difference of bytes cannot overflow.
    spread = ndimage.maximum_filter(lightest(pixels), 3) - ndimage.minimum_filter(low, 3)
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

"""Whether the levels of a pyramid show the same picture.

Tissue is looked for on a coarse level. If a conversion left that level empty, or from another slide, tissue would be
missed without notice. So a few places are compared with level 0.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import SlideError
from signetscan.slides.concerns import Concern, ConcernKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.scan.tissue import TissueMask
    from signetscan.slides.protocol import Slide

GRID = 5
"""Places along each axis of the slide."""
IN_TISSUE = 12
"""Further places in what the overview takes for tissue."""
SIDE = 256
"""Least side of a place, level-0 pixels."""
LEVEL_SIDE = 16
"""Least side of a place, pixels of the level."""
CELLS = 4
"""Places are compared as pictures of this side, pixels: so that a level may be sharpened, or off by a pixel."""
UNLIKE = 40.0
"""Mean difference from which two places show different pictures, grey levels."""
UNLIKE_SHARE = 0.1
"""A level is wrong if it differs at this share of the places at which either shows something, and at two at least."""
LEAST_CORRELATION = 0.9
"""Least correlation of the places' lightness on two levels of one picture: unlike ones may be equally pale."""
LEAST_CHANGE = 2.0
"""Standard deviation of the places' lightness below which nothing can be compared, grey levels."""
GLASS_STEP = 25
"""A place shows something where it is darker than the brightest place by this, grey levels."""


def is_same_picture(slide: Slide, level: int, tissue: TissueMask | None) -> bool:
    """Whether a level shows the picture of level 0, as far as a few places tell.

    Args:
        slide: the slide.
        level: index of the level.
        tissue: where its tissue seems to be, which is looked at, too.

    """
    if level == 0:
        return True
    pairs = [pair for x, y in _places(slide, tissue) if (pair := _pair(slide, level, x, y))]
    if not pairs:
        return True
    places = np.array(pairs, np.float32)  # (places, 2, cells, cells, 3)
    lightness = places.mean(axis=(2, 3, 4))
    shows = lightness.min(axis=1) < lightness.max() - GLASS_STEP
    differs = np.abs(places[:, 0] - places[:, 1]).mean(axis=(1, 2, 3)) > UNLIKE
    few_differ = differs.sum() < max(2, UNLIKE_SHARE * shows.sum())
    return bool(few_differ and _correlation(*lightness.T) > LEAST_CORRELATION)


def other_picture(level: int, instead: int) -> Concern:
    """The concern that a small level shows another picture than level 0.

    Args:
        level: the small level.
        instead: the level on which tissue was looked for.
    """
    message = (
        f"level {level} of its pyramid shows another picture than level 0, as viewers may; tissue was looked for on "
        f"level {instead}, which takes longer. Export the slide again"
    )
    return Concern(kind=ConcernKind.PICTURE, message=message)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """How the lightness of places, (N,), goes together on two levels; 1 where it hardly changes on either."""
    deviations = [float(values.std()) for values in (first, second)]
    if max(deviations) < LEAST_CHANGE:
        return 1.0
    if min(deviations) == 0:
        return 0.0
    return float(((first - first.mean()) * (second - second.mean())).mean()) / (deviations[0] * deviations[1])


def _places(slide: Slide, tissue: TissueMask | None) -> Iterator[tuple[int, int]]:
    """The middles of the places to compare, level-0 pixels."""
    width, height = slide.dimensions
    for column, row in product(range(GRID), repeat=2):
        yield int((column + 0.5) / GRID * width), int((row + 0.5) / GRID * height)
    if tissue is not None and tissue.core.any():
        rows, columns = np.nonzero(tissue.core)
        for place in np.linspace(0, len(rows) - 1, IN_TISSUE + 2)[1:-1].astype(int).tolist():
            yield int((columns[place] + 0.5) * tissue.pixel[0]), int((rows[place] + 0.5) * tissue.pixel[1])


def _pair(slide: Slide, level: int, x: int, y: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """A place on level 0 and on a level, (cells, cells, 3) each; None if it cannot be decoded, or level 0 lacks it.

    Args:
        slide: the slide.
        level: index of the level.
        x: middle of the place, level-0 pixels.
        y: the same.
    """
    downsample = slide.level_downsamples[level]
    side = max(SIDE, int(LEVEL_SIDE * downsample))
    width, height = (min(side, length) for length in slide.dimensions)
    corner = (
        min(max(x - width // 2, 0), slide.dimensions[0] - width),
        min(max(y - height // 2, 0), slide.dimensions[1] - height),
    )
    size = (max(int(width / downsample), 1), max(int(height / downsample), 1))
    try:
        full = slide.read_window(corner, 0, (width, height))
        small = slide.read_region(corner, level, size)
    except SlideError:  # the scan will come across the damage, and tell of it
        return None
    return None if full.missing is not None else (_cells(full.pixels), _cells(small))


def _cells(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(pixels).resize((CELLS, CELLS), Image.Resampling.BOX))

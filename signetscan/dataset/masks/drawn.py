"""Areas that people drew, as labels of pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.outlines import filled
from signetscan.dataset.masks.images import BACKGROUND, IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.annotations import Region
    from signetscan.dataset.masks.images import DrawnMask


def draw_labels(mask: DrawnMask, corner: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The label of each pixel of an image: that of the last area that holds the pixel's centre.

    Args:
        mask: what was drawn, view pixels of the slide.
        corner: left and top edge of the image, view pixels.
        size: its rows and columns.

    Raises:
        AnnotationError: an outline is too complex.
    """
    labels = np.full(size, BACKGROUND, np.uint8)
    for label, area in mask.outlines:
        _fill(labels, area, corner, label)
    if mask.within is not None:
        within = np.zeros(size, np.uint8)
        _fill(within, mask.within, corner, 1)
        labels[within == 0] = IGNORED
    return labels


def _fill(picture: NDArray[np.uint8], area: Region, corner: tuple[int, int], value: int) -> None:
    """Set the pixels of a picture whose centre lies in an area; only the part that it may reach is looked at."""
    x0, y0, x1, y1 = area.box
    rows, columns = picture.shape
    left, right = (min(max(edge - corner[0], 0), columns) for edge in (math.floor(x0), math.ceil(x1)))
    top, bottom = (min(max(edge - corner[1], 0), rows) for edge in (math.floor(y0), math.ceil(y1)))
    shift = (corner[0] + left, corner[1] + top)
    inside = filled([ring - shift for ring in area.rings], (bottom - top, right - left))
    picture[top:bottom, left:right][inside] = value

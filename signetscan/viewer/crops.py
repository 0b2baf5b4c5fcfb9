"""Pictures of single cells for the gallery."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from signetscan.slides import SlideAtMpp
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.slides import Slide

CROP_PX = 192
"""Side of a picture, pixels."""
CROP_UM = 48.0
"""Side of the area shown, µm: a large cell and its neighbours, at 40x on most screens."""
AROUND = 1.6
"""Side of the area shown around a larger box, by that of the box."""
LARGEST_PX = 4096
"""Longest side of a box that gets a picture, level-0 pixels: no cell is larger, and a file may hold any box."""


def crop_side_um(box: Box, mpp: float) -> float:
    """Side of the area that is shown around a box, µm.

    Args:
        box: level-0 pixels.
        mpp: size of a level-0 pixel.
    """
    x0, y0, x1, y1 = box
    return max(CROP_UM, AROUND * max(x1 - x0, y1 - y0) * mpp)


def crop(slide: Slide, box: Box) -> NDArray[np.uint8]:
    """The surroundings of a box, uint8 (CROP_PX, CROP_PX, 3), the box's centre in the middle; white beyond the slide.

    Args:
        slide: the slide. Its pixels are shown as squares, even where their width and height differ.
        box: level-0 pixels, no longer than `LARGEST_PX`.

    Raises:
        SlideError: the pixels cannot be decoded.
        MppError: the slide's mpp is unknown.
    """
    view = SlideAtMpp(slide, crop_side_um(box, known_mpp(slide).x) / CROP_PX)
    scale_x, scale_y = view.scale
    x0, y0, x1, y1 = box
    left = math.floor((x0 + x1) / 2 / scale_x - CROP_PX / 2 + 0.5)
    top = math.floor((y0 + y1) / 2 / scale_y - CROP_PX / 2 + 0.5)
    return view.read(left, top, CROP_PX, CROP_PX)

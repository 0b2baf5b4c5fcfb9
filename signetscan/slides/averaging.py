"""Means of blocks of pixels, and masks of another size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.slides.protocol import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray


def block_means(pixels: NDArray[np.uint8], block: tuple[int, int]) -> NDArray[np.uint8]:
    """The means of blocks of pixels: (H, W, 1 or 3) reduced by a block's (width, height)."""
    if block == (1, 1):
        return pixels
    if pixels.shape[2] == 1:
        return np.asarray(Image.fromarray(pixels[..., 0]).reduce(block))[..., None]
    return np.asarray(Image.fromarray(pixels).reduce(block))


def averaged(window: Window, block: tuple[int, int]) -> Window:
    """A window of whole blocks reduced to their means; a block counts as missing where the pixel in its middle does."""
    height, width = window.pixels.shape[:2]
    size = (width // block[0], height // block[1])
    mask = resized_mask(window.missing, size, (0, 0, width, height))
    return Window(pixels=block_means(window.pixels, block), missing=mask)


def resized_mask(
    mask: NDArray[np.bool_] | None, size: tuple[int, int], box: tuple[float, float, float, float]
) -> NDArray[np.bool_] | None:
    """A part of a mask at another size; None stands for a mask of nothing.

    Args:
        mask: (rows, columns).
        size: width and height to give it.
        box: x0, y0, x1, y1 of the part, pixels of the mask.
    """
    if mask is None:
        return None
    resized = Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST, box=box)
    return np.asarray(resized, np.bool_)

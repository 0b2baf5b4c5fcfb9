"""Smooth random textures, of which everything irregular is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Float

    Map = NDArray[Float]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A random number from `low` to `high`, evenly in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> NDArray[np.float32]:
    """Noise whose features are about `cell` pixels wide.

    Args:
        rng: source of randomness.
        shape: rows and columns of the result.
        cell: width of a feature, pixels.

    Returns:
        float32 of that shape, with mean about 0 and standard deviation about 1.
    """
    rows, columns = (int(np.ceil(side / cell)) + 4 for side in shape)
    grid = Image.fromarray(rng.standard_normal((rows, columns), np.float32))
    # A window somewhere inside the grid, so that features do not line up with the image's corner.
    left, top = rng.uniform(1, 2, 2)
    box = (left, top, left + shape[1] / cell, top + shape[0] / cell)
    smooth = np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=box))
    # Interpolation between independent values reduces the variance; 0.75 is the standard deviation that is left.
    return (smooth / 0.75).astype(np.float32) if cell > 1.5 else smooth.astype(np.float32)


def fibres(rng: np.random.Generator, shape: tuple[int, int], *, width: float, length: float) -> NDArray[np.float32]:
    """Wavy strands like those of collagen: noise stretched along a direction that varies over the image.

    Args:
        rng: source of randomness.
        shape: rows and columns of the result.
        width: width of a strand, pixels.
        length: length of a strand, pixels.

    Returns:
        float32 of that shape, mean about 0, standard deviation about 1.
    """
    angle = rng.uniform(0, np.pi)
    rows, columns = np.indices(shape, np.float32)
    wander = 0.35 * length * np.stack([smooth_noise(rng, shape, 2.5 * length) for _ in range(2)])
    along = (columns + wander[0]) * np.cos(angle) + (rows + wander[1]) * np.sin(angle)
    across = (rows + wander[1]) * np.cos(angle) - (columns + wander[0]) * np.sin(angle)
    grid = rng.standard_normal((256, 256), np.float32)
    strands = ndimage.map_coordinates(grid, [across / width, along / length], order=1, mode="grid-wrap")
    return (strands / 0.67).astype(np.float32)


def step(values: Map, width: float) -> NDArray[np.float32]:
    """A soft step from 0 to 1 around 0, `width` wide, for use as alpha."""
    return np.asarray(np.clip(values / width + 0.5, 0, 1), np.float32)

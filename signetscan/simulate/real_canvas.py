"""A canvas of real tissue: its nuclei are known, it can be pressed aside, and its own texture and nuclei be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.simulate.canvas import HAEM, Canvas
from signetscan.simulate.nuclei import find_nuclei, stamps_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.canvas import Window
    from signetscan.simulate.noise import Map

PLACES = 8
"""Places of an image to choose a texture from."""
SHARPEST, SOFTEST = 1.6, 8.0
"""Least and most width of a painted edge, pixels."""


class RealCanvas(Canvas):
    """Amounts of stain of a real image.

    Args:
        rng: source of randomness for all that is drawn.
        amounts: (3, H, W), amounts of haematoxylin, of eosin and of the rest; drawn on in place.
    """

    def __init__(self, rng: np.random.Generator, amounts: NDArray[np.float32]) -> None:
        super().__init__(rng, amounts)
        self.nuclei = find_nuclei(amounts[HAEM])
        """Its nuclei. Their pixels move with the tissue; centres and radii are those before anything was drawn."""
        self.stamps = stamps_of(amounts, self.nuclei, rng)
        """Some of its nuclei, to be copied."""
        self._tissue = amounts[:2].copy()
        self.palest = _palest(amounts)
        """(3,), amounts of stain at the palest places: what is painted is no paler where there is no bare glass."""
        self.softness = _softness(amounts[HAEM])
        """Width of an edge that looks as sharp as those of the image, pixels."""

    def put_rest(self, window: Window, alpha: Map) -> None:
        """Blend what the stains do not express at the palest places over that on the canvas."""
        rest = self.amounts[2, window.rows, window.columns]
        rest += alpha * (self.palest[2] - rest)

    def texture(self, window: Window) -> NDArray[np.float32]:
        """Haematoxylin and eosin, (2, h, w), of another place of the image with few nuclei, each with a mean of 0."""
        rows, columns = window.dx.shape
        tries = []
        for _ in range(PLACES):
            top = int(self.rng.integers(0, max(self.height - rows, 0) + 1))
            left = int(self.rng.integers(0, max(self.width - columns, 0) + 1))
            part = (slice(top, top + rows), slice(left, left + columns))
            tries.append((np.count_nonzero(self.nuclei.labels[part]), top, left))
        _, top, left = min(tries)
        piece = self._tissue[:, top : top + rows, left : left + columns]
        if piece.shape[1:] != (rows, columns):
            piece = np.stack([np.resize(layer, (rows, columns)) for layer in piece])
        return np.asarray(piece - piece.mean(axis=(1, 2), keepdims=True), np.float32)

    def move(self, window: Window, scale: Map) -> None:
        """Take each pixel of a window, and what is known of it, from `scale` times its distance from the point."""
        rows, columns = np.indices(window.dx.shape, np.float32)
        where = np.stack([rows + window.dy * (scale - 1), columns + window.dx * (scale - 1)])
        part = (window.rows, window.columns)
        for layer in self.amounts:
            layer[part] = ndimage.map_coordinates(layer[part], where, order=1, mode="nearest")
        for identities in (self.owner, self.nuclei.labels):
            identities[part] = ndimage.map_coordinates(identities[part], where, order=0, mode="nearest")

    def around(self, window: Window, part: Map) -> NDArray[np.float64]:
        """Mean haematoxylin and eosin, (2,), of the ring about a vacuole: `part` (distance in radii) is 1 to 2."""
        ring = (part > 1) & (part < 2)
        if not ring.any():
            return np.array([0.3, 0.5])
        return np.asarray(self.amounts[:2, window.rows, window.columns][:, ring].mean(axis=1), np.float64)


def _palest(amounts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean amounts, (3,), of the fiftieth part of the pixels that have the least stain.

    Of the same pixels for all three, because the least of each alone make a colour that the image does not have.
    """
    sample = amounts[:, ::4, ::4].reshape(3, -1)
    stain = sample[:2].sum(axis=0)
    return np.asarray(sample[:, stain <= np.quantile(stain, 0.02)].mean(axis=1), np.float64)


def _softness(haem: Map) -> float:
    """Width of the image's edges, pixels: the steepest slopes against the whole range."""
    slope = np.hypot(*np.gradient(ndimage.gaussian_filter(haem, 0.7)))
    low, high = np.quantile(haem[::4, ::4], [0.1, 0.98])
    steepest = float(np.quantile(slope[::2, ::2], 0.998))
    return float(np.clip((high - low) / max(steepest, 1e-3), SHARPEST, SOFTEST))

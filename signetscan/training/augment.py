"""Random changes of a crop, so that the network ignores what does not matter: position, colour, focus, compression."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

from signetscan.stains import EOSIN, HAEMATOXYLIN, across

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Boxes = NDArray[np.float64]

STAIN_VECTORS = np.stack([HAEMATOXYLIN, EOSIN, across(HAEMATOXYLIN, EOSIN)])
"""Optical densities of haematoxylin, of eosin, and of a third stain vector at right angles to both, in R, G, B."""


def turn(rng: np.random.Generator, pixels: Pixels, boxes: Boxes) -> tuple[Pixels, Boxes]:
    """Mirror a square crop (S, S, 3) and turn it by quarter turns, at random, with its boxes (N, 4)."""
    side = pixels.shape[0]
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
        boxes = boxes[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (side, 0, side, 0)
    for _ in range(int(rng.integers(4))):  # a quarter turn to the left: x becomes y, y becomes side - x
        pixels = np.rot90(pixels)
        boxes = boxes[:, [1, 2, 3, 0]] * (1, -1, 1, -1) + (0, side, 0, side)
    return np.ascontiguousarray(pixels), boxes


def restain(rng: np.random.Generator, pixels: Pixels, strength: float) -> Pixels:
    """Imitate another laboratory's stain and light: the amount of each stain varies by about `strength` (0.2: 20%)."""
    density = -np.log((pixels.astype(np.float32) + 1) / 256)
    # Off the diagonal, a little of each stain takes on the colour of the others; on it, its amount varies. The limits
    # keep a stain from vanishing or from turning the tissue black.
    change = np.eye(3) + rng.normal(0, 0.1 * strength, (3, 3))
    change[[0, 1, 2], [0, 1, 2]] *= rng.normal(1, strength, 3).clip(0.4, 1.8)
    through = (np.linalg.inv(STAIN_VECTORS) @ change @ STAIN_VECTORS).astype(np.float32)
    light = np.exp(-(density @ through)) * (256 * rng.normal(1, 0.15 * strength, 3).astype(np.float32))
    return np.asarray(np.clip(light - 1, 0, 255), np.uint8)


def degrade(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """Imitate another scanner: blur or sharpen some crops, add noise to some, compress some as JPEG."""
    if rng.random() < 0.3:
        blurred = ndimage.gaussian_filter(pixels.astype(np.float32), (*(rng.uniform(0.4, 1.6, 1).repeat(2)), 0))
        weight = rng.choice([1.0, -0.6])  # towards the blurred crop, or away from it, which sharpens
        pixels = np.asarray(np.clip(pixels + weight * (blurred - pixels), 0, 255), np.uint8)
    if rng.random() < 0.3:
        noise = rng.standard_normal(pixels.shape, np.float32) * rng.uniform(1, 8)
        pixels = np.asarray(np.clip(pixels + noise, 0, 255), np.uint8)
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(40, 95)))
        pixels = np.asarray(Image.open(buffer))
    return pixels

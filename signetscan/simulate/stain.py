"""Colour: from the amounts of two stains to light, and back.

The image is light that has passed through the stains: I = glass * exp(-amounts @ vectors) in each channel
(Beer-Lambert). The third stain vector covers what the two stains cannot express, so that real images are converted to
amounts and back without loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.noise import log_uniform
from signetscan.stains import EOSIN, HAEMATOXYLIN, across

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stain:
    """Stain and light of a slide."""

    vectors: NDArray[np.float32]
    """(3, 3), optical densities of haematoxylin, eosin and the rest in R, G, B."""
    haematoxylin: float
    """Strength of the haematoxylin."""
    eosin: float
    """Strength of the eosin."""
    glass: NDArray[np.float32]
    """Colour of bare glass, (3,), 0 to 255."""

    def to_rgb(self, amounts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Amounts (3, H, W) as light, (H, W, 3), 0 to 255."""
        scaled = amounts * np.array([self.haematoxylin, self.eosin, 1], np.float32)[:, None, None]
        density = np.tensordot(scaled, self.vectors, axes=(0, 0))
        return np.asarray(self.glass * np.exp(-density), np.float32)

    def to_amounts(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The inverse of `to_rgb`, for real images (H, W, 3)."""
        density = -np.log((rgb.astype(np.float32) + 1) / (self.glass + 1))
        amounts = np.moveaxis(density @ np.linalg.inv(self.vectors), -1, 0)
        scale = np.array([self.haematoxylin, self.eosin, 1], np.float32)[:, None, None]
        return np.ascontiguousarray(amounts / scale, np.float32)


def random_stain(rng: np.random.Generator) -> Stain:
    """A random stain: hue, strength and light vary from laboratory to laboratory."""
    glass = rng.uniform(228, 248) + rng.normal(0, 3, 3)
    return make_stain(
        HAEMATOXYLIN + rng.normal(0, 0.06, 3),
        EOSIN + rng.normal(0, 0.05, 3),
        haematoxylin=float(rng.uniform(0.8, 1.7)),
        eosin=float(rng.uniform(0.6, 1.5)),
        glass=np.clip(glass, 215, 252),
    )


def make_stain(
    haematoxylin_vector: NDArray[np.float64],
    eosin_vector: NDArray[np.float64],
    *,
    haematoxylin: float,
    eosin: float,
    glass: NDArray[np.float64],
) -> Stain:
    """A stain from its two stain vectors (R, G, B densities, of any length) and their strengths."""
    first, second = (
        np.clip(vector, 0.01, None) / np.linalg.norm(vector) for vector in (haematoxylin_vector, eosin_vector)
    )
    vectors = np.stack([first, second, across(first, second)]).astype(np.float32)
    return Stain(vectors=vectors, haematoxylin=haematoxylin, eosin=eosin, glass=glass.astype(np.float32))


def stain_of(image: NDArray[np.uint8]) -> Stain:
    """The textbook stain vectors, in strengths that suit a real image (H, W, 3), to separate it and to draw on it.

    A drawn nucleus has about 1.2 of haematoxylin and drawn cytoplasm 0.6 of eosin; the strengths make these as dark as
    the darkest nuclei and the average tissue of the image.
    """
    glass = np.clip(np.quantile(image.reshape(-1, 3), 0.995, axis=0), 215, 252)
    plain = make_stain(HAEMATOXYLIN, EOSIN, haematoxylin=1.0, eosin=1.0, glass=glass)
    amounts = plain.to_amounts(image[::4, ::4])
    haematoxylin = np.clip(np.quantile(amounts[0], 0.98) / 1.2, 0.6, 2.5)
    eosin = np.clip(np.quantile(amounts[1], 0.7) / 0.6, 0.5, 2.0)
    return make_stain(HAEMATOXYLIN, EOSIN, haematoxylin=float(haematoxylin), eosin=float(eosin), glass=glass)


def vary(rng: np.random.Generator, stain: Stain) -> Stain:
    """A similar stain, as another laboratory might have stained the same tissue: rather of the usual strength."""
    vectors = np.asarray(stain.vectors, np.float64)
    kept = float(rng.uniform(0.3, 1.0))
    return make_stain(
        vectors[0] + rng.normal(0, 0.04, 3),
        vectors[1] + rng.normal(0, 0.04, 3),
        haematoxylin=stain.haematoxylin**kept * log_uniform(rng, 0.75, 1.3),
        eosin=stain.eosin**kept * log_uniform(rng, 0.7, 1.35),
        glass=np.asarray(stain.glass, np.float64),
    )

"""The stain vectors of haematoxylin and eosin: the light that each absorbs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HAEMATOXYLIN = np.array([0.61, 0.70, 0.37])
EOSIN = np.array([0.14, 0.88, 0.42])
"""Optical densities in R, G, B. They lie between the vectors of Ruifrok and Johnston (2001), whose eosin is more
magenta than on most scanners, and those that Macenko et al. (2009) measured on whole slides."""


def across(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit vector (3,) perpendicular to two stain vectors: the direction of colour that they cannot express."""
    normal = np.cross(first, second)
    return np.asarray(normal / np.linalg.norm(normal))

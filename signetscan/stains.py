"""The two dyes of H&E, by what they take from red, green and blue light."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HAEMATOXYLIN = np.array([0.61, 0.70, 0.37])
EOSIN = np.array([0.14, 0.88, 0.42])
"""Optical densities in R, G, B: between the vectors of Ruifrok and Johnston (2001), whose eosin is more magenta than
most scanners show it, and those that Macenko et al. found in whole slides (2009)."""


def across(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit vector (3,) at right angles to two dyes: what they cannot express."""
    rest = np.cross(first, second)
    return np.asarray(rest / np.linalg.norm(rest))

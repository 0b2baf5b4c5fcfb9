"""Density of points on a plane: counts per mm², smoothed with a Gaussian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float


def density_map(
    points: NDArray[Float], box: Box, size_um: tuple[float, float], shape: tuple[int, int], spread_um: float
) -> NDArray[np.float32]:
    """Points per mm² in a box. The map's sum times the area of one of its pixels is the number of points in the box.

    Args:
        points: (N, 2), x and y; points outside the box are left out.
        box: x0, y0, x1, y1 in the frame of the points.
        size_um: width and height of the box, µm.
        shape: rows and columns of the map.
        spread_um: standard deviation of the Gaussian that spreads each point, µm. The Gaussian is reflected at the
            edges, so that no part of a point is lost.

    Returns:
        The map, (rows, columns).
    """
    x0, y0, x1, y1 = box
    rows, columns = shape
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=shape, range=[(y0, y1), (x0, x1)])
    pixel_um = size_um[1] / rows, size_um[0] / columns
    sigma = spread_um / pixel_um[0], spread_um / pixel_um[1]
    spread: NDArray[np.float32] = ndimage.gaussian_filter(counts.astype(np.float32), sigma, mode="reflect")
    return spread / np.float32(pixel_um[0] * pixel_um[1] / 1e6)

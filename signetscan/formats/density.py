"""How dense points lie on a plane: counts per mm2, each point spread by a bell so that the picture is smooth."""

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
    """Points per mm2 over a part of the plane. Times the area of a pixel it adds up to the number of points in it.

    Args:
        points: (N, 2), x and y; those outside the box are left out.
        box: the part, in the frame of the points.
        size_um: its width and height, um.
        shape: rows and columns of the map.
        spread_um: standard deviation of the Gaussian by which each point is spread, um; what would be spread over the
            edge is reflected.

    Returns:
        (rows, columns).
    """
    x0, y0, x1, y1 = box
    rows, columns = shape
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=shape, range=[(y0, y1), (x0, x1)])
    pixel_um = size_um[1] / rows, size_um[0] / columns
    sigma = spread_um / pixel_um[0], spread_um / pixel_um[1]
    spread: NDArray[np.float32] = ndimage.gaussian_filter(counts.astype(np.float32), sigma, mode="reflect")
    return spread / np.float32(pixel_um[0] * pixel_um[1] / 1e6)

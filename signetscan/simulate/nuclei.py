"""Nuclei of real tissue: found, so that cells can swell beside them, and copied, so that drawn cells have real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from signetscan.simulate.canvas import HAEM, blob, turned
from signetscan.simulate.noise import step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.canvas import Canvas
    from signetscan.simulate.noise import Map

LEAST_RADIUS = 5.0
"""Radius, pixels, below which a dark spot is no nucleus."""
LEAST_CONTRAST = 0.2
"""Least difference of haematoxylin between nuclei and the rest for there to be nuclei at all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nuclei:
    """Nuclei of a field, in image pixels."""

    labels: NDArray[np.int32]
    """(H, W), the number of the nucleus at each pixel, from 1; 0 for none."""
    centres: NDArray[np.float64]
    """(N, 2), x and y of each."""
    radii: NDArray[np.float64]
    """(N,), radius of the circle of the same area."""


def find_nuclei(haem: Map) -> Nuclei:
    """Nuclei by their haematoxylin: the darker class by Otsu, cut where they touch.

    Args:
        haem: (H, W), amounts of haematoxylin.
    """
    smooth = ndimage.gaussian_filter(haem, 1.5)
    threshold = threshold_otsu(smooth)
    dark = smooth > threshold
    if not dark.any() or smooth[dark].mean() - smooth[~dark].mean() < LEAST_CONTRAST:
        return _nuclei(np.zeros(haem.shape, np.int32))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(dark), 1.0)
    peaks = peak_local_max(depth, min_distance=7, threshold_abs=LEAST_RADIUS * 0.7, exclude_border=False)
    markers = np.zeros(haem.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return _nuclei(np.asarray(watershed(-depth, markers, mask=dark), np.int32))


def _nuclei(labels: NDArray[np.int32]) -> Nuclei:
    """Those of a label image that are large enough, numbered anew."""
    areas = np.bincount(labels.ravel())
    large = areas >= np.pi * LEAST_RADIUS**2
    large[0] = False
    number = np.where(large, np.cumsum(large), 0).astype(np.int32)
    labels = number[labels]
    count = int(large.sum())
    middles = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, count + 1)), np.float64).reshape(-1, 2)
    return Nuclei(labels=labels, centres=middles[:, ::-1] + 0.5, radii=np.sqrt(areas[large] / np.pi))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stamp:
    """A real nucleus, to be copied to other places of its field."""

    amounts: NDArray[np.float32]
    """(3, h, w), the amounts of stain around it."""
    dark: float
    """Its mean haematoxylin."""
    radius: float
    """Its radius, pixels."""


def stamps_of(amounts: NDArray[np.float32], nuclei: Nuclei, rng: np.random.Generator, most: int = 40) -> list[Stamp]:
    """Some of a field's nuclei."""
    stamps: list[Stamp] = []
    slices = ndimage.find_objects(nuclei.labels)
    for index in rng.permutation(len(nuclei.radii))[:most]:
        rows, columns = slices[index]
        piece = amounts[:, rows, columns].copy()
        dark = float(piece[HAEM][nuclei.labels[rows, columns] == index + 1].mean())
        stamps.append(Stamp(amounts=piece, dark=dark, radius=float(nuclei.radii[index])))
    return stamps


def put_stamp(
    canvas: Canvas, stamp: Stamp, centre: tuple[float, float], sides: tuple[float, float], angle: float, *, soft: float
) -> None:
    """Put a copy of a real nucleus at another place.

    Args:
        canvas: where to put it.
        stamp: the nucleus.
        centre: x and y of the copy, pixels.
        sides: its length and width, pixels.
        angle: direction of its length, radians.
        soft: width of its edge, pixels.
    """
    window = canvas.window(*centre, max(sides) * 0.75 + 3)
    if window is None:
        return
    _, depth = blob(canvas.rng, window, sides, angle, 0.06)
    alpha = step(depth, soft)
    along, across = turned(window.dx, window.dy, angle)
    height, width = stamp.amounts.shape[1:]
    # From its middle only, so that nothing of what lay around it comes along.
    where = np.stack([(0.7 * across / sides[1] + 0.5) * height - 0.5, (0.7 * along / sides[0] + 0.5) * width - 0.5])
    for layer, amount in zip(canvas.amounts, stamp.amounts, strict=True):
        copied = ndimage.map_coordinates(amount, where, order=1, mode="nearest")
        layer[window.rows, window.columns] += alpha * (copied - layer[window.rows, window.columns])
    canvas.claim(window, alpha, 0)


def darkest(stamps: list[Stamp], rng: np.random.Generator) -> Stamp | None:
    """One of the darker nuclei, as those that are pressed flat are; None if there is none."""
    if not stamps:
        return None
    few = [stamps[int(index)] for index in rng.integers(0, len(stamps), 3)]
    return max(few, key=lambda stamp: stamp.dark)

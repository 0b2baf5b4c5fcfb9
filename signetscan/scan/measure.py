"""Measuring the cells that were found: stains, pallor and sharpness of each box, and the distance to its neighbour.

Pixels are read again, once all tiles are merged, and only around the boxes that stayed: so nothing depends on tiles,
batches or threads, and a scan of which nobody wants measurements does nothing more. They are those that the model saw,
at its mpp. Boxes are measured block by block, so that neighbours share what is read.

Stains are separated as by Ruifrok and Johnston ("Quantification of histochemical staining by color deconvolution",
2001): optical densities, base 10, of red, green and blue are a sum of the vectors of `stains.py` and of a third one
that is perpendicular to both. Sharpness is the variance of the Laplacian (Pech-Pacheco et al., 2000).
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.concurrency import ordered_map
from signetscan.measurements import MEASURES, OF_PIXELS, Measurements, rounded
from signetscan.scan.damage import read_tile
from signetscan.scan.tiling import Tile
from signetscan.slides.protocol import known_mpp
from signetscan.stains import EOSIN, HAEMATOXYLIN, across

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.slides import SlideAtMpp

BLOCK = 512
"""Side of a block, view pixels: boxes that begin in it are measured together."""
MOST_SIDE = 512
"""Of boxes that are larger, view pixels, the middle is measured, so that memory stays bounded; no cell is as large."""
WHITE = 255
"""Value of a pixel that nothing absorbs, as QuPath takes it unless somebody says otherwise."""
PALE = 180
"""Least value of all three colours of a pale pixel, a density of 0.15: of mucin, of glass, and of no stroma."""
LUMA = (np.float32(0.299), np.float32(0.587), np.float32(0.114))
"""Parts of red, green and blue in a grey level (ITU-R BT.601)."""


def measure_cells(view: SlideAtMpp, detections: Detections, *, read_threads: int) -> Measurements:
    """Measure the cells of a slide.

    Args:
        view: the slide at the model's mpp.
        detections: boxes in level-0 pixels.
        read_threads: threads that read and measure.

    Returns:
        A row for each detection. Area that cannot be read counts as white.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    values = np.full((len(detections), len(MEASURES)), np.nan)
    spans = _pixels_of(detections.boxes / np.array([*view.scale, *view.scale]), view.dimensions)
    measured = ordered_map(
        partial(_measured, view, spans), _blocks(spans), workers=read_threads, ahead=2 * read_threads
    )
    for which, found in measured:
        values[which, :OF_PIXELS] = found
    values[:, OF_PIXELS] = _to_nearest(view, detections)
    return Measurements(values=rounded(values))


def _pixels_of(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.int64]:
    """The view pixels whose centres lie in each box, x0, y0, x1, y1 (N, 4), one at least, within a width and height."""
    edges = np.ceil(boxes - 0.5).astype(np.int64)
    middle = (edges[:, :2] + edges[:, 2:]) // 2
    low = np.maximum(edges[:, :2], middle - MOST_SIDE // 2).clip(0, np.array(size) - 1)
    high = np.minimum(edges[:, 2:], middle + MOST_SIDE // 2).clip(low + 1, np.array(size))
    return np.concatenate([low, high], axis=1)


def _blocks(spans: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """The indices of the boxes of each block, row by row."""
    column, row = (spans[:, :2] // BLOCK).T
    order = np.lexsort((column, row))
    ends = np.flatnonzero((np.diff(row[order]) != 0) | (np.diff(column[order]) != 0)) + 1
    return (part for part in np.split(order, ends) if len(part))


def _measured(
    view: SlideAtMpp, spans: NDArray[np.int64], which: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """What is measured on the pixels of some boxes of a block: their indices, and (K, OF_PIXELS)."""
    block = spans[which]
    # One more at each edge, because the Laplacian of a pixel looks at its neighbours.
    left, top = (int(edge) - 1 for edge in block[:, :2].min(axis=0))
    right, bottom = (int(edge) + 1 for edge in block[:, 2:].max(axis=0))
    owned = (float(left), float(top), float(right), float(bottom))
    tile = Tile(index=0, x=left, y=top, width=right - left, height=bottom - top, owned=owned)
    planes = _planes(read_tile(view, tile).pixels)
    found = np.empty((len(which), OF_PIXELS))
    for number, (x0, y0, x1, y1) in enumerate((block - (left, top, left, top)).tolist()):
        part = planes[:, y0:y1, x0:x1].reshape(len(planes), -1)
        means = part.mean(axis=1, dtype=np.float64).tolist()
        variances = part.var(axis=1, dtype=np.float64).tolist()
        deviations = [math.sqrt(variance) for variance in variances]
        found[number] = (means[0], deviations[0], means[1], deviations[1], means[2], variances[3])
    return which, found


def _planes(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Haematoxylin, eosin, whether pale, and the Laplacian of the grey levels, (4, H, W), of pixels (H, W, 3)."""
    planes = np.zeros((4, *pixels.shape[:2]), np.float32)
    red, green, blue = colours = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    for stain, by_colour in enumerate(_densities()):
        for of_value, values in zip(by_colour, colours, strict=True):
            planes[stain] += of_value.take(values)
    planes[2] = np.minimum(np.minimum(red, green), blue) >= PALE
    grey = LUMA[0] * red.astype(np.float32) + LUMA[1] * green.astype(np.float32) + LUMA[2] * blue.astype(np.float32)
    planes[3, 1:-1, 1:-1] = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return planes


@cache
def _densities() -> NDArray[np.float32]:
    """How much a value of red, green and blue adds to the density of haematoxylin and of eosin, (2, 3, 256)."""
    vectors = np.stack([HAEMATOXYLIN, EOSIN, across(HAEMATOXYLIN, EOSIN)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    density = -np.log10(np.arange(256).clip(1) / WHITE)
    parts: NDArray[np.float32] = (np.linalg.inv(vectors)[:, :2].T[..., None] * density).astype(np.float32)
    return parts


def _to_nearest(view: SlideAtMpp, detections: Detections) -> NDArray[np.float64]:
    """The distance from the centre of each box to that of the nearest other, µm, (N,); nan for an only one."""
    from scipy.spatial import KDTree  # noqa: PLC0415 - it takes long to import, and most scans measure nothing

    if len(detections) < 2:
        return np.full(len(detections), np.nan)
    mpp = known_mpp(view.slide)
    points = centres(detections.boxes) * (mpp.x, mpp.y)
    distances: NDArray[np.float64] = np.asarray(KDTree(points).query(points, k=2)[0])[:, 1]
    return distances

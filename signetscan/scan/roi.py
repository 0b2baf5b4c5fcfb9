"""A region of interest: the part of a slide to which a scan is kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from signetscan.annotations.qupath import read_areas
from signetscan.boxes import centres
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations.objects import Region
    from signetscan.scan.tissue import TissueMask

WIDENED_PX = 2
"""A region is widened by this many mask pixels, so that no part of it is lost: drawing is precise to about one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roi:
    """One or more annotated regions."""

    regions: tuple[Region, ...]
    """Their polygons are in level-0 pixels."""

    @property
    def digest(self) -> str:
        """A text that is the same for the same polygons."""
        digest = hashlib.sha256()
        for region in self.regions:
            for ring in region.rings:
                # The length goes first, so that points cannot move to the next ring unnoticed.
                digest.update(len(ring).to_bytes(8, "little") + ring.astype("<f8").tobytes())
            digest.update(b"|")  # so that a ring cannot move to the next region unnoticed
        return digest.hexdigest()

    def holds(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each box, (N, 4) in level-0 pixels, has its centre inside, (N,)."""
        points = centres(boxes)
        inside = np.zeros(len(points), np.bool_)
        for region in self.regions:
            x0, y0, x1, y1 = region.box
            # Testing points against a polygon is slow, so only those within its box are tested.
            near = (points >= (x0, y0)).all(axis=1) & (points <= (x1, y1)).all(axis=1) & ~inside
            inside[near] = region.holds(points[near])
        return inside

    def within(self, mask: TissueMask) -> TissueMask:
        """The part of a mask that is inside, to within a mask pixel."""
        return replace(mask, mask=mask.mask & self._drawn(mask))

    def around(self, mask: TissueMask) -> TissueMask:
        """The part of a mask that is inside, and a small margin, so that none of it is left out."""
        square = np.ones((2 * WIDENED_PX + 1,) * 2, np.bool_)
        drawn = self._drawn(mask) | self._edges(mask)
        return replace(mask, mask=mask.mask & ndimage.binary_dilation(drawn, square))

    def _drawn(self, mask: TissueMask) -> NDArray[np.bool_]:
        """The pixels of a mask that are inside, give or take one; parts narrower than a pixel may be left out."""
        drawn = np.zeros_like(mask.mask)
        for region in self.regions:
            inside = np.zeros_like(drawn)
            for ring in region.rings:
                corners = ring / mask.pixel - 0.5  # whole numbers are the centres of pixels
                picture = Image.new("1", (drawn.shape[1], drawn.shape[0]))
                ImageDraw.Draw(picture).polygon(corners.ravel().tolist(), fill=1, outline=1)
                inside ^= np.asarray(picture)  # even-odd rule: a ring within another is a hole
            drawn |= inside
        return drawn

    def _edges(self, mask: TissueMask) -> NDArray[np.bool_]:
        """The pixels of a mask that the edge of a polygon goes through, give or take one."""
        rows, columns = mask.mask.shape
        picture = Image.new("1", (columns, rows))
        draw = ImageDraw.Draw(picture)
        for ring in (ring for region in self.regions for ring in region.rings):
            corners = ring / mask.pixel - 0.5
            for x0, y0, x1, y1 in _clipped(corners, (columns, rows)).tolist():
                draw.line((x0, y0, x1, y1), fill=1)
        return np.asarray(picture)


def _clipped(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """The visible parts of a ring's edges in a picture, (M, 4): edges that end far outside would take long to draw.

    After Liang and Barsky, A new concept and method for line clipping, ACM Transactions on Graphics 1984.

    Args:
        corners: (N, 2), pixels of the picture.
        size: width and height of the picture.
    """
    step = np.roll(corners, -1, axis=0) - corners
    step[step == 0] = 1e-9
    sides = np.stack([-WIDENED_PX - 1 - corners, np.array(size) + WIDENED_PX - corners]) / step
    first, last = sides.min(axis=0).max(axis=1).clip(min=0), sides.max(axis=0).min(axis=1).clip(max=1)
    ends = [corners + share[:, None] * step for share in (first, last)]
    edges: NDArray[np.float64] = np.concatenate(ends, axis=1)
    visible: NDArray[np.bool_] = first <= last
    return edges[visible]


def read_roi(path: Path, origin: tuple[int, int]) -> Roi:
    """The region of interest made of all annotations with an area in a file that QuPath exported.

    Args:
        path: the file.
        origin: the point from which its coordinates are counted, level-0 pixels.

    Raises:
        AnnotationError: the file cannot be read, or holds no such annotation.
    """
    regions = tuple(region.moved(*origin) for region in read_areas(path))
    if not regions:
        message = f"{path}: holds no annotation with an area; draw one in QuPath and export it as GeoJSON"
        raise AnnotationError(message)
    return Roi(regions=regions)

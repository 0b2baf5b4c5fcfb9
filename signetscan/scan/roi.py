"""A region of interest: the part of a slide to which a scan is kept."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.annotations.left_out import Reason
from signetscan.annotations.objects import in_any
from signetscan.annotations.outlines import AT_ONCE, MOST_CROSSINGS, filled
from signetscan.annotations.qupath import read_areas
from signetscan.boxes import centres
from signetscan.errors import AnnotationError
from signetscan.slides.concerns import Concern, ConcernKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations.left_out import LeftOut
    from signetscan.annotations.objects import Region
    from signetscan.scan.tissue import TissueMask

WIDENED_PX = 2
"""A region is widened by this many mask pixels, so that no part of it is lost: drawing is precise to about one."""
NEVER_DRAWN = frozenset({Reason.OF_MODELS, Reason.TILES, Reason.MISSING_CORES, Reason.ROOT})
"""Objects that nobody takes for a part of a region of interest: QuPath exports them with the others."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roi:
    """One or more annotated regions."""

    regions: tuple[Region, ...]
    """Their polygons are in level-0 pixels."""
    left_out: tuple[LeftOut, ...] = ()
    """What else is in their file."""

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """What somebody drew that is no region: one concern for each reason, with a count."""
        return tuple(
            Concern(
                kind=ConcernKind.ROI,
                message=f"the file of the region of interest has objects that are left out, {left.reason.value}: "
                f"{left.count}; see whether they were meant",
            )
            for left in self.left_out
            if left.reason not in NEVER_DRAWN
        )

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
        return in_any(self.regions, centres(boxes))

    def covers(
        self, corner: tuple[float, float], pixel: tuple[float, float], size: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Which pixels of a picture have their centre inside, (rows, columns).

        Args:
            corner: the picture's left upper corner, level-0 pixels.
            pixel: width and height of its pixels, level-0 pixels.
            size: its rows and columns.

        Raises:
            AnnotationError: an outline is too complex.
        """
        inside = np.zeros(size, np.bool_)
        right, bottom = corner[0] + size[1] * pixel[0], corner[1] + size[0] * pixel[1]
        for region in self.regions:
            x0, y0, x1, y1 = region.box
            if x0 < right and x1 > corner[0] and y0 < bottom and y1 > corner[1]:
                inside |= filled([(ring - corner) / pixel for ring in region.rings], size)
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
            left, top, right, bottom = _window(region, mask)
            rings = [ring / mask.pixel - (left, top) for ring in region.rings]
            drawn[top:bottom, left:right] |= filled(rings, (bottom - top, right - left))
        return drawn

    def _edges(self, mask: TissueMask) -> NDArray[np.bool_]:
        """The pixels of a mask that the edge of a polygon goes through, give or take one."""
        rows, columns = mask.mask.shape
        passed = np.zeros_like(mask.mask)
        for ring in (ring for region in self.regions for ring in region.rings):
            for x, y in _steps(_clipped(ring / mask.pixel - 0.5, (columns, rows))):
                seen = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
                passed[y[seen], x[seen]] = True
        return passed


def _window(region: Region, mask: TissueMask) -> tuple[int, int, int, int]:
    """The part of a mask that a region may reach: left, top, right and bottom, mask pixels."""
    width, height = mask.pixel
    rows, columns = mask.mask.shape
    x0, y0, x1, y1 = region.box
    left, right = (min(max(edge, 0), columns) for edge in (math.floor(x0 / width), math.ceil(x1 / width)))
    top, bottom = (min(max(edge, 0), rows) for edge in (math.floor(y0 / height), math.ceil(y1 / height)))
    return left, top, right, bottom


def _steps(edges: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Columns and rows of points along edges (M, 4), at most a pixel apart, some edges at a time.

    Raises:
        AnnotationError: the edges are too long together.
    """
    counts = np.ceil(np.abs(edges[:, 2:] - edges[:, :2]).max(axis=1, initial=0)).astype(np.int64) + 1
    total = counts.cumsum()
    if len(total) and total[-1] > MOST_CROSSINGS:
        message = f"a region of interest with an outline of {len(edges)} corners is too complex; simplify it"
        raise AnnotationError(message)
    for some in np.split(np.arange(len(edges)), np.searchsorted(total, np.arange(AT_ONCE, counts.sum(), AT_ONCE))):
        edge = np.repeat(some, counts[some])
        step = np.arange(len(edge)) - np.repeat(counts[some].cumsum() - counts[some], counts[some])
        share = (step / np.maximum(counts[edge] - 1, 1))[:, None]
        x, y = np.rint(edges[edge, :2] + share * (edges[edge, 2:] - edges[edge, :2])).astype(np.int64).T
        yield x, y


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
    areas = read_areas(path)
    if not areas.regions:
        message = f"{path}: holds no annotation with an area; draw one in QuPath and export it as GeoJSON"
        raise AnnotationError(message)
    return Roi(regions=tuple(region.moved(*origin) for region in areas.regions), left_out=areas.left_out)

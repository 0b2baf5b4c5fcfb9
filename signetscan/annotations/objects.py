"""The content of an annotation file of any format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.outlines import box_around, holds

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.annotations.left_out import LeftOut
    from signetscan.boxes import Box, Float

POSITIVE_REGION, NORMAL_REGION, REVIEWED_REGION = "Positive region", "Normal region", "Reviewed region"
"""Class names, in upper or lower case, of annotations around the parts of a slide that were annotated: with signet ring
cells, and without; and of those that were looked through, either way."""

LARGEST_COORDINATE = 1e9
"""Largest coordinate that is read, pixels: no slide is so large, and areas stay far from overflow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """An area of a slide, most often one that was annotated as a whole."""

    rings: tuple[NDArray[np.float64], ...]
    """Each (K, 2), corners in order, closed or not. A point is inside if an odd number of rings contains it, which
    covers holes and regions of several pieces."""
    normal: bool
    """Whether the region is declared to have no cell at all."""

    @property
    def box(self) -> Box:
        """The box around the region."""
        return box_around(self.rings)

    @property
    def is_rectangle(self) -> bool:
        """Whether the region fills its box: it has one ring, which goes round the corners of the box."""
        if len(self.rings) > 1 or not 4 <= len(self.rings[0]) <= 5:
            return False
        first, second, third, fourth, *again = self.rings[0].tolist()
        x0, y0, x1, y1 = self.box
        goes_round = ([x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0], [x1, y0], [x1, y1])
        clockwise = [goes_round[start : start + 4] for start in range(4)]
        ring = (first, second, third, fourth)
        return again in ([], [first]) and (ring in clockwise or ring[::-1] in clockwise)

    def holds(self, points: NDArray[Float]) -> NDArray[np.bool_]:
        """Which points (N, 2) are inside, (N,): a ray to the right crosses the rings an odd number of times.

        Edges are half open, as pixels are: a point on the border of two adjoining rectangles is in only one of them.

        Raises:
            AnnotationError: the outline is too complex.
        """
        return holds(self.rings, np.asarray(points, np.float64))

    def moved(self, dx: float, dy: float) -> Region:
        """The same region in a frame whose origin lies at (-dx, -dy)."""
        return Region(rings=tuple(ring + (dx, dy) for ring in self.rings), normal=self.normal)


def in_any(regions: Sequence[Region], points: NDArray[Float]) -> NDArray[np.bool_]:
    """Which points (N, 2) lie in any of the regions, (N,).

    Raises:
        AnnotationError: an outline is too complex.
    """
    inside = np.zeros(len(points), np.bool_)
    order = points[:, 0].argsort()
    x = points[order, 0]
    for region in regions:
        x0, y0, x1, y1 = region.box
        near = order[np.searchsorted(x, x0) : np.searchsorted(x, x1, side="right")]
        near = near[(points[near, 1] >= y0) & (points[near, 1] <= y1) & ~inside[near]]
        inside[near] = region.holds(points[near])
    return inside


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotations:
    """The objects of one image or slide, as in the file."""

    boxes: NDArray[np.float64]
    """(N, 4), x0, y0, x1, y1, pixels; not yet checked against the image. A point is a box of no size."""
    names: tuple[str, ...]
    """Class name of each object; empty for none."""
    scores: NDArray[np.float64]
    """(N,), score of each object, unchecked; nan for none."""
    kinds: tuple[str, ...]
    """QuPath's type of each object: annotation, detection or cell; empty in files of other formats."""
    regions: tuple[Region, ...] = ()
    """Parts that were annotated as a whole; they are not among the objects."""
    polygons: dict[int, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)
    """The rings of annotations that may be areas and are no rectangles, by the index of the object."""
    left_out: tuple[LeftOut, ...] = ()
    """What the parser left out, one entry for each reason."""
    split: int = 0
    """Number of objects of several distant polygons in the file, each of which became an object of its own."""
    image_size: tuple[int, int] | None = None
    """Width and height of the image on which they were drawn, pixels; None if the file does not say."""

    def __len__(self) -> int:
        return len(self.boxes)

    def region(self, index: int, *, normal: bool = False) -> Region:
        """An object as a region: its polygon if that was kept, otherwise its box."""
        rings = self.polygons.get(index) or (rectangle_ring(self.boxes[index]),)
        return Region(rings=rings, normal=normal)

    def select(self, which: NDArray[np.bool_]) -> Annotations:
        """The objects that a mask (N,) selects, and all regions."""
        index_of = np.cumsum(which) - 1  # index of each selected object among the selected ones
        return replace(
            self,
            boxes=self.boxes[which],
            names=tuple(name for name, kept in zip(self.names, which, strict=True) if kept),
            scores=self.scores[which],
            kinds=tuple(kind for kind, kept in zip(self.kinds, which, strict=True) if kept),
            polygons={int(index_of[index]): rings for index, rings in self.polygons.items() if which[index]},
        )

    def moved(self, dx: float, dy: float) -> Annotations:
        """The same objects in a frame whose origin lies at (-dx, -dy)."""
        return replace(
            self,
            boxes=self.boxes + (dx, dy, dx, dy),
            regions=tuple(region.moved(dx, dy) for region in self.regions),
            polygons={index: tuple(ring + (dx, dy) for ring in rings) for index, rings in self.polygons.items()},
        )


def joined(parts: Sequence[Annotations]) -> Annotations:
    """The objects of several files in one frame, in their order; of one file, the same."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    return Annotations(
        boxes=np.concatenate([part.boxes for part in parts]),
        names=tuple(name for part in parts for name in part.names),
        scores=np.concatenate([part.scores for part in parts]),
        kinds=tuple(kind for part in parts for kind in part.kinds),
        regions=tuple(region for part in parts for region in part.regions),
        polygons={
            start + index: rings
            for start, part in zip(starts[:-1], parts, strict=True)
            for index, rings in part.polygons.items()
        },
        left_out=tuple(reason for part in parts for reason in part.left_out),
        split=sum(part.split for part in parts),
        image_size=next((part.image_size for part in parts if part.image_size is not None), None),
    )


def rectangle_ring(box: NDArray[Float]) -> NDArray[np.float64]:
    """The corners (4, 2) of a box (4,), in order."""
    x0, y0, x1, y1 = box.tolist()
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def make_annotations(
    boxes: Sequence[Sequence[float]] | array[float],
    names: Sequence[str],
    scores: Sequence[float],
    kinds: Sequence[str] | None = None,
    *,
    regions: Sequence[Region] = (),
    polygons: dict[int, tuple[NDArray[np.float64], ...]] | None = None,
    left_out: Sequence[LeftOut] = (),
    split: int = 0,
) -> Annotations:
    """Annotations from the lists of a parser; boxes may be a flat array of edges."""
    return Annotations(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        names=tuple(names),
        scores=np.array(scores, np.float64),
        kinds=tuple("" for _ in names) if kinds is None else tuple(kinds),
        regions=tuple(regions),
        polygons=polygons or {},
        left_out=tuple(left_out),
        split=split,
    )

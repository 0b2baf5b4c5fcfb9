"""What people's marks mean, by QuPath's classes: the one rule for training, corrections, evaluation and the viewer.

| class | object | meaning |
|---|---|---|
| `Ignore*`, or any that begins with `Ignore` | of a cell's size, or with a score | rejected: it is no cell |
| the same | an annotation larger than any cell, without a score | an ignored area: what lies in it does not count |
| `Rejected` | of any size | rejected |
| `Positive region`, `Region*`, `Region`, `ROI` | an annotation | a region that was looked through |
| `Normal region`, `Normal` | an annotation | a region that holds no cell |
| none | an annotation | see `Unclassified` |
| any other | of any size | a cell |

Of a derived class any part may say that an object is rejected or ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.objects import NORMAL_REGION, POSITIVE_REGION, Annotations, Region, rectangle_ring
from signetscan.boxes import centres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Float

    Mask = NDArray[np.bool_]

IGNORED_CLASS = "Ignore*"
"""QuPath's own class for what does not count."""
IGNORED_BEGINNING = "ignore"
REJECTED_NAME = "rejected"
POSITIVE_NAMES = frozenset({POSITIVE_REGION.casefold(), "region", "region*", "roi"})
"""Classes of annotations around a part that was looked through; `Region*` is one of QuPath's own."""
NORMAL_NAMES = frozenset({NORMAL_REGION.casefold(), "normal"})
"""The same around a part that holds no cell."""

MAX_CELL_UM = 100.0
"""No cell is wider than this: what is larger is an area."""


class Meaning(IntEnum):
    """What an object stands for."""

    CELL = 0
    """A cell of the object's class, or of none; a detection may still be one that nobody looked at."""
    REJECTED = 1
    """Somebody said that it is no cell."""
    IGNORED_AREA = 2
    """Nothing in it counts, neither as a cell nor as background."""
    IGNORED = 3
    """A cell or a rejected object whose centre lies in an ignored area."""
    POSITIVE_REGION = 4
    """A part that was looked through as a whole."""
    NORMAL_REGION = 5
    """A part that is declared to hold no cell."""


class Unclassified(Enum):
    """What an annotation without a class is."""

    OBJECT = "object"
    """An object without a class."""
    REGION = "region"
    """A positive region."""
    REGION_IF_LARGE = "region if large"
    """A positive region if it is larger than any cell."""
    REGION_IF_AROUND = "region if around"
    """A positive region if the centre of an object that has a class lies in it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedObjects:
    """N objects of a file, each with its meaning."""

    annotations: Annotations
    """The objects; the regions that the file gives are in `regions`."""
    meaning: NDArray[np.int8]
    """(N,), of `Meaning`."""
    regions: tuple[Region, ...]
    """Positive and normal regions: first those that kept their polygons, then the others as rectangles."""
    ignored: tuple[Region, ...]
    """Ignored areas."""

    def having(self, *meanings: Meaning) -> Mask:
        """Which objects, (N,), have one of some meanings."""
        return np.isin(self.meaning, meanings)

    def count(self, meaning: Meaning) -> int:
        """How many objects have a meaning."""
        return int(self.having(meaning).sum())

    @property
    def cells(self) -> Annotations:
        """The cells that count, and the regions."""
        return replace(self.annotations.select(self.having(Meaning.CELL)), regions=self.regions)


def interpret(
    annotations: Annotations, pixel_um: tuple[float, float], unclassified: Unclassified = Unclassified.OBJECT
) -> MarkedObjects:
    """Say what each object means.

    Args:
        annotations: the objects of a file, in any frame.
        pixel_um: width and height of a pixel of this frame, µm.
        unclassified: what an annotation without a class is.
    """
    of_class = {name: meaning_of_class(name) for name in set(annotations.names)}
    meaning = np.array([of_class[name] for name in annotations.names], np.int8)
    drawn = np.array([kind == "annotation" for kind in annotations.kinds], np.bool_)
    large = is_large(annotations.boxes, pixel_um)
    # Only annotations are areas: a detection of the class Normal is an object of that class.
    meaning[~drawn & np.isin(meaning, (Meaning.POSITIVE_REGION, Meaning.NORMAL_REGION))] = Meaning.CELL
    is_area = drawn & large & np.isnan(annotations.scores)
    meaning[(meaning == Meaning.IGNORED_AREA) & ~is_area] = Meaning.REJECTED
    unnamed = drawn & np.array([not name for name in annotations.names], np.bool_)
    meaning[_regions_without_class(annotations, meaning, unnamed, large, unclassified)] = Meaning.POSITIVE_REGION

    ignored = tuple(annotations.region(index) for index in np.flatnonzero(meaning == Meaning.IGNORED_AREA).tolist())
    counts = np.isin(meaning, (Meaning.CELL, Meaning.REJECTED))
    meaning[counts & in_any(ignored, centres(annotations.boxes))] = Meaning.IGNORED
    rectangles = [
        rectangle(annotations.boxes[index], normal=bool(meaning[index] == Meaning.NORMAL_REGION))
        for index in np.flatnonzero(np.isin(meaning, (Meaning.POSITIVE_REGION, Meaning.NORMAL_REGION))).tolist()
    ]
    return MarkedObjects(
        annotations=annotations, meaning=meaning, regions=(*annotations.regions, *rectangles), ignored=ignored
    )


def is_large(boxes: NDArray[np.float64], pixel_um: tuple[float, float]) -> Mask:
    """Which boxes (N, 4) are larger than any cell, (N,)."""
    return np.asarray(((boxes[:, 2:] - boxes[:, :2]) * pixel_um > MAX_CELL_UM).any(axis=1))


def in_any(regions: Sequence[Region], points: NDArray[Float]) -> Mask:
    """Which points (N, 2) lie in at least one of some regions, (N,)."""
    inside = np.zeros(len(points), np.bool_)
    for region in regions:
        inside |= region.holds(points)
    return inside


def rectangle(box: NDArray[Float], *, normal: bool = False) -> Region:
    """A region that fills a box, (4,)."""
    return Region(rings=(rectangle_ring(box),), normal=normal)


def meaning_of_class(name: str) -> Meaning:
    """What a class says of an object that may be of any size and kind."""
    folded = name.casefold()
    if folded in POSITIVE_NAMES:
        return Meaning.POSITIVE_REGION
    if folded in NORMAL_NAMES:
        return Meaning.NORMAL_REGION
    parts = folded.split(": ")  # of a derived class
    if REJECTED_NAME in parts:
        return Meaning.REJECTED
    return Meaning.IGNORED_AREA if any(part.startswith(IGNORED_BEGINNING) for part in parts) else Meaning.CELL


def _regions_without_class(
    annotations: Annotations, meaning: NDArray[np.int8], unnamed: Mask, large: Mask, unclassified: Unclassified
) -> Mask:
    """Which annotations without a class are regions, (N,)."""
    match unclassified:
        case Unclassified.OBJECT:
            return np.zeros(len(unnamed), np.bool_)
        case Unclassified.REGION:
            return unnamed
        case Unclassified.REGION_IF_LARGE:
            return unnamed & large
        case Unclassified.REGION_IF_AROUND:
            named = np.array([bool(name) for name in annotations.names], np.bool_)
            inner = centres(annotations.boxes[named & np.isin(meaning, (Meaning.CELL, Meaning.REJECTED))])
            around = [
                index
                for index in np.flatnonzero(unnamed).tolist()
                if rectangle(annotations.boxes[index]).holds(inner).any()
            ]
            return np.isin(np.arange(len(unnamed)), around)

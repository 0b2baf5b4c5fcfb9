"""The meaning of marks, by QuPath's classes: the one rule for training, corrections, evaluation and the viewer.

| class | object | meaning |
|---|---|---|
| `Ignore*`, or any that begins with `Ignore` | of a cell's size, or with a score | rejected: it is no cell |
| the same | an annotation larger than any cell, without a score | an ignored area: objects in it do not count |
| `Rejected` | of any size | rejected |
| `Positive region`, `Region*`, `Region`, `ROI` | an annotation | a region in which all cells were annotated |
| `Normal region`, `Normal` | an annotation | a region without cells |
| `Reviewed region`, `Reviewed` | an annotation | a region that was looked through, with or without cells |
| `Tumor`, `Stroma`, `Immune cells`, `Necrosis`, `Other` | as an ignored area | tissue: it says nothing about cells |
| none | an annotation | see `Unclassified` |
| any other | of any size | a cell |

Any part of a derived class can make an object rejected or ignored.

Where tissue is to be segmented, annotations outline it; `interpret_tissue` says what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.objects import (
    NORMAL_REGION,
    POSITIVE_REGION,
    REVIEWED_REGION,
    Annotations,
    Region,
    in_any,
)
from signetscan.boxes import centres
from signetscan.class_names import is_ignored, is_rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

IGNORED_CLASS = "Ignore*"
"""QuPath's built-in class for objects that do not count."""
POSITIVE_NAMES = frozenset({POSITIVE_REGION.casefold(), "region", "region*", "roi"})
"""Classes of annotations around an annotated part; `Region*` is built into QuPath."""
NORMAL_NAMES = frozenset({NORMAL_REGION.casefold(), "normal"})
"""Classes of annotations around a part without cells."""
REVIEWED_NAMES = frozenset({REVIEWED_REGION.casefold(), "reviewed"})
"""Classes of annotations around a part in which somebody looked at everything. A detection that is left there as the
model wrote it is still open, unlike one in a positive region, where it counts as a cell."""
TISSUE_NAMES = frozenset({"tumor", "stroma", "immune cells", "necrosis", "other"})
"""Classes of tissue that are built into QuPath."""

MAX_CELL_UM = 100.0
"""Largest side of a cell, µm; a larger object is an area."""


class Meaning(IntEnum):
    """The meaning of an object."""

    CELL = 0
    """A cell, with or without a class. Nobody may have looked at it, if it is a detection."""
    REJECTED = 1
    """No cell, as a person decided."""
    IGNORED_AREA = 2
    """An area in which nothing counts, neither as a cell nor as background."""
    IGNORED = 3
    """A cell or a rejected object whose centre lies in an ignored area."""
    POSITIVE_REGION = 4
    """A part that was annotated as a whole."""
    NORMAL_REGION = 5
    """A part that is declared to have no cell."""
    REVIEWED_REGION = 6
    """A part that was looked through, and may have cells or none."""
    UNDECIDED = 7
    """A detection about which nobody decided, in a file in which people decided about others."""
    TISSUE = 8
    """An area of tissue, which says nothing about the cells in it."""


AREAS = (Meaning.IGNORED_AREA, Meaning.POSITIVE_REGION, Meaning.NORMAL_REGION, Meaning.REVIEWED_REGION)
"""Meanings of annotations that are areas."""
PEOPLE = "annotation"
"""Kind of the objects that people draw, or make of detections that they confirm. Programs make those of other kinds."""


class Unclassified(Enum):
    """The meaning of an annotation without a class."""

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
    """The objects of the file, without those that its parser made regions of."""
    meaning: NDArray[np.int8]
    """(N,), the `Meaning` of each object."""
    regions: tuple[Region, ...]
    """Positive and normal regions: first those that the parser made, then those of other classes."""
    ignored: tuple[Region, ...]
    """Ignored areas."""
    reviewed: tuple[Region, ...] = ()
    """Reviewed regions."""

    def having(self, *meanings: Meaning) -> Mask:
        """Which objects have one of the meanings, (N,)."""
        return np.isin(self.meaning, meanings)

    def count(self, meaning: Meaning) -> int:
        """Number of objects with a meaning."""
        return int(self.having(meaning).sum())

    def positive_regions(self, which: Mask) -> tuple[Region, ...]:
        """Positive regions: those that the parser made, and of the objects those that a mask (N,) selects."""
        made = tuple(region for region in self.annotations.regions if not region.normal)
        return made + _areas(self.annotations, which & self.having(Meaning.POSITIVE_REGION))

    @property
    def cells(self) -> Annotations:
        """The cells that count, and the regions."""
        return replace(self.annotations.select(self.having(Meaning.CELL)), regions=self.regions)


def interpret(
    annotations: Annotations, pixel_um: tuple[float, float], unclassified: Unclassified = Unclassified.OBJECT
) -> MarkedObjects:
    """Decide the meaning of each object.

    Args:
        annotations: the objects of a file, in any frame.
        pixel_um: width and height of a pixel of this frame, µm.
        unclassified: the meaning of annotations without a class.
    """
    class_meanings = {name: meaning_of_class(name) for name in set(annotations.names)}
    meaning = np.array([class_meanings[name] for name in annotations.names], np.int8)
    drawn = by_people(annotations)
    large = is_large(annotations.boxes, pixel_um)
    # Only annotations are areas: a detection of the class Normal is an object of that class.
    regions = (Meaning.POSITIVE_REGION, Meaning.NORMAL_REGION, Meaning.REVIEWED_REGION)
    meaning[~drawn & np.isin(meaning, regions)] = Meaning.CELL
    is_area = drawn & large & np.isnan(annotations.scores)
    meaning[(meaning == Meaning.IGNORED_AREA) & ~is_area] = Meaning.REJECTED
    meaning[(meaning == Meaning.TISSUE) & ~is_area] = Meaning.CELL
    unnamed = drawn & np.array([not name for name in annotations.names], np.bool_)
    meaning[_regions_without_class(annotations, meaning, unnamed, large, unclassified)] = Meaning.POSITIVE_REGION

    # Last, when all cells are known: a region in an ignored area stays a region.
    ignored = _areas(annotations, meaning == Meaning.IGNORED_AREA)
    counts = np.isin(meaning, (Meaning.CELL, Meaning.REJECTED))
    meaning[counts & in_any(ignored, centres(annotations.boxes))] = Meaning.IGNORED
    normal = meaning == Meaning.NORMAL_REGION
    return MarkedObjects(
        annotations=annotations,
        meaning=meaning,
        regions=(*annotations.regions, *_areas(annotations, normal | (meaning == Meaning.POSITIVE_REGION), normal)),
        ignored=ignored,
        reviewed=_areas(annotations, meaning == Meaning.REVIEWED_REGION),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedTissue:
    """The areas that people drew on a slide, by what they say of its tissue."""

    outlines: tuple[Region, ...]
    """What is of some class."""
    names: tuple[str, ...]
    """The class of each of them."""
    regions: tuple[Region, ...]
    """Parts in which everything was outlined; of a normal one, nothing is."""
    ignored: tuple[Region, ...]
    """Parts of which nothing is said."""
    rejected: int
    """Number of rejected areas, which are not of the class that somebody took them for."""


def interpret_tissue(areas: Sequence[Region], names: Sequence[str], chosen: Collection[str] = ()) -> MarkedTissue:
    """What areas mean where tissue is to be segmented: as for cells, but for those that outline a class of tissue.

    Areas of any size are ignored or rejected. One without a class, or in a `Reviewed region`, was looked through.

    Args:
        areas: the areas, in any frame.
        names: the class of each.
        chosen: names, in any case, that are classes to learn, whatever else they mean.
    """
    wanted = {name.casefold() for name in chosen}
    outlines: list[tuple[Region, str]] = []
    regions: list[Region] = []
    ignored: list[Region] = []
    rejected = 0
    for area, name in zip(areas, names, strict=True):
        meaning = Meaning.CELL if name.casefold() in wanted else meaning_of_class(name)
        if not name or meaning in (Meaning.POSITIVE_REGION, Meaning.REVIEWED_REGION):
            regions.append(area)
        elif meaning is Meaning.NORMAL_REGION:
            regions.append(replace(area, normal=True))
        elif meaning is Meaning.IGNORED_AREA:
            ignored.append(area)
        elif meaning is Meaning.REJECTED:
            rejected += 1
        else:
            outlines.append((area, name))
    return MarkedTissue(
        outlines=tuple(area for area, _ in outlines),
        names=tuple(name for _, name in outlines),
        regions=tuple(regions),
        ignored=tuple(ignored),
        rejected=rejected,
    )


def by_people(annotations: Annotations) -> Mask:
    """Which objects, (N,), a person drew or confirmed: those of QuPath's type annotation, whatever they measure.

    A measurement is no sign of a program: QuPath leaves them all out when it is asked to.
    """
    return np.array([kind == PEOPLE for kind in annotations.kinds], np.bool_)


def _areas(annotations: Annotations, which: Mask, normal: Mask | None = None) -> tuple[Region, ...]:
    """The objects of a mask (N,) as regions, which are normal where the other mask says so."""
    return tuple(
        annotations.region(index, normal=normal is not None and bool(normal[index]))
        for index in np.flatnonzero(which).tolist()
    )


def is_large(boxes: NDArray[np.float64], pixel_um: tuple[float, float]) -> Mask:
    """Which boxes (N, 4) are larger than any cell, (N,)."""
    return np.asarray(((boxes[:, 2:] - boxes[:, :2]) * pixel_um > MAX_CELL_UM).any(axis=1))


def meaning_of_class(name: str) -> Meaning:
    """The meaning of a class, before size and kind of the object are considered."""
    folded = name.casefold()
    if folded in POSITIVE_NAMES:
        return Meaning.POSITIVE_REGION
    if folded in NORMAL_NAMES:
        return Meaning.NORMAL_REGION
    if folded in REVIEWED_NAMES:
        return Meaning.REVIEWED_REGION
    if folded in TISSUE_NAMES:
        return Meaning.TISSUE
    if is_rejected(name):
        return Meaning.REJECTED
    return Meaning.IGNORED_AREA if is_ignored(name) else Meaning.CELL


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
                index for index in np.flatnonzero(unnamed).tolist() if annotations.region(index).holds(inner).any()
            ]
            return np.isin(np.arange(len(unnamed)), around)

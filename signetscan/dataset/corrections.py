"""What a reviewer's corrections of a slide say: which objects are cells, which are none, and where nobody decided.

Detections come from a model, and stay in the file whether or not somebody looked at them; whatever else is in it a
person drew, or made of a detection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations, Meaning, Unclassified, interpret
from signetscan.annotations.marks import MAX_CELL_UM, is_large
from signetscan.boxes import centre_in_any
from signetscan.dataset.digestpath import CLASS_NAME
from signetscan.dataset.qupath import boxes_around
from signetscan.dataset.slides import region_order
from signetscan.errors import AnnotationError
from signetscan.scan.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from signetscan.annotations import Region
    from signetscan.dataset.remarks import Remarks

    Boxes = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SAME_CELL_IOU = 0.5
"""Least IoU of a detection with an annotation that takes its place."""
DECIMALS = 2
"""Objects of one class whose boxes agree to so many decimals of a pixel are one object, found in two files."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corrections:
    """A slide's objects, sorted by what a person said of them; level-0 pixels."""

    cells: Boxes
    """(N, 4)."""
    names: tuple[str, ...]
    """Class of each cell."""
    rejected: Boxes
    """(R, 4), what is no cell."""
    unsure: Boxes
    """(U, 4), what may be a cell or not."""
    regions: tuple[Region, ...]
    """Parts that were looked through as a whole, from left to right."""
    ignored: tuple[Region, ...]
    """Areas in which nothing counts."""


def pooled(parts: Sequence[Annotations]) -> Annotations:
    """The objects and regions of several files of one slide, each once."""
    boxes = np.concatenate([part.boxes for part in parts])
    names = [name for part in parts for name in part.names]
    kinds = [kind for part in parts for kind in part.kinds]
    scores = np.concatenate([part.scores for part in parts])
    first: dict[tuple[object, ...], int] = {}
    for index, (box, name, kind) in enumerate(zip(boxes.round(DECIMALS).tolist(), names, kinds, strict=True)):
        first.setdefault((*box, name.casefold(), kind), index)
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    polygons = {
        start + index: rings
        for start, part in zip(starts, parts, strict=False)
        for index, rings in part.polygons.items()
    }
    whole = Annotations(boxes=boxes, names=tuple(names), scores=scores, kinds=tuple(kinds), polygons=polygons)
    once = whole.select(np.isin(np.arange(len(boxes)), list(first.values())))
    return replace(once, regions=tuple(region for part in parts for region in part.regions))


def sort_corrections(
    read: Annotations,
    pixel_um: tuple[float, float],
    remarks: Remarks,
    *,
    classes: Sequence[str] = (),
    detections: bool | None = None,
) -> Corrections:
    """Decide what each object is.

    What the classes mean is told in `signetscan.annotations.marks`. Beyond that:

    - A detection is no cell if its centre lies in a rejected object that was drawn, or if it has the place of one that
      was a detection.
    - A detection of the place of an annotated cell is that cell.
    - A detection with a score is a cell if it lies in a positive region, which was looked through as a whole; or,
      where there is no such region, if the file has no annotated cell. `detections` says otherwise.
    - A detection in a normal region is never a cell.
    - An annotation without a class is a region if it is larger than any cell. Else it is a cell, of the only class
      there is.

    Args:
        read: the objects of a slide's files, level-0 pixels.
        pixel_um: width and height of a level-0 pixel, µm.
        remarks: takes what was left out, and what was taken for granted.
        classes: names of the classes that are cells, in any case; all by default.
        detections: whether all detections with a score are cells, or none of them.

    Raises:
        AnnotationError: there is no object of a class that was named.
    """
    marked = interpret(read, pixel_um, Unclassified.REGION_IF_LARGE)
    unnamed = _mask(not name for name in read.names)
    drawn = unnamed & marked.having(Meaning.POSITIVE_REGION)
    remarks.add("Annotations without a class, larger than a cell, taken for regions", "", int(drawn.sum()))
    remarks.add("Objects in ignored areas left out", "", marked.count(Meaning.IGNORED))
    chosen = read.select(marked.having(Meaning.CELL, Meaning.REJECTED))
    rejected = (marked.meaning == Meaning.REJECTED)[marked.having(Meaning.CELL, Meaning.REJECTED)]
    large = is_large(chosen.boxes, pixel_um)
    solid = np.asarray((chosen.boxes[:, 2:] > chosen.boxes[:, :2]).all(axis=1))
    _count(remarks, f"Objects left out, larger than {MAX_CELL_UM:g} µm and so no cells", chosen, ~rejected & large)
    _count(remarks, "Objects left out, without an area, such as points", chosen, ~solid)
    no_cells = chosen.select(rejected & solid)
    candidates = _of_classes(chosen.select(~rejected & ~large & solid), classes, remarks)
    regions = tuple(sorted(marked.regions, key=region_order))
    decided = _decided(candidates, no_cells, regions, remarks, detections=detections)
    return replace(decided, ignored=marked.ignored)


def _decided(
    candidates: Annotations,
    no_cells: Annotations,
    regions: tuple[Region, ...],
    remarks: Remarks,
    *,
    detections: bool | None,
) -> Corrections:
    """Which of the objects that may be cells are."""
    raw = _mask(kind == "detection" for kind in candidates.kinds) & np.isfinite(candidates.scores)
    in_normal = inside(candidates.boxes, [region for region in regions if region.normal])
    refused = raw & (in_normal | _rejected(candidates.boxes, no_cells))
    twice = raw & ~refused & _overlaps(candidates.boxes, candidates.boxes[~raw])
    positives = [region for region in regions if not region.normal]
    if detections is not None:
        counts = np.full(len(raw), detections)
    elif positives:
        counts = inside(candidates.boxes, positives)
    else:
        counts = np.full(len(raw), bool(raw.all()))
    accepted, unsure = raw & ~refused & ~twice & counts, raw & ~refused & ~twice & ~counts
    _count(remarks, "Detections taken for no cells: rejected, or in a normal region", candidates, refused)
    _count(remarks, "Detections left out, in place of which a cell is annotated", candidates, twice)
    _count(remarks, "Detections taken for cells", candidates, accepted)
    _count(remarks, "Detections left out: nobody said that they are cells", candidates, unsure)
    cells = candidates.select(~raw | accepted)
    return Corrections(
        cells=cells.boxes,
        names=cells.names,
        rejected=np.concatenate([no_cells.boxes, candidates.boxes[refused]]),
        unsure=candidates.boxes[unsure],
        regions=regions,
        ignored=(),
    )


def _rejected(boxes: Boxes, no_cells: Annotations) -> Mask:
    """Which boxes are no cells by a rejected object: one with a score, which was a detection, stands for its own place.

    A drawn one stands for all whose centre lies in it. That would be too much of a detection: a cell is often found
    twice, and the worse of its boxes rejected.
    """
    scored = np.isfinite(no_cells.scores)
    return _overlaps(boxes, no_cells.boxes[scored]) | centre_in_any(boxes, no_cells.boxes[~scored])


def _of_classes(candidates: Annotations, wanted: Sequence[str], remarks: Remarks) -> Annotations:
    """The objects of the classes that are cells. Those without a class are of the only one, if there is only one."""
    there = {name.casefold(): name for name in candidates.names if name}
    chosen = {name.strip().casefold() for name in wanted} or set(there)
    for missing in sorted(chosen - there.keys()):
        message = (
            f"no object of the class {missing!r}; classes there are: {', '.join(sorted(there.values())) or 'none'}"
        )
        raise AnnotationError(message)
    keep = _mask(name.casefold() in chosen for name in candidates.names)
    unnamed = _mask(not name for name in candidates.names)
    _count(remarks, "Objects of other classes left out", candidates, ~keep & ~unnamed)
    if len(chosen) > 1:
        remarks.add(
            f"Objects without a class left out, because there are {len(chosen)}", "no class", int(unnamed.sum())
        )
        return candidates.select(keep)
    usual = next((there[folded] for folded in chosen), CLASS_NAME)
    remarks.add("Objects without a class, taken for the only class", usual, int(unnamed.sum()))
    named = replace(candidates, names=tuple(name or usual for name in candidates.names))
    return named.select(keep | unnamed)


def inside(boxes: Boxes, regions: Sequence[Region]) -> Mask:
    """Which boxes have their centre in the rectangle around any of the regions."""
    return centre_in_any(boxes, boxes_around(regions))


def _overlaps(boxes: Boxes, others: Boxes) -> Mask:
    """Which boxes have an IoU above `SAME_CELL_IOU` with any of the others."""
    held = np.zeros(len(boxes), np.bool_)
    if not len(boxes) or not len(others):
        return held
    both = np.concatenate([boxes, others])
    near = Neighbours.of(both, np.zeros(len(both), np.int64), SAME_CELL_IOU)
    for some, _ in near.overlapping(near.between(np.arange(len(boxes)), np.arange(len(boxes), len(both)))):
        held[some] = True
    return held


def _mask(values: Iterable[bool]) -> Mask:
    return np.fromiter(values, np.bool_)


def _count(remarks: Remarks, what: str, objects: Annotations, which: Mask) -> None:
    """Note objects by their classes."""
    for index in np.flatnonzero(which).tolist():
        remarks.add(what, objects.names[index] or "no class")

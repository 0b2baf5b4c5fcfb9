"""A reviewer's corrections of a slide: which objects are cells, which are not, and which were left undecided.

Detections come from a model, and stay in the file whether or not anybody looked at them. A person drew all other
objects, or made them of detections.
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
"""Least IoU of a detection and an annotation of the same cell."""
DECIMALS = 2
"""Decimals of a pixel to which boxes of the same object in two files agree, however they were rounded."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corrections:
    """A slide's objects, sorted by what a person decided about them; level-0 pixels."""

    cells: Boxes
    """(N, 4), the cells."""
    names: tuple[str, ...]
    """Class of each cell."""
    rejected: Boxes
    """(R, 4), objects that are no cells."""
    unsure: Boxes
    """(U, 4), detections about which nobody decided."""
    regions: tuple[Region, ...]
    """Annotated parts of the slide, from left to right."""
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
    # Polygons are kept by the index of their object, which shifts by the number of objects in earlier files.
    starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    polygons = {
        start + index: rings
        for start, part in zip(starts, parts, strict=False)
        for index, rings in part.polygons.items()
    }
    everything = Annotations(boxes=boxes, names=tuple(names), scores=scores, kinds=tuple(kinds), polygons=polygons)
    distinct = everything.select(np.isin(np.arange(len(boxes)), list(first.values())))
    return replace(distinct, regions=tuple(region for part in parts for region in part.regions))


def sort_corrections(
    objects: Annotations,
    pixel_um: tuple[float, float],
    remarks: Remarks,
    *,
    classes: Sequence[str] = (),
    detections: bool | None = None,
) -> Corrections:
    """Decide what each object is.

    `signetscan.annotations.marks` defines the meaning of classes. Beyond that:

    - A detection is no cell if its centre lies in a rejected object that was drawn, or if it overlaps a rejected
      detection.
    - A detection that overlaps an annotated cell is that cell.
    - A detection with a score is a cell if it lies in a positive region, of which all was looked at; or, if there is no
      such region, if the files have no annotated cell. `detections` overrides this.
    - A detection in a normal region is never a cell.
    - An annotation without a class is a region if it is larger than any cell. Otherwise it is a cell of the only class.

    Args:
        objects: the objects of a slide's files, level-0 pixels.
        pixel_um: width and height of a level-0 pixel, µm.
        remarks: collects what was left out and what was assumed.
        classes: names of the classes that are cells, in upper or lower case; all by default.
        detections: whether all detections with a score are cells, or none.

    Raises:
        AnnotationError: a named class has no object.
    """
    marked = interpret(objects, pixel_um, Unclassified.REGION_IF_LARGE)
    unnamed_regions = _mask(not name for name in objects.names) & marked.having(Meaning.POSITIVE_REGION)
    remarks.add("Annotations without a class, larger than a cell, taken for regions", "", int(unnamed_regions.sum()))
    remarks.add("Objects in ignored areas left out", "", marked.count(Meaning.IGNORED))
    cell_or_rejected = marked.having(Meaning.CELL, Meaning.REJECTED)
    chosen = objects.select(cell_or_rejected)
    rejected = (marked.meaning == Meaning.REJECTED)[cell_or_rejected]
    large = is_large(chosen.boxes, pixel_um)
    solid = np.asarray((chosen.boxes[:, 2:] > chosen.boxes[:, :2]).all(axis=1))
    _remark(remarks, f"Objects left out, larger than {MAX_CELL_UM:g} µm and so no cells", chosen, ~rejected & large)
    _remark(remarks, "Objects left out, without an area, such as points", chosen, ~solid)
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
    """Decide which of the candidates are cells."""
    # Detections as the model wrote them: without a score, a person has made or changed the object.
    raw = _mask(kind == "detection" for kind in candidates.kinds) & np.isfinite(candidates.scores)
    in_normal = inside(candidates.boxes, [region for region in regions if region.normal])
    refused = raw & (in_normal | _rejected(candidates.boxes, no_cells))
    doubles = raw & ~refused & _overlaps(candidates.boxes, candidates.boxes[~raw])
    positives = [region for region in regions if not region.normal]
    if detections is not None:
        counts = np.full(len(raw), detections)
    elif positives:
        counts = inside(candidates.boxes, positives)
    else:
        counts = np.full(len(raw), bool(raw.all()))
    undecided = raw & ~refused & ~doubles
    accepted, unsure = undecided & counts, undecided & ~counts
    _remark(remarks, "Detections that are no cells: rejected, or in a normal region", candidates, refused)
    _remark(remarks, "Detections left out, because the same cell is annotated", candidates, doubles)
    _remark(remarks, "Detections taken for cells", candidates, accepted)
    _remark(remarks, "Detections left out, because nobody said that they are cells", candidates, unsure)
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
    """Which boxes a rejected object rejects.

    A drawn object rejects all boxes whose centre lies in it. A rejected detection, which has a score, rejects only
    boxes that overlap it: a cell is often detected twice, and the worse of the two rejected.
    """
    scored = np.isfinite(no_cells.scores)
    return _overlaps(boxes, no_cells.boxes[scored]) | centre_in_any(boxes, no_cells.boxes[~scored])


def _of_classes(candidates: Annotations, wanted: Sequence[str], remarks: Remarks) -> Annotations:
    """The objects of the classes that are cells. If there is only one class, objects without a class belong to it."""
    classes = {name.casefold(): name for name in candidates.names if name}
    chosen = {name.strip().casefold() for name in wanted} or set(classes)
    for missing in sorted(chosen - classes.keys()):
        message = f"no object of the class {missing!r}; the classes: {', '.join(sorted(classes.values())) or 'none'}"
        raise AnnotationError(message)
    keep = _mask(name.casefold() in chosen for name in candidates.names)
    unnamed = _mask(not name for name in candidates.names)
    _remark(remarks, "Objects of other classes left out", candidates, ~keep & ~unnamed)
    if len(chosen) > 1:
        remarks.add(
            f"Objects without a class left out, because there are {len(chosen)} classes", "no class", int(unnamed.sum())
        )
        return candidates.select(keep)
    only = next((classes[folded] for folded in chosen), CLASS_NAME)
    remarks.add("Objects without a class, taken for the only class", only, int(unnamed.sum()))
    named = replace(candidates, names=tuple(name or only for name in candidates.names))
    return named.select(keep | unnamed)


def inside(boxes: Boxes, regions: Sequence[Region]) -> Mask:
    """Which boxes have their centre in the rectangle around any of the regions."""
    return centre_in_any(boxes, boxes_around(regions))


def _overlaps(boxes: Boxes, others: Boxes) -> Mask:
    """Which boxes have an IoU above `SAME_CELL_IOU` with any of the others."""
    overlapping = np.zeros(len(boxes), np.bool_)
    if not len(boxes) or not len(others):
        return overlapping
    both = np.concatenate([boxes, others])
    neighbours = Neighbours.of(both, np.zeros(len(both), np.int64), SAME_CELL_IOU)
    pairs = neighbours.between(np.arange(len(boxes)), np.arange(len(boxes), len(both)))
    for indices, _ in neighbours.overlapping(pairs):
        overlapping[indices] = True
    return overlapping


def _mask(values: Iterable[bool]) -> Mask:
    return np.fromiter(values, np.bool_)


def _remark(remarks: Remarks, kind: str, objects: Annotations, which: Mask) -> None:
    """Remark on objects, counted by class."""
    for index in np.flatnonzero(which).tolist():
        remarks.add(kind, objects.names[index] or "no class")

"""A reviewer's corrections of a slide: which objects are cells, which are not, and which were left undecided.

Detections come from a model, and stay in the file whether or not anybody looked at them. A person drew annotations, or
made them of detections. QuPath's type of an object alone tells the two apart: measurements may be missing. What a file
does not say, nobody said: a detection that is not in it was not looked at, nor was the area around it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Meaning, Unclassified, interpret
from signetscan.annotations.marks import MAX_CELL_UM, by_people, is_large
from signetscan.annotations.objects import in_any, joined
from signetscan.boxes import centre_in_any, centres
from signetscan.dataset.digestpath import CLASS_NAME
from signetscan.dataset.slides import region_order
from signetscan.errors import AnnotationError
from signetscan.scan.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations, MarkedObjects, Region
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
    undecided: Boxes
    """(U, 4), detections about which nobody decided."""
    unfit: Boxes
    """(D, 4), what a person drew that may be a cell, but cannot be learnt: points, groups, other classes, disputes."""
    regions: tuple[Region, ...]
    """Positive and normal regions, from left to right."""
    reviewed: tuple[Region, ...]
    """Reviewed regions, from left to right."""
    ignored: tuple[Region, ...]
    """Areas in which nothing counts."""


def pooled(parts: Sequence[Annotations]) -> Annotations:
    """The objects and regions of several files of one slide, each once."""
    everything = joined(parts)
    first: dict[tuple[object, ...], int] = {}
    rows = zip(everything.boxes.round(DECIMALS).tolist(), everything.names, everything.kinds, strict=True)
    for index, (box, name, kind) in enumerate(rows):
        first.setdefault((*box, name.casefold(), kind), index)
    distinct = everything.select(np.isin(np.arange(len(everything)), list(first.values())))
    return replace(distinct, left_out=(), split=0)


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

    - An annotation is a cell. If the same box is also a rejected annotation, two people disagree: nothing is learnt.
    - A detection is no cell if its centre lies in a rejected object that was drawn, or if it overlaps a rejected
      detection.
    - A detection that overlaps an annotated cell is that cell.
    - A detection in a positive region, of which all was looked at, is a cell; elsewhere nobody decided about it.
      `detections` overrides this.
    - A detection in a normal region is never a cell.
    - An annotation without a class is a region if it is larger than any cell, but nobody said that detections in it are
      cells. Otherwise it is a cell of the only class.

    Args:
        objects: the objects of a slide's files, level-0 pixels.
        pixel_um: width and height of a level-0 pixel, µm.
        remarks: collects what was left out and what was assumed.
        classes: names of the classes that are cells, in upper or lower case; all by default.
        detections: whether all detections are cells, or none.

    Raises:
        AnnotationError: a named class has no object.
    """
    marked = interpret(objects, pixel_um, Unclassified.REGION_IF_LARGE)
    unnamed_regions = _mask(not name for name in objects.names) & marked.having(Meaning.POSITIVE_REGION)
    remarks.add("Annotations without a class, larger than a cell, taken for regions", "", int(unnamed_regions.sum()))
    remarks.add("Objects in ignored areas left out", "", marked.count(Meaning.IGNORED))
    cell_or_rejected = marked.having(Meaning.CELL, Meaning.REJECTED, Meaning.TISSUE)  # tissue is too large for a cell
    chosen = objects.select(cell_or_rejected)
    rejected = (marked.meaning == Meaning.REJECTED)[cell_or_rejected]
    large = is_large(chosen.boxes, pixel_um)
    solid = np.asarray((chosen.boxes[:, 2:] > chosen.boxes[:, :2]).all(axis=1))
    _remark(remarks, f"Objects left out, larger than {MAX_CELL_UM:g} µm and so no cells", chosen, ~rejected & large)
    _remark(remarks, "Objects left out, without an area, such as points", chosen, ~solid)
    no_cells = chosen.select(rejected & solid)
    possible = chosen.select(~rejected & ~large & solid)
    disputed = by_people(possible) & same_boxes(possible.boxes, no_cells.boxes[by_people(no_cells)])
    _remark(remarks, "Objects left out, which one person took for a cell and another rejected", possible, disputed)
    candidates, others = _of_classes(possible.select(~disputed), classes, remarks)
    # A person put points on cells, and drew around several at once.
    of_cells = _mask(name in candidates.names for name in chosen.names)
    unfit = chosen.select(~rejected & (~solid | (large & of_cells)))
    drawn = [part.boxes[by_people(part)] for part in (others, unfit, possible.select(disputed))]
    decided = _decided(candidates, no_cells, marked, ~unnamed_regions, remarks, detections=detections)
    return replace(decided, unfit=np.concatenate(drawn))


def _decided(
    candidates: Annotations,
    no_cells: Annotations,
    marked: MarkedObjects,
    has_name: Mask,
    remarks: Remarks,
    *,
    detections: bool | None,
) -> Corrections:
    """Decide which of the candidates are cells.

    Args:
        candidates: the objects that may be cells.
        no_cells: rejected objects.
        marked: all objects of the files, with the regions.
        has_name: which of all objects, (N,), have a class if they are regions.
        remarks: collects what was decided.
        detections: whether all detections are cells, or none.
    """
    raw = ~by_people(candidates)
    middle = centres(candidates.boxes)
    refused = raw & (in_any([region for region in marked.regions if region.normal], middle))
    refused |= raw & _rejected(candidates.boxes, no_cells)
    doubles = raw & ~refused & _overlaps(candidates.boxes, candidates.boxes[~raw])
    undecided = raw & ~refused & ~doubles
    if detections is None:
        counts = in_any(marked.positive_regions(has_name), middle)
        why = "because they were left in a positive region"
    else:
        counts, why = np.full(len(raw), detections), "as was asked"
    accepted, unsure = undecided & counts, undecided & ~counts
    _remark(remarks, "Annotations taken for cells, because a person drew or confirmed them", candidates, ~raw)
    _remark(remarks, "Detections that are no cells: rejected, or in a normal region", candidates, refused)
    _remark(remarks, "Detections left out, because the same cell is annotated", candidates, doubles)
    _remark(remarks, f"Detections taken for cells, {why}", candidates, accepted)
    _remark(remarks, "Detections left out, because nobody said that they are cells", candidates, unsure)
    cells = candidates.select(~raw | accepted)
    return Corrections(
        cells=cells.boxes,
        names=cells.names,
        rejected=np.concatenate([no_cells.boxes, candidates.boxes[refused]]),
        undecided=candidates.boxes[unsure],
        unfit=np.empty((0, 4)),
        regions=tuple(sorted(marked.regions, key=region_order)),
        reviewed=tuple(sorted(marked.reviewed, key=region_order)),
        ignored=marked.ignored,
    )


def _rejected(boxes: Boxes, no_cells: Annotations) -> Mask:
    """Which boxes a rejected object rejects.

    A drawn object rejects all boxes whose centre lies in it. A rejected detection rejects only boxes that overlap it: a
    cell is often detected twice, and the worse of the two rejected. An annotation with a score was made of a detection.
    """
    detected = ~by_people(no_cells) | np.isfinite(no_cells.scores)
    return _overlaps(boxes, no_cells.boxes[detected]) | centre_in_any(boxes, no_cells.boxes[~detected])


def same_boxes(boxes: Boxes, others: Boxes) -> Mask:
    """Which boxes (N, 4) are also among the others, (N,), to the last decimal of a file."""
    keys = {tuple(box) for box in others.round(DECIMALS).tolist()}
    return _mask(tuple(box) in keys for box in boxes.round(DECIMALS).tolist())


def _of_classes(candidates: Annotations, wanted: Sequence[str], remarks: Remarks) -> tuple[Annotations, Annotations]:
    """The objects of the classes that are cells, and the others.

    If there is only one class, objects without a class belong to it.
    """
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
        return candidates.select(keep), candidates.select(~keep)
    only = next((classes[folded] for folded in chosen), CLASS_NAME)
    remarks.add("Objects without a class, taken for the only class", only, int(unnamed.sum()))
    named = replace(candidates, names=tuple(name or only for name in candidates.names))
    return named.select(keep | unnamed), named.select(~keep & ~unnamed)


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

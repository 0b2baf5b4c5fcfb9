"""What a reader's corrections of a slide say: which objects are cells, which are none, and where nobody decided.

Detections come from a model, and stay in the file whether or not somebody looked at them; whatever else is in it a
person drew, or made of a detection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Annotations
from signetscan.boxes import centres
from signetscan.dataset.digestpath import CLASS_NAME
from signetscan.dataset.qupath import Area, areas_and_objects
from signetscan.errors import AnnotationError
from signetscan.scan.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from signetscan.dataset.notes import Notes

    Boxes = NDArray[np.float64]
    Mask = NDArray[np.bool_]

REJECTED = "rejected"
IGNORED = "ignore"
"""Classes, in small letters, of what is no cell: `Rejected`, and all that begin so, as QuPath's `Ignore*` does."""

MAX_CELL_UM = 100.0
"""No cell is wider than this: what is larger is an area."""
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
    areas: tuple[Area, ...]
    """Parts that were looked through as a whole, from left to right."""


def is_rejected(name: str) -> bool:
    """Whether a class says that an object is no cell; of a derived class any part may say so."""
    return any(part.startswith(IGNORED) or part == REJECTED for part in name.casefold().split(": "))


def pooled(parts: Sequence[Annotations]) -> Annotations:
    """The objects and regions of several files of one slide, each once."""
    boxes = np.concatenate([part.boxes for part in parts])
    names = [name for part in parts for name in part.names]
    kinds = [kind for part in parts for kind in part.kinds]
    scores = np.concatenate([part.scores for part in parts])
    first: dict[tuple[object, ...], int] = {}
    for index, (box, name, kind) in enumerate(zip(boxes.round(DECIMALS).tolist(), names, kinds, strict=True)):
        first.setdefault((*box, name.casefold(), kind), index)
    whole = Annotations(boxes=boxes, names=tuple(names), scores=scores, kinds=tuple(kinds))
    once = whole.select(np.isin(np.arange(len(boxes)), list(first.values())))
    return replace(once, regions=tuple(region for part in parts for region in part.regions))


def sort_corrections(
    read: Annotations,
    pixel_um: tuple[float, float],
    notes: Notes,
    *,
    classes: Sequence[str] = (),
    detections: bool | None = None,
) -> Corrections:
    """Decide what each object is.

    - An object of the class `Rejected` or `Ignore...` is no cell, nor is a detection whose centre lies in one that was
      drawn, or that has the place of one that was a detection.
    - A detection of the place of an annotated cell is that cell.
    - A detection with a score is a cell if it lies in a positive region, which was looked through as a whole; or,
      where there is no such region, if the file has no annotated cell. `detections` says otherwise.
    - A detection in a normal region is never a cell.
    - An annotation without a class is a region if it is larger than any cell. Else it is a cell, of the only class
      there is.

    Args:
        read: the objects of a slide's files, level-0 pixels.
        pixel_um: width and height of a level-0 pixel, um.
        notes: takes what was left out, and what was taken for granted.
        classes: names of the classes that are cells, in any case; all by default.
        detections: whether all detections with a score are cells, or none of them.

    Raises:
        AnnotationError: there is no object of a class that was named.
    """
    areas, objects = areas_and_objects(read, unclassified=False)
    chosen = read.select(np.isin(np.arange(len(read)), objects))
    sides = (chosen.boxes[:, 2:] - chosen.boxes[:, :2]) * pixel_um
    rejected = np.array([is_rejected(name) for name in chosen.names], np.bool_)
    large, solid = np.asarray((sides > MAX_CELL_UM).any(axis=1)), np.asarray((sides > 0).all(axis=1))
    unnamed = _mask(not name for name in chosen.names) & _mask(kind == "annotation" for kind in chosen.kinds)
    areas += [Area((box[0], box[1], box[2], box[3]), False) for box in chosen.boxes[large & unnamed].tolist()]
    notes.add("Annotations without a class, larger than a cell, taken for regions", "", int((large & unnamed).sum()))
    left_out = ~rejected & large & ~unnamed
    _count(notes, f"Objects left out, larger than {MAX_CELL_UM:g} um and so no cells", chosen, left_out)
    _count(notes, "Objects left out, without an area, such as points", chosen, ~solid)
    no_cells = chosen.select(rejected & solid)
    candidates = _of_classes(chosen.select(~rejected & ~large & solid), classes, notes)
    return _decided(candidates, no_cells, tuple(sorted(areas)), notes, detections=detections)


def _decided(
    candidates: Annotations, no_cells: Annotations, areas: tuple[Area, ...], notes: Notes, *, detections: bool | None
) -> Corrections:
    """Which of the objects that may be cells are."""
    raw = _mask(kind == "detection" for kind in candidates.kinds) & np.isfinite(candidates.scores)
    in_normal = inside(candidates.boxes, [area for area in areas if area.normal])
    refused = raw & (in_normal | _rejected(candidates.boxes, no_cells))
    twice = raw & ~refused & _overlaps(candidates.boxes, candidates.boxes[~raw])
    positives = [area for area in areas if not area.normal]
    if detections is not None:
        counts = np.full(len(raw), detections)
    elif positives:
        counts = inside(candidates.boxes, positives)
    else:
        counts = np.full(len(raw), bool(raw.all()))
    accepted, unsure = raw & ~refused & ~twice & counts, raw & ~refused & ~twice & ~counts
    _count(notes, "Detections taken for no cells: rejected, or in a normal region", candidates, refused)
    _count(notes, "Detections left out, in place of which a cell is annotated", candidates, twice)
    _count(notes, "Detections taken for cells", candidates, accepted)
    hint = "Detections left out: nobody said that they are cells (--detections takes them)"
    _count(notes, hint, candidates, unsure)
    cells = candidates.select(~raw | accepted)
    return Corrections(
        cells=cells.boxes,
        names=cells.names,
        rejected=np.concatenate([no_cells.boxes, candidates.boxes[refused]]),
        unsure=candidates.boxes[unsure],
        areas=areas,
    )


def _rejected(boxes: Boxes, no_cells: Annotations) -> Mask:
    """Which boxes are no cells by a rejected object: one with a score, which was a detection, stands for its own place.

    A drawn one stands for all whose centre lies in it. That would be too much of a detection: a cell is often found
    twice, and the worse of its boxes rejected.
    """
    scored = np.isfinite(no_cells.scores)
    return _overlaps(boxes, no_cells.boxes[scored]) | _centre_within(boxes, no_cells.boxes[~scored])


def _of_classes(candidates: Annotations, wanted: Sequence[str], notes: Notes) -> Annotations:
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
    _count(notes, "Objects of other classes left out", candidates, ~keep & ~unnamed)
    if len(chosen) > 1:
        notes.add(f"Objects without a class left out, because there are {len(chosen)}", "no class", int(unnamed.sum()))
        return candidates.select(keep)
    usual = next((there[folded] for folded in chosen), CLASS_NAME)
    notes.add("Objects without a class, taken for the only class", usual, int(unnamed.sum()))
    named = replace(candidates, names=tuple(name or usual for name in candidates.names))
    return named.select(keep | unnamed)


def inside(boxes: Boxes, areas: Sequence[Area]) -> Mask:
    """Which boxes have their centre in the rectangle around any of the areas."""
    return _centre_within(boxes, np.array([area.box for area in areas], np.float64).reshape(-1, 4))


def _centre_within(boxes: Boxes, others: Boxes) -> Mask:
    """Which boxes have their centre in any of the others; left and top edges are within, as of pixels."""
    found = np.zeros(len(boxes), np.bool_)
    x, y = centres(boxes).T
    order = np.argsort(x)
    along = x[order]
    for x0, y0, x1, y1 in others.tolist():
        near = order[np.searchsorted(along, x0) : np.searchsorted(along, x1)]
        found[near] |= (y[near] >= y0) & (y[near] < y1)
    return found


def _overlaps(boxes: Boxes, others: Boxes) -> Mask:
    """Which boxes have an IoU above `SAME_CELL_IOU` with any of the others."""
    found = np.zeros(len(boxes), np.bool_)
    if not len(boxes) or not len(others):
        return found
    both = np.concatenate([boxes, others])
    near = Neighbours.of(both, np.zeros(len(both), np.int64), SAME_CELL_IOU)
    for some, _ in near.overlapping(near.between(np.arange(len(boxes)), np.arange(len(boxes), len(both)))):
        found[some] = True
    return found


def _mask(values: Iterable[bool]) -> Mask:
    return np.fromiter(values, np.bool_)


def _count(notes: Notes, what: str, objects: Annotations, which: Mask) -> None:
    """Note objects by their classes."""
    for index in np.flatnonzero(which).tolist():
        notes.add(what, objects.names[index] or "no class")

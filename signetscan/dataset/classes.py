"""Choosing classes by name, and the images that follow from the choice."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.images import AnnotatedImage
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.dataset.found import Found, Gathered
    from signetscan.dataset.notes import Notes

MIN_BOX_SIDE = 4.0
"""A box thinner than this inside the image is a slip of the hand, pixels."""
SLACK = 1.0
"""A box may reach over the edge of its image by this much without a word, pixels: some tools count from 1."""


def choose_classes(path: Path, gathered: Gathered, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classes to learn, as the files spell them.

    Args:
        path: the data set, for messages.
        gathered: what was read.
        wanted: names in any case; None takes the only class there is.

    Raises:
        AnnotationError: there are several classes to choose from, none, or none of a wanted name.
    """
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for names in (*(found.names for found in gathered.found), *(of.elements() for of in gathered.outside.values())):
        for name in names:
            spellings[name.casefold()][name] += 1
    unnamed = spellings.pop("", Counter()).total()
    # The most common spelling; of equally common ones the first by alphabet, whatever the order of the files.
    classes = {folded: min(of, key=lambda name: (-of[name], name)) for folded, of in spellings.items()}
    counts = ", ".join(f"{classes[folded]} ({spellings[folded].total()})" for folded in sorted(classes)) or "none"
    if wanted:
        chosen = list(dict.fromkeys(name.strip().casefold() for name in wanted))
        for folded in chosen:
            if folded not in classes:
                message = f"{path}: no object of the class {folded!r}; classes there are: {counts}"
                raise AnnotationError(message)
        return tuple(classes[folded] for folded in chosen)
    if len(classes) > 1:
        message = f"{path}: objects of {len(classes)} classes: {counts}; choose one or several by --class NAME"
        raise AnnotationError(message)
    if not classes:
        hint = f"its {unnamed} objects have no class; give them one" if unnamed else "there is no object in it"
        message = f"{path}: nothing to learn: {hint}"
        raise AnnotationError(message)
    return tuple(classes.values())


def with_classes(
    path: Path, gathered: Gathered, class_names: Sequence[str], notes: Notes
) -> tuple[AnnotatedImage, ...]:
    """The images with the objects of the chosen classes.

    Args:
        path: the data set, for messages.
        gathered: what was read.
        class_names: the classes, in the order of their labels.
        notes: takes what is left out.

    Raises:
        AnnotationError: a class has no box that can be used.
    """
    index = {name.casefold(): label for label, name in enumerate(class_names)}
    for file, outside in gathered.outside.items():
        count = sum(of_name for name, of_name in outside.items() if name.casefold() in index)
        notes.add("Objects left out, outside all regions that were annotated", file, count)
    chosen = [_chosen(found, index, notes) for found in gathered.found]
    with_cells = {found.area for found, (boxes, _) in zip(gathered.found, chosen, strict=True) if len(boxes)}
    images = tuple(
        AnnotatedImage(
            path=found.path,
            width=found.width,
            height=found.height,
            boxes=boxes,
            labels=labels,
            normal=found.normal and found.area not in with_cells,
            slide=found.slide,
            place=found.place,
        )
        for found, (boxes, labels) in zip(gathered.found, chosen, strict=True)
    )
    _note_areas(gathered.found, with_cells, notes)
    found_labels = np.concatenate([labels for _, labels in chosen])
    for label, name in enumerate(class_names):
        if label not in found_labels:
            message = f"{path}: no box of the class {name} can be used; {' '.join(notes.lines()) or 'draw some'}"
            raise AnnotationError(message)
    return images


def _chosen(found: Found, index: dict[str, int], notes: Notes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Boxes and labels of the chosen classes that lie in the image."""
    labels = np.array([index.get(name.casefold(), -1) for name in found.names], np.int64)
    for name, count in Counter(name for name, label in zip(found.names, labels, strict=True) if label < 0).items():
        if name:
            notes.add("Objects of other classes left out", name, count)
        else:
            notes.add("Objects without a class left out", found.file, count)
    boxes, labels = found.boxes[labels >= 0], labels[labels >= 0]
    clipped = np.clip(boxes, 0, np.array([found.width, found.height] * 2))
    solid = (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    what = f"Boxes left out, outside their image or thinner than {MIN_BOX_SIDE:g} px in it"
    notes.add(what, found.file, int((~solid).sum()))
    if found.place is None:  # a cell on the border of a region is nothing odd
        over = (np.abs(clipped - boxes) > SLACK).any(axis=1) & solid
        notes.add("Boxes cut at the edge of their image, over which they reach", found.file, int(over.sum()))
    return clipped[solid], labels[solid]


def _note_areas(found: Sequence[Found], with_cells: set[str], notes: Notes) -> None:
    """Count areas that contradict themselves, and those that say nothing."""
    areas = {one.area: one for one in found}
    for area, one in areas.items():
        if one.normal and area in with_cells:
            notes.add("Declared normal, but with boxes of cells: taken as images with cells", area)
        elif not one.normal and area not in with_cells:
            notes.add("Without a box and not declared normal: nothing is learnt from them", area)

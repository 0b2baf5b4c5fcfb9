"""Choice of classes by name, and the images with the objects of those classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.class_names import problem_of_names
from signetscan.dataset.parsed import OTHERS_ONLY
from signetscan.dataset.twice import BOXED_TWICE, TWO_CLASSES, first_of_each
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.dataset.images import AnnotatedImage
    from signetscan.dataset.parsed import ParsedFolder, ParsedImage
    from signetscan.dataset.remarks import Remarks

MIN_BOX_SIDE = 4.0
"""Least side of a box inside its image, pixels: thinner ones are drawn by mistake."""
SLACK = 1.0
"""A box may reach over the edge of its image by this much without a remark, pixels: some tools count from 1."""


def choose_classes(path: Path, folder: ParsedFolder, wanted: Sequence[str] | None, remarks: Remarks) -> tuple[str, ...]:
    """Names of the classes to learn, as the files spell them.

    Args:
        path: the data set, for messages.
        folder: the parsed data set.
        wanted: names, in upper or lower case; None takes the only class there is.
        remarks: what was left out, which may be why there is none.

    Raises:
        AnnotationError: there are several classes to choose from, none, or none of a wanted name.
    """
    name_counts = Counter(name for parsed in folder.images for name in parsed.names)
    for outside in folder.outside.values():
        name_counts += outside
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for name, count in name_counts.items():
        spellings[name.casefold()][name] = count
    unnamed = spellings.pop("", Counter()).total()
    # The most common spelling; of equally common ones the alphabetically first, whatever the order of the files.
    classes = {folded: min(names, key=lambda name: (-name_counts[name], name)) for folded, names in spellings.items()}
    counts = ", ".join(f"{classes[folded]} ({spellings[folded].total()})" for folded in sorted(classes)) or "none"
    if wanted:
        chosen = list(dict.fromkeys(name.strip().casefold() for name in wanted))
        for folded in chosen:
            if folded not in classes:
                message = f"{path}: no object of the class {folded!r}; its classes: {counts}"
                raise AnnotationError(message)
        return _learnable(path, [classes[folded] for folded in chosen])
    if len(classes) > 1:
        message = f"{path}: objects of {len(classes)} classes: {counts}; choose one or several"
        raise AnnotationError(message, options=("classes",))
    if not classes:
        hint = f"its objects ({unnamed}) have no class; give them one" if unnamed else "it has no object"
        message = ". ".join([f"{path}: nothing to learn: {hint}", *remarks.lines()])
        raise AnnotationError(message)
    return _learnable(path, list(classes.values()))


def _learnable(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Classes, unless a model cannot have them: after hours of training it would be too late to say so.

    Raises:
        AnnotationError: a name is not one that QuPath reads as it is.
    """
    problem = problem_of_names(names)
    if problem:
        message = f"{path}: no model can be made of these classes: {problem}; give the class another name"
        raise AnnotationError(message)
    return tuple(names)


def others_as_normal(images: Sequence[ParsedImage], class_names: Sequence[str], remarks: Remarks) -> list[ParsedImage]:
    """The images, of which those with objects of other classes only are declared normal.

    An image with an object without a class, or with an ignored area, is left as it is: a cell may be meant.

    Args:
        images: the parsed images.
        class_names: the classes to learn.
        remarks: collects what was taken for normal.
    """
    wanted = {"", *(name.casefold() for name in class_names)}
    declared: list[ParsedImage] = []
    for parsed in images:
        names = {name.casefold() for name in parsed.names}
        others_only = bool(names) and not names & wanted and not len(parsed.image.ignored)
        remarks.add(OTHERS_ONLY, parsed.region, int(others_only))
        image = replace(parsed.image, normal=True) if others_only else parsed.image
        declared.append(replace(parsed, image=image))
    return declared


def with_classes(
    path: Path, folder: ParsedFolder, class_names: Sequence[str], remarks: Remarks
) -> tuple[AnnotatedImage, ...]:
    """The images with the objects of the chosen classes.

    Args:
        path: the data set, for messages.
        folder: the parsed data set.
        class_names: the classes, in the order of their labels.
        remarks: collects what is left out.

    Raises:
        AnnotationError: a class has no box that can be used.
    """
    index = {name.casefold(): label for label, name in enumerate(class_names)}
    for file, outside in folder.outside.items():
        count = sum(number for name, number in outside.items() if name.casefold() in index)
        remarks.add("Objects left out, outside all annotated regions", file, count)
    chosen = [_chosen(parsed, index, remarks) for parsed in folder.images]
    # By region, not by image: a piece without cells is not normal if another piece of its region has some.
    with_cells = {parsed.region for parsed, (boxes, _) in zip(folder.images, chosen, strict=True) if len(boxes)}
    images = tuple(
        replace(
            parsed.image,
            boxes=boxes,
            labels=labels,
            normal=parsed.image.normal and parsed.region not in with_cells,
        )
        for parsed, (boxes, labels) in zip(folder.images, chosen, strict=True)
    )
    _remark_regions(folder.images, with_cells, remarks)
    all_labels = np.concatenate([labels for _, labels in chosen])
    for label, name in enumerate(class_names):
        if label not in all_labels:
            message = f"{path}: no usable box of the class {name}; {' '.join(remarks.lines()) or 'draw some'}"
            raise AnnotationError(message)
    return images


def _chosen(
    parsed: ParsedImage, index: dict[str, int], remarks: Remarks
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Boxes and labels of the chosen classes that lie in the image."""
    labels = np.array([index.get(name.casefold(), -1) for name in parsed.names], np.int64)
    for name, count in Counter(name for name, label in zip(parsed.names, labels, strict=True) if label < 0).items():
        if name:
            remarks.add("Objects of other classes left out", name, count)
        else:
            remarks.add("Objects without a class left out", parsed.file, count)
    image = parsed.image
    boxes, labels = image.boxes[labels >= 0], labels[labels >= 0]
    clipped = np.clip(boxes, 0, np.array([image.width, image.height] * 2))
    solid = (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    kind = f"Boxes left out, outside their image or thinner than {MIN_BOX_SIDE:g} px in it"
    remarks.add(kind, parsed.file, int((~solid).sum()))
    clipped, boxes, labels = clipped[solid], boxes[solid], labels[solid]
    first = first_of_each(clipped, labels)
    remarks.add(BOXED_TWICE, parsed.file, int((~first).sum()))
    clipped, boxes, labels = clipped[first], boxes[first], labels[first]
    remarks.add(TWO_CLASSES, parsed.file, int((~first_of_each(clipped)).sum()))
    if image.place is None:  # regions of slides often cut through cells, which needs no remark
        over = (np.abs(clipped - boxes) > SLACK).any(axis=1)
        remarks.add("Boxes clipped at the edge of their image", parsed.file, int(over.sum()))
    return clipped, labels


def _remark_regions(images: Sequence[ParsedImage], with_cells: set[str], remarks: Remarks) -> None:
    """Remark on normal regions with cells, and on positive regions without."""
    for region, normal in {parsed.region: parsed.image.normal for parsed in images}.items():
        if normal and region in with_cells:
            remarks.add("Declared normal, but with boxes of cells: taken as images with cells", region)
        elif not normal and region not in with_cells:
            remarks.add("Without a box and not declared normal: nothing is learnt from them", region)

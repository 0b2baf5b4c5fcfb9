"""Parser of folders of images with YOLO's labels: `images/` and `labels/` that mirror each other, or side by side.

An empty file of labels declares its image normal. An image without a file of labels is left out: nobody says that it
was looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.yolo import has_labels, read_labels, read_names, read_settings
from signetscan.dataset.found import TEXT_SUFFIXES
from signetscan.dataset.images import image_size
from signetscan.dataset.parsed import NO_OBJECT, ImageObjects, ParsedFolder, parsed_image
from signetscan.errors import AnnotationError
from signetscan.suffixes import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.annotations.yolo import YoloLabels, YoloSettings
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.remarks import Remarks

LAYOUT = "images with YOLO labels"
NAMES_FILES = ("classes.txt", "obj.names", "predefined_classes.txt")
"""Files with the name of a class in each line."""
NAMELESS = "Classes whose names no data.yaml or classes.txt tells, called by their numbers"


def has_yolo(found: FoundFiles) -> bool:
    """Whether an image has a text file of its name with labels."""
    images = {found.key(path, IMAGE_SUFFIXES) for path in found.images}
    return any(found.key(path, TEXT_SUFFIXES) in images and has_labels(path) for path in label_files(found))


def label_files(found: FoundFiles) -> list[Path]:
    """The text files that may have labels."""
    return [path for path in found.texts if path.name.casefold() not in NAMES_FILES]


def read_yolo(found: FoundFiles, remarks: Remarks) -> ParsedFolder:
    """Read all labels.

    Args:
        found: the files of the folder.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    settings = settings_of(found)
    names = class_names(found, settings)
    images = found.images_by_key()
    # Text files that belong to no image may be anything, so only those with labels deserve a remark.
    labels = {
        key: path
        for key, path in found.by_key(label_files(found), TEXT_SUFFIXES).items()
        if key in images or has_labels(path)
    }
    folder = ParsedFolder(layout=LAYOUT, settings=settings)
    for path, file in found.paired(images, labels, remarks):
        read = read_labels(file)
        for reason, count in read.left_out.items():
            remarks.add(f"Left out, being {reason}", found.name(file), count)
        is_empty = not len(read.classes) and not read.left_out
        remarks.add(NO_OBJECT, found.name(path), int(is_empty))
        objects = _objects(path, read, names, remarks)
        folder.add(parsed_image(path, found.name(path), found.name(file), objects, remarks, normal=is_empty))
    return folder


def _objects(path: Path, labels: YoloLabels, names: dict[int, str], remarks: Remarks) -> ImageObjects:
    for number in sorted(set(labels.classes) - names.keys()):
        remarks.add(NAMELESS, f"class {number}", labels.classes.count(number))
    return ImageObjects(
        boxes=labels.boxes * np.tile(image_size(path), 2),
        names=tuple(names.get(number, f"class {number}") for number in labels.classes),
    )


def settings_of(found: FoundFiles) -> YoloSettings | None:
    """The settings of a data set, from the YAML file that has names or paths; None if there is none.

    Raises:
        AnnotationError: several files have some, one is not understood, or the labels have key points.
    """
    read = {path: read_settings(path) for path in found.yaml if len(path.relative_to(found.root).parts) <= 2}
    settings = {path: content for path, content in read.items() if content.names or content.paths}
    if len({tuple(sorted(content.names.items())) for content in settings.values()}) > 1:
        listed = ", ".join(found.name(path) for path in settings)
        message = f"{found.root}: several files name the classes, each in another way: {listed}; keep one"
        raise AnnotationError(message)
    for path, content in settings.items():
        if content.has_keypoints:
            message = f"{path}: labels with key points (kpt_shape) are not read; export boxes"
            raise AnnotationError(message)
    return next(iter(settings.values()), None)


def class_names(found: FoundFiles, settings: YoloSettings | None) -> dict[int, str]:
    """Names of the classes by number; empty if no file has them.

    Raises:
        AnnotationError: files of names contradict each other, or one cannot be read.
    """
    if settings is not None and settings.names:
        return settings.names
    files = [path for path in (*found.texts, *found.names) if path.name.casefold() in NAMES_FILES]
    read = {path: read_names(path) for path in files}
    if len({tuple(names.values()) for names in read.values()}) > 1:
        listed = ", ".join(found.name(path) for path in files)
        message = f"{found.root}: several files name the classes, each in another way: {listed}; keep one"
        raise AnnotationError(message)
    return next(iter(read.values()), {})

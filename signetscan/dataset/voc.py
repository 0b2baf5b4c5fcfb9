"""A folder of images with VOC-like XML files, side by side or in Pascal VOC's two folders.

An XML file without any object declares its image normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations import read_boxes_xml
from signetscan.dataset.found import Gathered, by_stem, found_image, paired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.dataset.notes import Notes

IMAGE_FOLDER, XML_FOLDER = "JPEGImages", "Annotations"
"""Pascal VOC's folders."""

LAYOUT = "images with VOC-like XML"
ENDINGS = (".xml",)


def read_voc(images: dict[str, Path], files: Sequence[Path], notes: Notes) -> Gathered:
    """Read all annotations.

    Args:
        images: images by their names without ending.
        files: the XML files.
        notes: takes what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    gathered = Gathered(layout=LAYOUT)
    for path, file in paired(images, by_stem(files, ENDINGS), notes):
        read = read_boxes_xml(file)
        gathered.found.append(found_image(path, file.name, read.boxes, read.names, normal=not read.names))
    return gathered

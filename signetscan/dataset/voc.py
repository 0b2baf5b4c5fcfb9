"""Parser of folders of images with VOC-like XML files, side by side or in Pascal VOC's two folders.

An XML file without any object declares its image normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations import read_boxes_xml
from signetscan.dataset.file_pairs import by_stem, paired
from signetscan.dataset.parsed import ParsedFolder, parsed_image
from signetscan.suffixes import XML_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

IMAGE_FOLDER, XML_FOLDER = "JPEGImages", "Annotations"
"""Pascal VOC's folders."""

LAYOUT = "images with VOC-like XML"


def read_voc(images: dict[str, Path], files: Sequence[Path], remarks: Remarks) -> ParsedFolder:
    """Read all annotations.

    Args:
        images: images by their names without suffix.
        files: the XML files.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    folder = ParsedFolder(layout=LAYOUT)
    for path, file in paired(images, by_stem(files, XML_SUFFIXES), remarks):
        annotations = read_boxes_xml(file)
        folder.images.append(
            parsed_image(path, file.name, annotations.boxes, annotations.names, normal=not annotations.names)
        )
    return folder

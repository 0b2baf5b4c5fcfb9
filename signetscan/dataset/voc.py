"""Parser of folders of images with VOC-like XML files, side by side or in Pascal VOC's two folders.

An XML file without any object declares its image normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations import read_boxes_xml
from signetscan.dataset.parsed import NO_OBJECT, ImageObjects, ParsedFolder, parsed_image
from signetscan.suffixes import IMAGE_SUFFIXES, XML_SUFFIXES

if TYPE_CHECKING:
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.remarks import Remarks

LAYOUT = "images with VOC-like XML"


def has_voc(found: FoundFiles) -> bool:
    """Whether an image has an XML file of its name."""
    images = {found.key(path, IMAGE_SUFFIXES) for path in found.images}
    return any(found.key(path, XML_SUFFIXES) in images for path in found.xml)


def read_voc(found: FoundFiles, remarks: Remarks) -> ParsedFolder:
    """Read all annotations.

    Args:
        found: the files of the folder.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used; the message names it.
    """
    folder = ParsedFolder(layout=LAYOUT)
    files = found.by_key(found.xml, XML_SUFFIXES)
    for path, file in found.paired(found.images_by_key(), files, remarks):
        annotations = read_boxes_xml(file)
        objects = ImageObjects(boxes=annotations.boxes, names=annotations.names, drawn_on=annotations.image_size)
        remarks.add(NO_OBJECT, found.name(path), int(not objects.names))
        image = parsed_image(path, found.name(path), found.name(file), objects, remarks, normal=not objects.names)
        folder.add(image)
    return folder

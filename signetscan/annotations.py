"""Files of boxes: reading and writing truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # to write; defusedxml reads

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError
from defusedxml.ElementTree import parse as parse_xml

from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAX_XML_BYTES = 50_000_000
"""A file of a hundred thousand boxes is smaller."""

EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotations:
    """The boxes of one image, as a file gives them."""

    boxes: NDArray[np.float64]
    """(N, 4), image pixels; not yet checked against the image."""
    names: tuple[str, ...]
    """Class name of each box; empty where the file gives none."""


def read_boxes_xml(path: Path) -> Annotations:
    """Read a VOC-like file: any root, `object`s with a `name` and a `bndbox` of `xmin`, `ymin`, `xmax`, `ymax`.

    Raises:
        AnnotationError: the file is missing, too large, not well formed, or a box is not four numbers.
    """
    try:
        if path.stat().st_size > MAX_XML_BYTES:
            message = f"{path}: over {MAX_XML_BYTES // 1_000_000} MB, too large for a file of boxes"
            raise AnnotationError(message)
        root = parse_xml(path).getroot()
    except OSError as error:
        message = f"{path}: cannot read the annotations: {error.strerror}"
        raise AnnotationError(message) from error
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:  # LookupError: no such encoding
        message = f"{path}: not well-formed XML: {error}"
        raise AnnotationError(message) from error
    boxes, names = [], []
    for number, found in enumerate(() if root is None else root.iter("object"), start=1):
        try:
            box = [float(found.findtext(f"bndbox/{edge}", "")) for edge in EDGES]
        except ValueError:
            box = []
        if not box or not np.isfinite(box).all():
            message = f"{path}: object {number} has no bndbox of four numbers (xmin, ymin, xmax, ymax)"
            raise AnnotationError(message)
        boxes.append(box)
        names.append((found.findtext("name") or "").strip())
    return Annotations(boxes=np.array(boxes, np.float64).reshape(-1, 4), names=tuple(names))


def boxes_xml(image_name: str, size: tuple[int, int], boxes: NDArray[np.floating], names: Sequence[str]) -> bytes:
    """A VOC-like file of boxes, with corners as whole pixels.

    Args:
        image_name: file name of the image.
        size: width and height of the image, pixels.
        boxes: (N, 4), image pixels.
        names: class name of each box.
    """
    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = image_name
    image = ET.SubElement(root, "size")
    for key, value in (("width", size[0]), ("height", size[1]), ("depth", 3)):
        ET.SubElement(image, key).text = str(value)
    for box, name in zip(boxes, names, strict=True):
        found = ET.SubElement(root, "object")
        ET.SubElement(found, "name").text = name
        corners = ET.SubElement(found, "bndbox")
        for edge, value in zip(EDGES, box, strict=True):
            ET.SubElement(corners, edge).text = str(round(float(value)))
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"

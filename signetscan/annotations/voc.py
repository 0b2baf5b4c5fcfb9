"""Parser and writer of VOC-like XML, the format of DigestPath 2019."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # to write; defusedxml reads

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError
from defusedxml.ElementTree import parse as parse_xml

from signetscan.annotations.objects import LARGEST_COORDINATE, Annotations, make_annotations, read_bounded
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Float

MAX_XML_BYTES = 50_000_000
"""Largest file that is read: one of a hundred thousand boxes is smaller."""

EDGES = ("xmin", "ymin", "xmax", "ymax")
SCORE_ELEMENTS = ("confidence", "score")


def read_boxes_xml(path: Path) -> Annotations:
    """Read a VOC-like file: any root, `object`s with a `name` and a `bndbox` of `xmin`, `ymin`, `xmax`, `ymax`.

    Predictions have their score as `confidence` or `score`. The size of the image comes from `size`, if that is there.

    Raises:
        AnnotationError: the file is missing, too large, not well formed, or a box is not four numbers.
    """
    content = read_bounded(path, MAX_XML_BYTES)
    try:
        root = parse_xml(io.BytesIO(content)).getroot()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:  # LookupError: no such encoding
        message = f"{path}: not well-formed XML: {error}"
        raise AnnotationError(message) from error
    boxes, names, scores = [], [], []
    for number, element in enumerate(() if root is None else root.iter("object"), start=1):
        box = [_number(element.findtext(f"bndbox/{edge}")) for edge in EDGES]
        if any(math.isnan(edge) for edge in box):
            message = f"{path}: object {number} has no bndbox of four numbers (xmin, ymin, xmax, ymax)"
            raise AnnotationError(message)
        score_text = next((text for name in SCORE_ELEMENTS if (text := element.findtext(name)) is not None), None)
        scores.append(_number(score_text))
        if score_text is not None and math.isnan(scores[-1]):
            message = f"{path}: object {number} has a score that is not a number"
            raise AnnotationError(message)
        boxes.append(box)
        names.append((element.findtext("name") or "").strip())
    size = None if root is None else tuple(_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    return replace(make_annotations(boxes, names, scores), image_size=known_size(size))


def known_size(size: Sequence[float] | None) -> tuple[int, int] | None:
    """A width and a height as whole pixels; None if a tool left them out, or wrote 0 for not knowing them."""
    if size is None or not all(math.isfinite(side) and side >= 1 for side in size):
        return None
    width, height = size
    return round(width), round(height)


def _number(text: str | None) -> float:
    """The number in a text; nan if there is none, or one beyond `LARGEST_COORDINATE`."""
    try:
        value = float(text or "")
    except ValueError:
        return math.nan
    return value if abs(value) <= LARGEST_COORDINATE else math.nan


def boxes_xml(image_name: str, size: tuple[int, int], boxes: NDArray[Float], names: Sequence[str]) -> bytes:
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
        element = ET.SubElement(root, "object")
        ET.SubElement(element, "name").text = name
        corners = ET.SubElement(element, "bndbox")
        for edge, value in zip(EDGES, box, strict=True):
            ET.SubElement(corners, edge).text = str(round(float(value)))
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"

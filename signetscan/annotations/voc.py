"""Parser and writer of VOC-like XML, the format of DigestPath 2019."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # to write; defusedxml reads

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from signetscan.annotations.bounds import check_number, read_bounded
from signetscan.annotations.objects import LARGEST_COORDINATE, Annotations, make_annotations
from signetscan.annotations.packed import check_is_no_project
from signetscan.errors import AnnotationError
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Float

MAX_XML_BYTES = 50_000_000
"""Largest file that is read: one of a hundred thousand boxes is smaller."""

EDGES = ("xmin", "ymin", "xmax", "ymax")
SCORE_ELEMENTS = ("confidence", "score")
SIZE: tuple[tuple[str, ...], ...] = (("size", "width"), ("size", "height"))
"""Paths, within the outermost element, of the size of the image."""
ELEMENTS: tuple[tuple[str, ...], ...] = (
    ("name",),
    *((name,) for name in SCORE_ELEMENTS),
    *(("bndbox", edge) for edge in EDGES),
)
"""Paths, within an `object`, of the elements that are read."""
ROOT = "annotation"
"""Outermost element of a VOC file, in upper or lower case."""
MAX_DEPTH = 100
"""Deepest nesting that is read: VOC has four levels."""


def read_boxes_xml(path: Path) -> Annotations:
    """Read a VOC-like file: any root, `object`s with a `name` and a `bndbox` of `xmin`, `ymin`, `xmax`, `ymax`.

    Predictions have their score as `confidence` or `score`. The size of the image comes from `size`, if that is there.
    A file without any object must have the root `annotation`: otherwise it may be of another format, whose objects have
    other names.

    Raises:
        AnnotationError: the file is missing, too large, not well formed, of another format, or a box is not four
            numbers.
    """
    check_is_no_project(path)
    content = read_bounded(path, MAX_XML_BYTES)
    objects = _Objects(path)
    try:
        # All at once: expat begins a long tag anew for each part that it gets.
        parser = DefusedXMLParser(target=objects)
        parser.feed(content)
        parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:  # LookupError: no such encoding
        message = f"{path}: not well-formed XML: {error}"
        raise AnnotationError(message) from error
    return objects.annotations()


@dataclass(slots=True)
class _Object:
    """An `object` that has begun."""

    depth: int
    """Number of elements that it is nested in, with itself."""
    place: int
    """Its index among the objects of the file."""
    texts: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Text of the elements that matter, by their path; of several, the first."""


class _Objects:
    """Collects objects while a file is parsed; a tree of its elements would take ten times as much memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tags: list[str] = []
        self._open: list[_Object] = []
        self._at: tuple[str, ...] | None = None
        self._image: dict[tuple[str, ...], str] = {}
        self._texts = self._image
        self._root = ""
        self._elements = 0
        self._boxes: list[list[float]] = []
        self._names: list[str] = []
        self._scores: list[float] = []

    def start(self, tag: str, _attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._root = self._root or tag
        self._tags.append(tag)
        self._elements += 1
        check_number(self._path, self._elements)
        if len(self._tags) > MAX_DEPTH:
            message = f"{self._path}: elements nested over {MAX_DEPTH} deep, too deep for an annotation file"
            raise AnnotationError(message)
        depth, texts, wanted = 1, self._image, SIZE
        if self._open:
            depth, texts, wanted = self._open[-1].depth, self._open[-1].texts, ELEMENTS
        at = tuple(self._tags[depth:])
        self._at = None
        if at in wanted and at not in texts:
            self._at, self._texts = at, texts
            texts[at] = ""
        if tag == "object":
            self._open.append(_Object(len(self._tags), len(self._boxes)))
            self._boxes.append([])
            self._names.append("")
            self._scores.append(math.nan)

    def data(self, text: str) -> None:
        """Text in an element, or a part of it."""
        if self._at is not None:
            self._texts[self._at] += text

    def end(self, tag: str) -> None:
        """An element ends."""
        self._tags.pop()
        self._at = None
        if tag == "object":
            self._add(self._open.pop())

    def close(self) -> None:
        """The file ends."""

    def _add(self, one: _Object) -> None:
        box = [_number(one.texts.get(("bndbox", edge))) for edge in EDGES]
        if any(math.isnan(edge) for edge in box):
            message = f"{self._path}: object {one.place + 1} has no bndbox of four numbers (xmin, ymin, xmax, ymax)"
            raise AnnotationError(message)
        score_text = next((text for name in SCORE_ELEMENTS if (text := one.texts.get((name,))) is not None), None)
        score = _number(score_text)
        if score_text is not None and math.isnan(score):
            message = f"{self._path}: object {one.place + 1} has a score that is not a number"
            raise AnnotationError(message)
        self._boxes[one.place], self._scores[one.place] = box, score
        self._names[one.place] = sys.intern(one.texts.get(("name",), "").strip())

    def annotations(self) -> Annotations:
        """All objects of the file.

        Raises:
            AnnotationError: the file has none, and is not VOC-like.
        """
        if not self._boxes and self._root.casefold() != ROOT:
            message = (
                f"{self._path}: XML of another format, by its first element {printable(self._root, 40)}: has no object "
                f"as VOC has them; save the annotations as VOC, or as GeoJSON in QuPath"
            )
            raise AnnotationError(message)
        size = [_number(self._image.get(path)) for path in SIZE]
        return replace(make_annotations(self._boxes, self._names, self._scores), image_size=known_size(size))


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

"""Detections as annotations for ASAP, the viewer of the CAMELYON challenges.

Each class is a group, and each detection a polygon of four corners; no fifth corner closes the ring. Coordinates are
level-0 pixels from the corner of level 0: ASAP does not crop to a slide's bounds. The format has no field for a number,
so the score is a part of the annotation's name.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from signetscan.atomic import atomic_text
from signetscan.formats.blocks import blocks, edges_of, filled
from signetscan.formats.colours import colour_of
from signetscan.formats.xml_text import group_names, xml_comment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.formats.blocks import RowBlock
    from signetscan.formats.scanned_slide import ScannedSlide

NO_GROUP = "None"
"""ASAP's name for the group of annotations without a group, so no class may have it."""


def write_asap(path: Path, scanned: ScannedSlide) -> None:
    """Write a group for each class, and the detections in their order, block by block.

    Args:
        path: the file to write.
        scanned: the slide and its detections.

    Raises:
        OutputError: the file cannot be written.
    """
    groups = [quoteattr(name) for name in group_names(scanned.class_names, [NO_GROUP])]
    templates = [_template(group, label) for label, group in enumerate(groups)]
    numbers = count(1)
    with atomic_text(path) as file:
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{xml_comment(scanned.said_of_model)}\n')
        file.write("<ASAP_Annotations>\n<Annotations>\n")
        for block in blocks(scanned.detections, scanned.class_names, scanned.source):
            file.write(_annotations(block, templates, numbers))
        file.write("</Annotations>\n<AnnotationGroups>\n")
        for label, group in enumerate(groups):
            file.write(f'<Group Name={group} PartOfGroup="{NO_GROUP}" Color="{_colour(label)}"><Attributes/></Group>\n')
        file.write("</AnnotationGroups>\n</ASAP_Annotations>\n")


def _colour(label: int) -> str:
    return "#{:02X}{:02X}{:02X}".format(*colour_of(label))


def _template(group: str, label: int) -> str:
    """The text of an annotation of a class, with placeholders for number, score and the eight coordinates."""
    group = group.replace("%", "%%")  # the text is filled in printf style
    corners = "".join(f'<Coordinate Order="{order}" X="%s" Y="%s"/>' for order in range(4))
    return (
        f'<Annotation Name="%d (score %.4f)" Type="Polygon" PartOfGroup={group} Color="{_colour(label)}">'
        f"<Coordinates>{corners}</Coordinates></Annotation>\n"
    )


def _annotations(block: RowBlock, templates: Sequence[str], numbers: Iterator[int]) -> str:
    detections = block.detections
    x0, y0, x1, y1 = edges_of(block)
    ids = [next(numbers) for _ in range(len(detections))]
    columns = (ids, detections.scores.tolist(), x0, y0, x1, y0, x1, y1, x0, y1)
    return filled([templates[label] for label in detections.labels.tolist()], columns, "")

"""Detections as annotations for Aperio ImageScope.

Each class is a layer, and each detection a region of four corners; its text, which ImageScope shows beside it, is its
number and its score. Coordinates are level-0 pixels from the corner of level 0.

ImageScope closes rings itself, but ASAP, which reads these files too, joins the open ring of one region to the next: of
898 regions it loaded 854. So rings are closed, and no two regions of a layer have the same text.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np

from signetscan.atomic import atomic_text
from signetscan.formats.blocks import blocks, edges_of, filled
from signetscan.formats.colours import colour_of
from signetscan.formats.xml_text import group_names, xml_comment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.formats.blocks import RowBlock
    from signetscan.formats.scanned_slide import ScannedSlide

REGION = (
    '<Region Id="%d" Type="0" Zoom="1" Selected="0" Text="%d (score %.4f)" NegativeROA="0" InputRegionId="0" '
    'Analyze="1"><Attributes/><Vertices>' + '<Vertex X="%s" Y="%s" Z="0"/>' * 5 + "</Vertices></Region>\n"
)
"""The text of a region, with placeholders for number (twice), score and ten coordinates. Type 0 is a polygon, which
every program reads; its fifth corner is the first."""


def write_imagescope(path: Path, scanned: ScannedSlide) -> None:
    """Write a layer for each class with the class's detections in their order, block by block.

    Args:
        path: the file to write.
        scanned: the slide and its detections.

    Raises:
        OutputError: the file cannot be written.
    """
    names = [quoteattr(name) for name in group_names(scanned.class_names)]
    with atomic_text(path) as file:
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{xml_comment(scanned.said_of_model)}\n')
        file.write(f'<Annotations MicronsPerPixel="{scanned.mpp.x:.6g}">\n')
        for label, name in enumerate(names):
            file.write(_layer_start(label, name))
            numbers = count(1)
            of_class = scanned.detections.select(np.flatnonzero(scanned.detections.labels == label))
            for block in blocks(of_class, scanned.class_names, scanned.source):
                file.write(_regions(block, numbers))
            file.write("</Regions>\n<Plots/>\n</Annotation>\n")
        file.write("</Annotations>\n")


def _layer_start(label: int, name: str) -> str:
    red, green, blue = colour_of(label)
    colour = red + (green << 8) + (blue << 16)  # a COLORREF of Windows, red in the lowest byte
    return (
        f'<Annotation Id="{label + 1}" Name={name} ReadOnly="0" Type="4" LineColor="{colour}" Visible="1">\n'
        "<Attributes/>\n<Regions>\n<RegionAttributeHeaders/>\n"
    )


def _regions(block: RowBlock, numbers: Iterator[int]) -> str:
    detections = block.detections
    x0, y0, x1, y1 = edges_of(block)
    ids = [next(numbers) for _ in range(len(detections))]
    columns = (ids, ids, detections.scores.tolist(), x0, y0, x1, y0, x1, y1, x0, y1, x0, y0)
    return filled([REGION] * len(detections), columns, "")

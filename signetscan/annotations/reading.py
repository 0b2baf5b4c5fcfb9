"""Any file of boxes, by its ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations.csv_file import read_boxes_csv
from signetscan.annotations.qupath import read_geojson
from signetscan.annotations.voc import read_boxes_xml
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from signetscan.annotations.objects import Annotations

    Reader = Callable[[Path], Annotations]

READERS: dict[str, Reader] = {
    ".geojson": read_geojson,
    ".geojson.gz": read_geojson,
    ".csv": read_boxes_csv,
    ".xml": read_boxes_xml,
    ".json": read_geojson,
    ".json.gz": read_geojson,
}
ENDINGS = tuple(READERS)
"""Endings of the files that can be read, in the order in which they are preferred."""


def ending_of(path: Path) -> str:
    """The ending, small, by which a file is read; empty if it cannot be."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def read_annotations(path: Path) -> Annotations:
    """Read a file of boxes: GeoJSON (`.gz` too), CSV or VOC-like XML.

    Raises:
        AnnotationError: no reader takes its ending, or the reader refuses it.
    """
    ending = ending_of(path)
    if not ending:
        message = f"{path}: not a file of boxes by its ending; take one of {', '.join(ENDINGS)}"
        raise AnnotationError(message)
    return READERS[ending](path)

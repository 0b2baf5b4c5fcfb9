"""Reading of annotation files of all formats, by their suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations.csv_file import read_boxes_csv
from signetscan.annotations.packed import check_is_no_project
from signetscan.annotations.qupath import read_geojson
from signetscan.annotations.voc import read_boxes_xml
from signetscan.errors import AnnotationError
from signetscan.suffixes import ANNOTATION_SUFFIXES, XML_SUFFIXES, suffix_of

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.annotations.objects import Annotations


def read_annotations(path: Path) -> Annotations:
    """Read an annotation file: GeoJSON (packed by gzip or in a ZIP too), CSV or VOC-like XML.

    Raises:
        AnnotationError: the suffix is unknown, or the file is of a QuPath project, or cannot be parsed.
    """
    check_is_no_project(path)
    suffix = suffix_of(path.name, ANNOTATION_SUFFIXES)
    if not suffix:
        message = f"{path}: not an annotation file by its suffix; give it one of {', '.join(ANNOTATION_SUFFIXES)}"
        raise AnnotationError(message)
    if suffix == ".csv":
        return read_boxes_csv(path)
    return read_boxes_xml(path) if suffix in XML_SUFFIXES else read_geojson(path)

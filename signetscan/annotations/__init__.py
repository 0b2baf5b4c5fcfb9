"""Parsers of annotation files (VOC-like XML, QuPath's GeoJSON, CSV), and the meaning of the marks in them.

`read_annotations` reads any of them by its suffix, and `interpret` decides what each object means. Every file is
treated as hostile: sizes are bounded, and every problem is an `AnnotationError` that names the file.
"""

from __future__ import annotations

from signetscan.annotations.csv_file import read_boxes_csv
from signetscan.annotations.marks import IGNORED_CLASS, MarkedObjects, Meaning, Unclassified, interpret
from signetscan.annotations.objects import NORMAL_REGION, POSITIVE_REGION, REVIEWED_REGION, Annotations, Region
from signetscan.annotations.packed import check_is_no_project
from signetscan.annotations.qupath import read_geojson
from signetscan.annotations.reading import read_annotations
from signetscan.annotations.voc import boxes_xml, read_boxes_xml

__all__ = [
    "IGNORED_CLASS",
    "NORMAL_REGION",
    "POSITIVE_REGION",
    "REVIEWED_REGION",
    "Annotations",
    "MarkedObjects",
    "Meaning",
    "Region",
    "Unclassified",
    "boxes_xml",
    "check_is_no_project",
    "interpret",
    "read_annotations",
    "read_boxes_csv",
    "read_boxes_xml",
    "read_geojson",
]

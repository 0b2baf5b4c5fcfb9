"""Annotation files of three kinds, VOC-like XML, QuPath's GeoJSON, and CSV; and what people's marks in them mean.

`read_annotations` takes any of them by its suffix, and `interpret` says what each object means. Every file is taken for
hostile: sizes are bounded, and whatever is wrong is an `AnnotationError` that names the file.
"""

from __future__ import annotations

from signetscan.annotations.csv_file import read_boxes_csv
from signetscan.annotations.marks import IGNORED_CLASS, MarkedObjects, Meaning, Unclassified, interpret
from signetscan.annotations.objects import NORMAL_REGION, POSITIVE_REGION, Annotations, Region
from signetscan.annotations.qupath import read_geojson
from signetscan.annotations.reading import read_annotations
from signetscan.annotations.voc import boxes_xml, read_boxes_xml

__all__ = [
    "IGNORED_CLASS",
    "NORMAL_REGION",
    "POSITIVE_REGION",
    "Annotations",
    "MarkedObjects",
    "Meaning",
    "Region",
    "Unclassified",
    "boxes_xml",
    "interpret",
    "read_annotations",
    "read_boxes_csv",
    "read_boxes_xml",
    "read_geojson",
]

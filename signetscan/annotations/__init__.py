"""Files of boxes, of three kinds: VOC-like XML, QuPath's GeoJSON, and CSV.

`read_annotations` takes any of them by its ending. Every file is taken for hostile: sizes are bounded, and whatever
is wrong is an `AnnotationError` that names the file.
"""

from __future__ import annotations

from signetscan.annotations.csv_file import read_boxes_csv
from signetscan.annotations.objects import NORMAL_REGION, POSITIVE_REGION, Annotations, Region
from signetscan.annotations.qupath import read_geojson
from signetscan.annotations.reading import ENDINGS, ending_of, read_annotations
from signetscan.annotations.voc import boxes_xml, read_boxes_xml

__all__ = [
    "ENDINGS",
    "NORMAL_REGION",
    "POSITIVE_REGION",
    "Annotations",
    "Region",
    "boxes_xml",
    "ending_of",
    "read_annotations",
    "read_boxes_csv",
    "read_boxes_xml",
    "read_geojson",
]

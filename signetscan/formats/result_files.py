"""Formats of results: suffixes of their files, and the libraries they need, none of which is imported here."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from signetscan.extras import require
from signetscan.suffixes import DICOM_RESULT_SUFFIX, HEATMAP_SUFFIX, MAP_SUFFIX, SEGMENTS_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUFFIXES = {
    "geojson": ".geojson",
    "geojson.gz": ".geojson.gz",
    "csv": ".csv",
    "parquet": ".parquet",
    "dicom": DICOM_RESULT_SUFFIX,
    "asap": ".asap.xml",
    "imagescope": ".imagescope.xml",
    "heatmap": HEATMAP_SUFFIX,
}
"""Suffix of the file of each format of detections."""
REGION_SUFFIXES = {
    "geojson": ".geojson",
    "csv": ".csv",
    "classmap": MAP_SUFFIX,
    "heatmap": HEATMAP_SUFFIX,
    "dicom": SEGMENTS_SUFFIX,
}
"""Suffix of the file of each format of regions; `REGIONS` stands before it."""
ALL_FORMATS = tuple(dict.fromkeys([*SUFFIXES, *REGION_SUFFIXES]))
"""Names of all formats; some are of detections only, or of regions only."""
RECORD_SUFFIX = ".run.json"
"""Suffix of the run record, which is written whatever the formats."""
REPORT_SUFFIX = ".report.html"
"""Suffix of the report."""
FAILURE_SUFFIX = ".failed.json"
"""Suffix of the record of a failure, the only file of a slide that failed."""
CORRECTIONS_SUFFIX = ".corrected.geojson"
"""Suffix of the corrections that a reviewer made in the viewer without giving a name."""
CORRECTIONS = re.compile(r"(.+)\.corrected(?:\.([^\W_][\w-]{0,39}))?\.geojson")
"""Name of a file of corrections: the slide's name, and the reviewer's unless none was given."""
REVIEWER = re.compile(r"[^\W_][\w-]{0,39}")
"""Name of a reviewer in names of files: letters, digits and hyphens, so that it leads into no other folder."""

REGIONS = ".regions"
"""Stands after a slide's name in the names of all results of its segmentation: they lie beside those of detection."""

CELLS_NAME = "cells-in-regions"
"""Name, without suffix, of the tables of cells in the tissue of all slides."""

USUAL_FORMATS = ("geojson", "csv")
"""Formats of detections that are written by default."""
USUAL_REGION_FORMATS = ("geojson", "csv", "classmap")
"""Formats of regions that are written by default."""
READABLE_FORMATS = ("csv", "geojson", "geojson.gz")
"""Formats from which detections are read back, best first; see `results/reading.py`."""
ALL_SUFFIXES = tuple(dict.fromkeys([*SUFFIXES.values(), *REGION_SUFFIXES.values()]))
"""Suffixes of the files of all formats."""

LIBRARIES = {"parquet": "pyarrow", "dicom": "highdicom", "report": "jinja2"}
"""The optional library that a format, or the report, needs; the `formats` and `report` extras install them."""


def add_suffix(target: Path, suffix: str) -> Path:
    """A path with a suffix added; suffixes that it has stay, unlike with `Path.with_suffix`."""
    return target.with_name(f"{target.name}{suffix}")


def reviewer_name(text: str) -> str:
    """A name that a reviewer gave, as it stands in names of files: in small letters, with hyphens; empty if none fits.

    Small letters, because some file systems take `Anna` and `anna` for one file.
    """
    folded = unicodedata.normalize("NFC", "-".join(text.casefold().replace(".", " ").split()))
    return folded if REVIEWER.fullmatch(folded) else ""


def corrections_path(target: Path, reviewer: str = "") -> Path:
    """The file of a reviewer's corrections.

    Args:
        target: path of the results without suffix.
        reviewer: the reviewer's name, from `reviewer_name`; empty if none was given.
    """
    return add_suffix(target, f".corrected.{reviewer}.geojson" if reviewer else CORRECTIONS_SUFFIX)


def marks_beside(target: Path) -> dict[str, Path]:
    """The files of corrections beside the results of one slide, by reviewer; empty for those made without a name.

    Args:
        target: path of the results without suffix.
    """
    named = ((CORRECTIONS.fullmatch(path.name), path) for path in sorted(target.parent.glob("*.corrected*.geojson")))
    return {parts[2] or "": path for parts, path in named if parts and parts[1] == target.name and path.is_file()}


def check_libraries(formats: Iterable[str]) -> None:
    """Check that the libraries of formats, or of the `report`, are installed, before anything is scanned.

    Raises:
        MissingExtraError: the library of one is not installed.
    """
    require(*(LIBRARIES[name] for name in formats if name in LIBRARIES))

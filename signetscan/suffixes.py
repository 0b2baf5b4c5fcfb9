"""Suffixes of slides, images and annotation files, and telling slides from other files.

Those of results are in `formats/result_files.py`. Nothing heavy is imported here, so these checks cost little.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm")
"""Suffixes that only slides have."""
TIFF_SUFFIXES = (".tif", ".tiff")
"""Suffixes that slides share with other images."""
PICTURE_SUFFIXES = (".jpeg", ".jpg", ".png")
"""Suffixes of images that are never slides."""
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, *TIFF_SUFFIXES)
SIMULATED_SLIDE_SUFFIXES = (".svs", *TIFF_SUFFIXES)
"""Suffixes of slides that the simulator can write."""

XML_SUFFIXES = (".xml",)
GEOJSON_SUFFIXES = (".geojson", ".geojson.gz", ".geojson.zip", ".zip")
TRUTH = ".truth"
"""Stands before the suffix of a simulated slide's ground truth."""
TRAINING_GEOJSON_SUFFIXES = (f"{TRUTH}.geojson", *GEOJSON_SUFFIXES)
"""Suffixes of GeoJSON next to the images or slides of a data set."""
ANY_GEOJSON_SUFFIXES = (*GEOJSON_SUFFIXES, ".json", ".json.gz")
"""Suffixes of GeoJSON that is named by itself."""
ANNOTATION_SUFFIXES = (".geojson", ".geojson.gz", ".csv", *XML_SUFFIXES, ".json", ".json.gz", ".geojson.zip", ".zip")
"""Suffixes of annotation files of all kinds, the preferred ones first."""
QUPATH_PROJECT_SUFFIX, QUPATH_DATA_SUFFIX = ".qpproj", ".qpdata"
"""Suffixes of a QuPath project, and of its data of an image; only QuPath reads them."""

DICOM_RESULT_SUFFIX = ".ann.dcm"
"""Suffix of results as DICOM annotations."""
HEATMAP_SUFFIX = ".heatmap.ome.tif"
"""Suffix of heat maps."""
NOT_SLIDES = (DICOM_RESULT_SUFFIX, HEATMAP_SUFFIX)
"""Suffixes of results that end like slides."""

DICOM_HEAD = 1 << 16
"""Bytes at the start of a DICOM file that are searched for its series."""
DICOM_SERIES = b"\x20\x00\x0e\x00UI"
"""Tag and type of the SeriesInstanceUID, which all files of a slide share."""


def name_of(file_name: str) -> str:
    """A slide file's name without its suffix; `.ome.tif` counts as one suffix."""
    stem, _, suffix = file_name.rpartition(".")
    return (stem or suffix).removesuffix(".ome")


def suffix_of(file_name: str, suffixes: Sequence[str]) -> str:
    """The first of some suffixes that a file has, in lower case; empty if it has none of them."""
    return next((suffix for suffix in suffixes if file_name.lower().endswith(suffix)), "")


def without_suffix(file_name: str, suffixes: Sequence[str]) -> str:
    """A file's name without its suffix, which is the first of some that it has."""
    return file_name[: len(file_name) - len(suffix_of(file_name, suffixes))]


def may_be_slide(file_name: str) -> bool:
    """Whether a file in a folder counts as a slide. Pictures (JPEG, PNG) do not: users must name each."""
    name = file_name.lower()
    return name.endswith((*SLIDE_SUFFIXES, *TIFF_SUFFIXES)) and not name.endswith(NOT_SLIDES)


def slide_files(root: Path) -> Iterator[Path]:
    """The slides in a folder and its subfolders, except hidden ones; one file for each slide."""
    for folder, subfolders, names in os.walk(root):
        # Assigned in place, because os.walk goes on with the folders that are left in this list.
        subfolders[:] = sorted(subfolder for subfolder in subfolders if not subfolder.startswith("."))
        candidates = [Path(folder) / name for name in names if not name.startswith(".") and may_be_slide(name)]
        yield from _one_per_series(path for path in candidates if path.is_file())


def _one_per_series(paths: Iterable[Path]) -> list[Path]:
    """The largest of the DICOM files that together are a slide, and all files that are not DICOM."""
    kept: list[Path] = []
    series: dict[bytes, list[Path]] = defaultdict(list)
    for path in paths:
        uid = series_uid(path) if path.suffix.lower() == ".dcm" else None
        if uid is None:
            kept.append(path)
        else:
            series[uid].append(path)
    return kept + [max(files, key=lambda path: (path.stat().st_size, path.name)) for files in series.values()]


def series_uid(path: Path) -> bytes | None:
    """The UID of a DICOM file's series, which all files of a slide share; None if it has none."""
    try:
        with path.open("rb") as file:
            head = file.read(DICOM_HEAD)
    except OSError:
        return None  # the error is reported when the slide is opened
    start = head.find(DICOM_SERIES)
    if start < 0:
        return None
    start += len(DICOM_SERIES)
    length = int.from_bytes(head[start : start + 2], "little")
    return head[start + 2 : start + 2 + length] or None

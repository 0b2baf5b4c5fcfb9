"""Suffixes of slides, images and annotation files; and telling slides from other files.

Those of results are in `formats/result_files.py`. Nothing else is imported here, so that a file's kind is told at no
cost.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm")
"""Suffixes that only slides have; a .tif may be one."""
TIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".jpeg", ".jpg", ".png")
"""Images that are never slides."""
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, *TIFF_SUFFIXES)
SIMULATED_SLIDE_SUFFIXES = (".svs", *TIFF_SUFFIXES)
"""Slides that the simulator writes."""

XML_SUFFIXES = (".xml",)
GEOJSON_SUFFIXES = (".geojson", ".geojson.gz")
TRUTH = ".truth"
"""What the simulator puts before the suffix of the truth beside a slide."""
TRAINING_GEOJSON_SUFFIXES = (f"{TRUTH}.geojson", *GEOJSON_SUFFIXES)
"""GeoJSON beside the images or slides of a data set."""
ANNOTATION_SUFFIXES = (*GEOJSON_SUFFIXES, ".csv", *XML_SUFFIXES, ".json", ".json.gz")
"""Annotation files of any kind, in the order in which they are preferred."""

DICOM_RESULT_SUFFIX = ".ann.dcm"
"""Of results as DICOM annotations."""
HEATMAP_SUFFIX = ".heatmap.ome.tif"
"""Of heat maps."""
NOT_SLIDES = (DICOM_RESULT_SUFFIX, HEATMAP_SUFFIX)
"""Suffixes of results that end in a slide's suffix."""

DICOM_HEAD = 1 << 16
"""Bytes of a DICOM file in which the number of its series is looked for."""
DICOM_SERIES = b"\x20\x00\x0e\x00UI"
"""Tag and type of the series' number: the files of one slide share it."""


def name_of(file_name: str) -> str:
    """A slide file's name without its suffix; `.ome.tif` is one suffix."""
    stem, _, suffix = file_name.rpartition(".")
    return (stem or suffix).removesuffix(".ome")


def suffix_of(file_name: str, suffixes: Sequence[str]) -> str:
    """The first of some suffixes that a file has, in small letters; empty if it has none of them."""
    return next((suffix for suffix in suffixes if file_name.lower().endswith(suffix)), "")


def without_suffix(file_name: str, suffixes: Sequence[str]) -> str:
    """A file's name without the first of some suffixes that it has."""
    return file_name[: len(file_name) - len(suffix_of(file_name, suffixes))]


def may_be_slide(file_name: str) -> bool:
    """Whether a file of a folder is taken for a slide; a picture must be named itself."""
    name = file_name.lower()
    return name.endswith((*SLIDE_SUFFIXES, *TIFF_SUFFIXES)) and not name.endswith(NOT_SLIDES)


def slide_files(root: Path) -> Iterator[Path]:
    """The files of all slides in a folder and in those below it, without hidden ones; one file for each slide."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(each for each in below if not each.startswith("."))
        wanted = [Path(folder) / name for name in names if not name.startswith(".") and may_be_slide(name)]
        yield from _once_a_series(path for path in wanted if path.is_file())


def _once_a_series(paths: Iterable[Path]) -> list[Path]:
    """Of the DICOM files that are one slide together the largest, and all others."""
    kept: list[Path] = []
    series: dict[bytes, list[Path]] = defaultdict(list)
    for path in paths:
        number = _series(path) if path.suffix.lower() == ".dcm" else None
        if number is None:
            kept.append(path)
        else:
            series[number].append(path)
    return kept + [max(files, key=lambda path: (path.stat().st_size, path.name)) for files in series.values()]


def _series(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            head = file.read(DICOM_HEAD)
    except OSError:
        return None  # opening the slide says what is wrong
    start = head.find(DICOM_SERIES)
    if start < 0:
        return None
    start += len(DICOM_SERIES)
    length = int.from_bytes(head[start : start + 2], "little")
    return head[start + 2 : start + 2 + length] or None

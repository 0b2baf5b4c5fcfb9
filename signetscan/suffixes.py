"""Suffixes of slides, images and annotation files, and telling slides from other files.

Those of results are in `formats/result_files.py`. Nothing heavy is imported here, so these checks cost little.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

DICOM_SUFFIXES = (".dcm", ".dicom")
SLIDE_TIFF_SUFFIXES = (".qptiff", ".btf", ".tf2", ".tf8", ".ptif", ".ptiff")
"""Suffixes of TIFF files that are hardly used for other images."""
SLIDE_SUFFIXES = (
    *(".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi"),
    *DICOM_SUFFIXES,
    *SLIDE_TIFF_SUFFIXES,
)
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
MAP_SUFFIX = ".classmap.ome.tif"
"""Suffix of class maps."""
SEGMENTS_SUFFIX = ".seg.dcm"
"""Suffix of class maps as DICOM segmentations."""
NOT_SLIDES = (DICOM_RESULT_SUFFIX, HEATMAP_SUFFIX, MAP_SUFFIX, SEGMENTS_SUFFIX)
"""Suffixes of results that end like slides."""

BESIDE_SLIDES = (
    *ANNOTATION_SUFFIXES,
    *NOT_SLIDES,
    *(".db", ".docx", ".html", ".ini", ".key", ".log", ".md", ".onnx", ".parquet", ".pdf", ".toml", ".txt", ".xlsx"),
)
"""Suffixes of files that usually lie beside slides; that they are no slides need not be said."""

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF files."""
DICOM_PREAMBLE = 128
"""Bytes of a DICOM file before its signature."""
DICOM_SIGNATURE = b"DICM"
DICOM_SLIDE = b"\x02\x00\x02\x00UI\x1e\x001.2.840.10008.5.1.4.1.1.77.1.6"
"""How a DICOM file says that it is an image of a slide: tag, type, length and value of its class."""
DICOM_HEAD = 1 << 16
"""Bytes at the start of a DICOM file that are searched for its class and its series."""
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


def slide_files(root: Path, left_out: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """The slides in a folder and its subfolders, except hidden ones; one file for each slide.

    Args:
        root: the folder.
        left_out: called with each file that is not taken for a slide, is none of a slide's parts, and does not usually
            lie beside slides.
    """
    for folder, subfolders, names in os.walk(root):
        pixels = {name[: -len(".mrxs")] for name in names if name.lower().endswith(".mrxs")}
        # Assigned in place, because os.walk goes on with the folders that are left in this list.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name not in pixels)
        beside = (*BESIDE_SLIDES, *(PICTURE_SUFFIXES if any(_is_index(name) for name in names) else ()))
        candidates: list[Path] = []
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith("."):
                continue
            if path.is_file() and (may_be_slide(name) or _is_slide_without_suffix(path)):
                candidates.append(path)
            elif not name.lower().endswith(beside):
                left_out(path)
        yield from _one_per_series(candidates)


def _is_index(name: str) -> bool:
    """Whether a file names the pictures of a slide."""
    return name.lower().endswith((".vms", ".vmu"))


def _is_slide_without_suffix(path: Path) -> bool:
    """Whether a file is a slide by its first bytes, if no suffix says what it is: archives name DICOM by numbers."""
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    head = _head(path)
    return head.startswith(TIFF_SIGNATURES) or (_is_dicom(head) and DICOM_SLIDE in head)


def _one_per_series(paths: Iterable[Path]) -> list[Path]:
    """The largest of the DICOM files that together are a slide, and all files that are not DICOM."""
    kept: list[Path] = []
    series: dict[bytes, list[Path]] = defaultdict(list)
    for path in paths:
        may_be_dicom = path.suffix.lower() in DICOM_SUFFIXES or not may_be_slide(path.name)
        uid = series_uid(path) if may_be_dicom else None
        if uid is None:
            kept.append(path)
        else:
            series[uid].append(path)
    return kept + [max(files, key=lambda path: (path.stat().st_size, path.name)) for files in series.values()]


def series_uid(path: Path) -> bytes | None:
    """The UID of a DICOM file's series, which all files of a slide share; None if it is no DICOM file, or has none."""
    head = _head(path)
    start = head.find(DICOM_SERIES)
    if start < 0 or not _is_dicom(head):
        return None
    start += len(DICOM_SERIES)
    length = int.from_bytes(head[start : start + 2], "little")
    return head[start + 2 : start + 2 + length] or None


def is_dicom_slide(path: Path) -> bool:
    """Whether a file is a DICOM image of a slide, by its first bytes."""
    head = _head(path)
    return _is_dicom(head) and DICOM_SLIDE in head


def _is_dicom(head: bytes) -> bool:
    return head.startswith(DICOM_SIGNATURE, DICOM_PREAMBLE)


def _head(path: Path) -> bytes:
    """The first bytes of a file: of one that is DICOM as many as are searched, of any other a few."""
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            return b""
        with path.open("rb") as file:
            head = file.read(DICOM_PREAMBLE + len(DICOM_SIGNATURE))
            return head + (file.read(DICOM_HEAD) if _is_dicom(head) else b"")
    except OSError:
        return b""  # the error is reported when the slide is opened

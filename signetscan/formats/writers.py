"""The function that writes each format of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import UnfitError
from signetscan.formats.asap import write_asap
from signetscan.formats.csv_file import write_csv
from signetscan.formats.dicom import write_dicom
from signetscan.formats.geojson import write_geojson
from signetscan.formats.heatmap import write_heatmap
from signetscan.formats.imagescope import write_imagescope
from signetscan.formats.parquet import write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from signetscan.formats.scanned_slide import ScannedSlide

    Writer = Callable[[Path, ScannedSlide], None]


def _geojson(path: Path, scanned: ScannedSlide) -> None:
    write_geojson(
        path,
        scanned.detections,
        scanned.class_names,
        source=scanned.source,
        origin=scanned.origin,
        about=scanned.about_model,
        mpp=scanned.mpp,
    )


def _csv(path: Path, scanned: ScannedSlide) -> None:
    write_csv(path, scanned.detections, scanned.class_names, source=scanned.source, mpp=scanned.mpp)


WRITERS: dict[str, Writer] = {
    "geojson": _geojson,
    "geojson.gz": _geojson,
    "csv": _csv,
    "parquet": write_parquet,
    "dicom": write_dicom,
    "asap": write_asap,
    "imagescope": write_imagescope,
    "heatmap": write_heatmap,
}
"""The writer of each format of `result_files.SUFFIXES`."""


def write_formats(paths: dict[str, Path], scanned: ScannedSlide) -> dict[str, str]:
    """Write a slide's detections in several formats.

    Args:
        paths: path of each file, by format.
        scanned: the slide and its detections.

    Returns:
        By format, why it cannot hold this slide's detections; formats that were written are not in it.

    Raises:
        OutputError: a file cannot be written.
    """
    unfit = {}
    for name, path in paths.items():
        try:
            WRITERS[name](path, scanned)
        except UnfitError as error:
            unfit[name] = str(error)
    return unfit

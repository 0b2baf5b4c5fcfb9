"""Formats of results: what their files are called and need. Apart from the writers, so that no library is imported."""

from __future__ import annotations

from importlib import util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ENDINGS = {
    "geojson": "geojson",
    "geojson.gz": "geojson.gz",
    "csv": "csv",
    "parquet": "parquet",
    "dicom": "ann.dcm",
    "asap": "asap.xml",
    "imagescope": "imagescope.xml",
    "heatmap": "heatmap.ome.tif",
}
"""Ending of the file of each format."""
RECORD_ENDING = "run.json"
"""Of the run record, which is written whatever the formats."""
REPORT_ENDING = "report.html"
"""Of the report."""
FAILURE_ENDING = "failed.json"
"""Of what is written where a slide fails, in place of all else."""

USUAL_FORMATS = ("geojson", "csv")
"""What is written unless something else is asked for."""
READABLE_FORMATS = ("csv", "geojson", "geojson.gz")
"""Formats that detections are read back from, best first; see `stored`."""

NO_SLIDES = tuple(f".{ENDINGS[name]}" for name in ("dicom", "heatmap"))
"""Endings of results that end as slides do."""

LIBRARIES = {"parquet": "pyarrow", "dicom": "highdicom", "report": "jinja2"}
"""The library that a format, or the report, needs beside those that signetscan always has; the `formats` and `report`
extras bring them."""


def result_paths(target: Path, formats: Iterable[str] = USUAL_FORMATS) -> dict[str, Path]:
    """Path of each file of a slide, by format, and of its `record`. `target` is theirs without the ending."""
    endings = {name: ENDINGS[name] for name in formats} | {"record": RECORD_ENDING}
    return {kind: with_ending(target, ending) for kind, ending in endings.items()}


def with_ending(target: Path, ending: str) -> Path:
    """A path with an ending more."""
    return target.with_name(f"{target.name}.{ending}")


def check_libraries(formats: Iterable[str]) -> None:
    """See to it that the formats, or a `report`, can be written here, before anything is scanned.

    Raises:
        ModuleNotFoundError: the library of one is not installed.
    """
    for name in formats:
        library = LIBRARIES.get(name)
        if library is not None and util.find_spec(library) is None:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)

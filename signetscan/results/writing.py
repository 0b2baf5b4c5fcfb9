"""The files of one scanned slide, written together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.errors import OutputError
from signetscan.formats.result_files import RECORD_SUFFIX, REPORT_SUFFIX, SUFFIXES, USUAL_FORMATS, add_suffix
from signetscan.formats.scanned_slide import scanned_slide
from signetscan.formats.writers import write_formats
from signetscan.results.reading import StoredResult
from signetscan.results.run_record import ResultFile, record_of_scan, write_run_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from signetscan.models.detector import Detector
    from signetscan.scan.detect import SlideResult
    from signetscan.slides import Slide


def write_results(
    target: Path,
    slide: Slide,
    detector: Detector,
    result: SlideResult,
    *,
    key: str = "",
    crop_to_bounds: bool = True,
    formats: Sequence[str] = USUAL_FORMATS,
    slide_path: Path | None = None,
) -> StoredResult:
    """Write NAME.geojson, NAME.csv or other formats and, last, NAME.run.json, which says that the others are whole.

    Files of other formats that an earlier run left are removed: they hold other detections.

    Args:
        target: path of the files without their suffixes, in an existing folder.
        slide: the slide.
        detector: the model that was used.
        result: what the scan gave.
        key: what `run_key` gave for this run.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, as QuPath shows it by default,
            or from level 0. It makes a difference only for slides that declare bounds.
        formats: of `formats.result_files.SUFFIXES`.
        slide_path: the slide's file, which DICOM annotations refer to.

    Returns:
        What was written.

    Raises:
        OutputError: a file cannot be written.
    """
    _remove_results(target)
    scanned = scanned_slide(
        target.name, slide, detector, result.detections, path=slide_path, crop_to_bounds=crop_to_bounds
    )
    record = record_of_scan(slide, detector, result, name=target.name, key=key, origin=scanned.origin)
    return add_formats(StoredResult(scanned=scanned, record=record, target=target), formats)


def _remove_results(target: Path) -> None:
    """Remove what an earlier run left of a slide: first the record, so that nothing vouches for the rest."""
    for suffix in (RECORD_SUFFIX, REPORT_SUFFIX, *SUFFIXES.values()):
        path = add_suffix(target, suffix)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            message = f"{path}: cannot be replaced: {error.strerror or error}"
            raise OutputError(message) from error


def add_formats(stored: StoredResult, formats: Iterable[str]) -> StoredResult:
    """Write detections in further formats, and a run record that names them too.

    Args:
        stored: a slide's results.
        formats: of `formats.result_files.SUFFIXES`; those that exist are written again.

    Returns:
        The results with the new record.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = {name: add_suffix(stored.target, SUFFIXES[name]) for name in formats}
    unfit = write_formats(paths, stored.scanned)
    written = {name: ResultFile.of(path) for name, path in paths.items() if name not in unfit}
    record = stored.record.with_files(written, unfit)
    write_run_record(add_suffix(stored.target, RECORD_SUFFIX), record)
    return replace(stored, record=record)

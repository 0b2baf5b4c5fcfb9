"""Write the files of one scanned slide."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.errors import OutputError
from signetscan.formats.parts import remove_files, write_files
from signetscan.formats.result_files import RECORD_SUFFIX, REPORT_SUFFIX, SUFFIXES, USUAL_FORMATS, add_suffix
from signetscan.formats.scanned_slide import scanned_slide
from signetscan.results.reading import StoredResult
from signetscan.results.record_parts import ResultFile
from signetscan.results.run_record import record_of_scan, write_run_record
from signetscan.slides.fingerprint import UNKNOWN, FileIdentity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from signetscan.models.detector import Detector
    from signetscan.scan.calibrated import CalibratedThreshold
    from signetscan.scan.detect import SlideResult
    from signetscan.slides import Slide
    from signetscan.slides.addresses import SlidePlace


def write_results(  # noqa: PLR0913 - the last six are for batches
    target: Path,
    slide: Slide,
    detector: Detector,
    result: SlideResult,
    *,
    key: str = "",
    crop_to_bounds: bool = True,
    formats: Sequence[str] = USUAL_FORMATS,
    objects_per_file: int | None = None,
    slide_path: SlidePlace | None = None,
    identity: FileIdentity = UNKNOWN,
    calibrated: CalibratedThreshold | None = None,
) -> StoredResult:
    """Write NAME.geojson, NAME.csv or other formats and, last, NAME.run.json, which vouches for the others.

    Files that an earlier run wrote in other formats are removed: they hold other detections.

    Args:
        target: path of the files without their suffixes, in an existing folder.
        slide: the slide.
        detector: the model that was used.
        result: the result of the scan.
        key: the key of the run, from `run_key`.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, to which QuPath crops by default,
            or from the corner of level 0. It matters only for slides that declare bounds.
        formats: names from `formats.result_files.SUFFIXES`.
        objects_per_file: most objects in a GeoJSON file, of which there may be several; None for all in one.
        slide_path: the slide's file or address, to which DICOM annotations refer.
        identity: what tells the slide's files from others, for later runs; unknown by default.
        calibrated: the calibration that the threshold is from; None if it is from none.

    Returns:
        The results, with the run record.

    Raises:
        OutputError: a file cannot be written.
    """
    remove_results(target)
    scanned = scanned_slide(
        target.name, slide, detector, result.detections, path=slide_path, crop_to_bounds=crop_to_bounds
    )
    scanned = replace(scanned, calibrated=calibrated)
    record = record_of_scan(
        slide, detector, result, name=target.name, key=key, origin=scanned.origin, identity=identity
    )
    record = replace(record, calibrated=calibrated)
    stored = StoredResult(scanned=scanned, record=record, target=target)
    return add_formats(stored, formats, objects_per_file=objects_per_file)


def remove_results(target: Path) -> None:
    """Remove the results of an earlier run.

    Args:
        target: path of the files without their suffixes.

    Raises:
        OutputError: one cannot be removed.
    """
    remove_each(target, (RECORD_SUFFIX, REPORT_SUFFIX))
    remove_files(target, SUFFIXES)


def remove_each(target: Path, suffixes: Iterable[str]) -> None:
    """Remove files of an earlier run, if they are there.

    Args:
        target: path of the files without their suffixes.
        suffixes: their suffixes. That of the run record belongs first: if the rest cannot be removed, nothing vouches
            for it any more.

    Raises:
        OutputError: one cannot be removed.
    """
    for suffix in suffixes:
        path = add_suffix(target, suffix)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            message = f"{path}: cannot be replaced: {error.strerror or error}"
            raise OutputError(message) from error


def add_formats(stored: StoredResult, formats: Iterable[str], *, objects_per_file: int | None = None) -> StoredResult:
    """Write detections in further formats, and a run record that lists these too.

    Args:
        stored: a slide's results.
        formats: names from `formats.result_files.SUFFIXES`; files that exist are written again.
        objects_per_file: as for `write_results`.

    Returns:
        The results with the new record.

    Raises:
        OutputError: a file cannot be written.
    """
    paths, unfit = write_files(stored.target, formats, stored.scanned, objects_per_file)
    written = {name: ResultFile.of(*parts) for name, parts in paths.items()}
    record = stored.record.with_files(written, unfit)
    write_run_record(add_suffix(stored.target, RECORD_SUFFIX), record)
    return replace(stored, record=record)

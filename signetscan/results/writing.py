"""The files of one scanned slide, written together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.errors import OutputError
from signetscan.formats.result_files import ENDINGS, RECORD_ENDING, REPORT_ENDING, USUAL_FORMATS, with_ending
from signetscan.formats.scanned_slide import scanned_slide
from signetscan.formats.writers import write_formats
from signetscan.results.reading import StoredResult
from signetscan.results.run_record import files_of, run_record, write_record

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

    Files that an earlier run left of other formats are removed: they would be of other detections.

    Args:
        target: path of the files without their endings, in an existing folder.
        slide: the slide.
        detector: the model that was used.
        result: what it found.
        key: what `run_key` gave for this run.
        crop_to_bounds: whether GeoJSON coordinates count from the slide's bounds, as QuPath shows it by default,
            or from level 0. It makes a difference only for slides that declare bounds.
        formats: of `endings.ENDINGS`.
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
    record = run_record(slide, detector, result, name=target.name, key=key, origin=scanned.origin)
    stored = StoredResult(scanned=scanned, record=record | {"files": {}, "unfit": {}}, target=target)
    return add_formats(stored, formats)


def _remove_results(target: Path) -> None:
    """Remove what an earlier run left of a slide: first the record, so that nothing vouches for the rest."""
    for ending in (RECORD_ENDING, REPORT_ENDING, *ENDINGS.values()):
        path = with_ending(target, ending)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            message = f"{path}: cannot be replaced: {error.strerror or error}"
            raise OutputError(message) from error


def add_formats(stored: StoredResult, formats: Iterable[str]) -> StoredResult:
    """Write detections in more formats, and a record that names them too.

    Args:
        stored: a slide's results.
        formats: of `endings.ENDINGS`; those that are there are written again.

    Returns:
        The results with the new record.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = {name: with_ending(stored.target, ENDINGS[name]) for name in formats}
    unfit = write_formats(paths, stored.scanned)
    written = files_of({name: path for name, path in paths.items() if name not in unfit})
    before = {name: why for name, why in stored.record.get("unfit", {}).items() if name not in written}
    record = stored.record | {"files": stored.record["files"] | written, "unfit": before | unfit}
    write_record(with_ending(stored.target, RECORD_ENDING), record)
    return replace(stored, record=record)

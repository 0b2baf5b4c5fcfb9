"""Open the viewer of a slide, or of a folder of results."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.errors import OptionError, ResultError
from signetscan.formats.result_files import CORRECTIONS_SUFFIX, RECORD_SUFFIX, REGIONS, add_suffix
from signetscan.plurals import counted
from signetscan.results.folder import find_results
from signetscan.results.lookup import locate_slide
from signetscan.results.reading import load_result
from signetscan.results.run_record import read_run_record
from signetscan.results.slide_finder import SlideFinder, fingerprint_of
from signetscan.results.slide_places import remember_slides, remembered_places
from signetscan.viewer.server import ViewerServer
from signetscan.viewer.slide_opening import open_scanned
from signetscan.viewer.work_list import list_work
from signetscan.viewer.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.results.run_record import RunRecord
    from signetscan.viewer.replies import Answering
    from signetscan.viewer.work_list import WorkItem


@contextmanager
def open_viewer(
    results: Path, slide: Path | None = None, *, marks: Path | None = None, port: int = 0
) -> Iterator[ViewerServer]:
    """Make a server of the viewer for a slide's results, or for a folder of them.

    It answers while its `serve_forever` runs. When the block ends, all marks are on the disk and all slides are closed.

    Args:
        results: a folder of results, or any file of one slide's results.
        slide: the slide, or a folder that the slides are in. Otherwise they are looked for where they were when they
            were scanned, unless their results have pseudonyms, and beside the results.
        marks: the file for the marks of a single slide; by default NAME.corrected.geojson beside the result.
        port: the port to listen on; 0 takes a free one.

    Yields:
        The server. Its `url` is the address to open.

    Raises:
        ResultError: there is no result; or, of a single slide, it is damaged, or its slide is missing.
        AnnotationError: a file of detections or of marks cannot be used.
        OptionError: marks of several slides would go to one file, the file is not one for marks, there is no slide
            where one was named, no result of the folder is of the slide, or the port is taken.
        SlideError: the slide cannot be read.
    """
    is_folder = results.is_dir() and marks is None
    opened = _workspace(results, slide) if is_folder else _single(results, slide, marks)
    with opened as viewer, ViewerServer(viewer, port) as server:
        try:
            yield server
        finally:
            viewer.close()


@contextmanager
def _workspace(results: Path, slide: Path | None) -> Iterator[Answering]:
    items = list_work(results)
    if not any(item.record for item in items):
        find_results(results)  # says why there is nothing to review
        message = f"{results}: no results to review"
        raise ResultError(message)
    finder = _finder(results, slide)
    if slide is not None:
        _check_is_of(slide, items, results)
    missing = sum(item.record is not None and not finder.named(item.name) for item in items)
    warnings = (_missing(missing, finder.count),) if missing else ()
    if slide is not None:
        _remember(results, slide, [item.record for item in items if item.record is not None])
    yield Workspace(results, finder, warnings=warnings)


def _check_is_of(slide: Path, items: Sequence[WorkItem], results: Path) -> None:
    """Check that a slide, or one of those in a folder, is that of a result, whatever their names.

    Another slide's pixels would come to nobody's eyes anyway; but who names it means it, and should not review another.

    Raises:
        OptionError: it is not.
        SlideError: it is a file that cannot be read.
    """
    fingerprints = {record.slide.fingerprint for item in items if (record := _readable(item.record)) is not None}
    if slide.is_dir():
        if SlideFinder([slide]).may_hold([item.name for item in items], fingerprints):
            return
        message = f"{slide}: no slide in it is that of a result in {results}; name the folder of the slides"
    else:
        if fingerprint_of(slide) in fingerprints:
            return
        message = f"{slide}: no result in {results} is of this slide, by its content; name a slide that was scanned"
    raise OptionError(message, options=("slide",))


def _missing(missing: int, known: int) -> str:
    if not known:
        return "nobody knows where the slides are; name the slide, or the folder that they are in"
    return f"{counted(missing, 'slide')} not found by name among {counted(known, 'slide')}; the page says which"


@contextmanager
def _single(result: Path, slide: Path | None, marks: Path | None) -> Iterator[Answering]:
    item = _one_item(result)
    path = marks or add_suffix(item.target, CORRECTIONS_SUFFIX)
    if path.suffix.lower() != ".geojson" or add_suffix(path.with_suffix(""), RECORD_SUFFIX).exists():
        message = f"{path}: choose another file for the marks, one that ends in .geojson and is not a result of detect"
        raise OptionError(message, options=("out",))
    if item.cells is None:
        message = f"{result}: no results of signetscan detect; name the folder to review regions alone"
        raise ResultError(message)
    stored = load_result(item.cells)
    if slide is not None:
        file = locate_slide(stored.record, slide)
        _remember(item.cells, slide, [item.cells])
    else:
        file = _finder(item.cells, None).find(item.name, stored.record)
    make_folder(path.absolute().parent)
    regions = None if item.regions is None else add_suffix(item.target, REGIONS)
    with open_scanned(stored.scanned, stored.record, file, path, regions=regions) as viewer:
        yield viewer


def _one_item(result: Path) -> WorkItem:
    """The results of one slide.

    Raises:
        ResultError: there is no result.
        OptionError: there are several.
    """
    records = find_results(result)
    if len(records) > 1:
        message = f"{result}: results of {len(records)} slides; name a file of one slide, such as {records[0]}"
        raise OptionError(message, options=("out",))
    (record,) = records
    return next(item for item in list_work(record.parent) if item.cells == record)


def _finder(results: Path, slide: Path | None) -> SlideFinder:
    """Where slides are looked for.

    Raises:
        OptionError: there is no slide where one was named.
    """
    beside = results if results.is_dir() else results.parent
    remembered = remembered_places(beside)
    if slide is None:
        return SlideFinder([*remembered, beside])
    if not slide.exists() or not SlideFinder([slide]).count:
        what = "no slide in this folder" if slide.exists() else "no such file"
        message = f"{slide}: {what}"
        raise OptionError(message, options=("slide",))
    return SlideFinder([slide, *remembered])


def _remember(results: Path, slide: Path, records: list[Path]) -> None:
    """Note where slides are, unless their results have pseudonyms, which do not say the place."""
    if all(_says_place(record) for record in records):
        remember_slides(results if results.is_dir() else results.parent, [slide])


def _says_place(path: Path) -> bool:
    record = _readable(path)
    return record is None or bool(record.slide.identity.place)  # a damaged one is not shown either


def _readable(path: Path | None) -> RunRecord | None:
    """A run record; None of one that is missing or damaged."""
    try:
        return None if path is None else read_run_record(path)
    except ResultError:
        return None

"""Open one slide of a work list, with its detections, the regions of its segmentation, and a reviewer's marks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.annotations.marked_slide import Match, read_marked_slide
from signetscan.errors import ResultError
from signetscan.formats.result_files import RECORD_SUFFIX, REGIONS, add_suffix, corrections_path
from signetscan.results.reading import described, load_result
from signetscan.results.run_record import read_run_record
from signetscan.slides import open_slide
from signetscan.slides.opening import content_now
from signetscan.viewer.app import Viewer
from signetscan.viewer.class_overlay import ClassOverlay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.results.run_record import RunRecord
    from signetscan.results.slide_finder import SlideFinder
    from signetscan.viewer.work_list import WorkItem


@contextmanager
def open_item(item: WorkItem, reviewer: str, finder: SlideFinder) -> Iterator[Viewer]:
    """The viewer of a slide; the slide is closed at the end of the block.

    Args:
        item: the slide and its results.
        reviewer: whose marks are shown; empty for marks without a name.
        finder: knows where slides are.

    Raises:
        ResultError: there is no result, it is damaged, or the slide is not known.
        AnnotationError: a file of detections or of marks cannot be used.
        SlideError: the slide cannot be read.
    """
    scanned, record = _results(item)
    with open_scanned(
        scanned,
        record,
        finder.find(item.name, record),
        corrections_path(item.target, reviewer),
        regions=None if item.regions is None else add_suffix(item.target, REGIONS),
        reviewer=reviewer,
    ) as viewer:
        yield viewer


@contextmanager
def open_scanned(
    scanned: ScannedSlide,
    record: RunRecord,
    slide: Path,
    marks: Path,
    *,
    regions: Path | None = None,
    reviewer: str = "",
) -> Iterator[Viewer]:
    """The viewer of a slide whose results were read; the slide is closed at the end of the block.

    Args:
        scanned: the slide's detections.
        record: its run record.
        slide: the slide's file.
        marks: the file of the marks.
        regions: path of the results of its segmentation, without suffix; None if there are none.
        reviewer: who makes the marks; empty if nobody said.

    Raises:
        ResultError: the results of the segmentation are damaged.
        AnnotationError: the file of marks cannot be used.
        SlideError: the slide cannot be read.
    """
    overlay = None if regions is None else _overlay(regions)
    with open_slide(slide, mpp=scanned.mpp.x) as opened:
        yield Viewer(
            scanned,
            opened,
            marks,
            warnings=_warnings(record, slide, marks),
            overlay=overlay,
            reviewer=reviewer,
        )


def _results(item: WorkItem) -> tuple[ScannedSlide, RunRecord]:
    if item.cells is not None:
        stored = load_result(item.cells)
        return replace(stored.scanned, name=item.name), stored.record
    if item.regions is None:
        message = f"{item.name}: there are no results of this slide: {item.failure}"
        raise ResultError(message)
    record = read_run_record(item.regions)
    return replace(described(record), name=item.name, class_names=()), record  # tissue, of which no cell can be


def _overlay(target: Path) -> ClassOverlay:
    return ClassOverlay(target, read_run_record(add_suffix(target, RECORD_SUFFIX)))


def _warnings(record: RunRecord, slide: Path, marks: Path) -> tuple[str, ...]:
    """What the user should know before trusting detections and marks on this slide.

    Raises:
        SlideError: a file of the slide cannot be read.
        AnnotationError: the marks cannot be read.
    """
    fingerprint, scanned = record.slide.fingerprint, record.slide.identity.content
    warnings = [concern.message for concern in record.slide.concerns]
    if scanned and scanned != content_now(slide):
        warnings.append("the slide's files have changed since it was scanned; scan it again")
    if marks.exists() and read_marked_slide(marks).match(fingerprint, scanned) is Match.CHANGED:
        warnings.append("the slide's files have changed since these marks were made; look at them again")
    return tuple(warnings)

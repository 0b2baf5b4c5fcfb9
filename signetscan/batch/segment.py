"""Segmenting one slide of a batch, in a worker; as `batch/slide.py` detects cells on one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from signetscan.batch.outcome import SlidePlanned, SlideScanned, SlideSkipped
from signetscan.batch.slide import (
    FilesNow,
    as_it_was_named,
    check_may_write,
    enlarged_in_words,
    files_of,
    is_done,
    is_enlarged,
    older_results,
    planned_scan,
    roi_of,
    warnings_of_record,
)
from signetscan.errors import OptionError, ResultError
from signetscan.formats.result_files import RECORD_SUFFIX, REPORT_SUFFIX, add_suffix
from signetscan.results.namesakes import check_name_is_free
from signetscan.results.regions_reading import load_regions
from signetscan.results.run_key import run_key
from signetscan.results.run_record import finished_record
from signetscan.scan.options import SegmentOptions
from signetscan.scan.plan import plan_scan
from signetscan.scan.segment import segment_slide
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.options import BatchOptions
    from signetscan.models.segmenter import Segmenter
    from signetscan.results.run_record import RunRecord
    from signetscan.scan.options import ResolvedSegmentOptions
    from signetscan.slides import Slide
    from signetscan.slides.concerns import Concern


def segment_task(
    task: SlideTask,
    request: BatchOptions,
    segmenter: Segmenter,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    claim: Claim | None = None,
) -> SlideScanned | SlideSkipped:
    """Segment a slide and write the results, unless there are results of the same slide, model and options.

    Raises:
        SlideError: the slide cannot be read or changed meanwhile, or another run has taken it over.
        NameTakenError: there are results of another slide of this name.
        OptionError: an option makes no sense.
        OutputError: a file cannot be written.
    """
    from signetscan.results.segmentation import write_segmentation  # noqa: PLC0415 - it needs shapely, and detection does not

    started = time.monotonic()
    options = _options_of(task, segmenter)
    files = FilesNow.of(task.place)
    with open_slide(task.place, mpp=task.mpp) as slide:
        roi = roi_of(task, request, slide)
        content = files.content()
        key = run_key(slide, content, segmenter, options, crop_to_bounds=request.bounds_crop, roi=roi)
        done = as_it_was_named(task, request, key, files.state)
        before = None if request.overwrite else _record_of(done, request, key, files.state)
        record = None if before is None else _with_formats(done, request, before)
        if record is not None:
            if request.report:
                _add_report(request.out / done.name, slide)
            unfit = (why for name, why in record.unfit.items() if name in request.region_formats)
            return SlideSkipped(
                name=task.name,
                record=record,
                warnings=(*_warnings(slide, segmenter, record.slide.concerns), *warnings_of_record(record), *unfit),
                path=task.place_unless(private=request.private),
                files=_files(request.out / done.name, record, request),
            )
        target = request.out / task.name
        if not request.overwrite:
            check_name_is_free(target, task.place, slide.fingerprint, content)
        result = segment_slide(slide, segmenter, options, roi=roi, folder=target.parent, on_progress=on_progress)
        check_may_write(task, files, claim)
        record = write_segmentation(
            target,
            slide,
            segmenter,
            result,
            key=key,
            crop_to_bounds=request.bounds_crop,
            # Those that are there are of the same key, but are written again.
            formats=tuple(dict.fromkeys([*request.region_formats, *(before.files if before is not None else ())])),
            slide_path=task.place,
            identity=files.identity(content, private=request.private),
        )
        if request.report:
            _add_report(target, slide)
        warnings = [*_warnings(slide, segmenter, result.concerns), *older_results(task, request, content)]
    return SlideScanned(
        name=task.name,
        record=record,
        warnings=(*warnings, *warnings_of_record(record), *record.unfit.values()),
        seconds=time.monotonic() - started,
        path=task.place_unless(private=request.private),
        files=_files(target, record, request),
    )


def _record_of(task: SlideTask, request: BatchOptions, key: str, state: str) -> RunRecord | None:
    """The run record of a finished segmentation of the same key; None if there is none."""
    return finished_record(add_suffix(request.out / task.name, RECORD_SUFFIX), key, state)


def _missing(request: BatchOptions, record: RunRecord) -> list[str]:
    """The formats that a finished segmentation lacks, and could have."""
    return [name for name in request.region_formats if name not in record.files and name not in record.unfit]


def _takes_a_scan(request: BatchOptions, record: RunRecord) -> bool:
    """Whether a finished segmentation lacks a format that cannot be made of its maps."""
    from signetscan.results.region_formats import can_add  # noqa: PLC0415 - shapely, as above

    return not can_add(record, _missing(request, record))


def _with_formats(task: SlideTask, request: BatchOptions, record: RunRecord) -> RunRecord | None:
    """The record of a finished segmentation, after adding the formats that are missing; None if that takes a scan."""
    from signetscan.results.region_formats import add_region_formats  # noqa: PLC0415 - shapely, as above

    missing = _missing(request, record)
    if not missing:
        return record
    if _takes_a_scan(request, record):
        return None
    try:
        return add_region_formats(add_suffix(request.out / task.name, RECORD_SUFFIX), missing, slide=task.place)
    except ResultError:
        return None  # a map that cannot be read is made again


def _files(target: Path, record: RunRecord, request: BatchOptions) -> tuple[Path, ...]:
    """The results of a slide, with the run record and, if one was asked for, the report."""
    return files_of(target, record, *((REPORT_SUFFIX,) if request.report else ()))


def _add_report(target: Path, slide: Slide) -> None:
    """Write the report of results that are there, unless it is there too."""
    from signetscan.reports.regions_report import write_regions_report  # noqa: PLC0415 - an extra

    path = add_suffix(target, REPORT_SUFFIX)
    if not path.is_file():
        write_regions_report(path, slide, load_regions(add_suffix(target, RECORD_SUFFIX)))


def plan_task(task: SlideTask, request: BatchOptions, segmenter: Segmenter) -> SlidePlanned:
    """Find out what segmenting a slide would take.

    Raises:
        SlideError: the slide cannot be read.
        NameTakenError: there are results of another slide of this name.
        OptionError: an option makes no sense.
    """
    options = _options_of(task, segmenter)
    files = FilesNow.of(task.place)
    with open_slide(task.place, mpp=task.mpp) as slide:
        roi = roi_of(task, request, slide)
        plan = plan_scan(SlideAtMpp(slide, segmenter.spec.mpp), options.cut(segmenter.spec), options, roi)
        content = files.content()
        key = run_key(slide, content, segmenter, options, crop_to_bounds=request.bounds_crop, roi=roi)
        done = is_done(task, request, slide, key, files.state, content)
        before = _record_of(as_it_was_named(task, request, key, files.state), request, key, files.state)
        planned = planned_scan(slide, plan, done=done and before is not None and not _takes_a_scan(request, before))
        warnings = _warnings(slide, segmenter, plan.concerns)
        path = task.place_unless(private=request.private)
    return SlidePlanned(name=task.name, plan=planned, warnings=tuple(warnings), path=path)


def _options_of(task: SlideTask, segmenter: Segmenter) -> ResolvedSegmentOptions:
    """The options in force.

    Raises:
        OptionError: those of the slide are for detection.
    """
    if not isinstance(task.options, SegmentOptions):
        message = "options of a detection, for a model that segments tissue"
        raise OptionError(message)
    return task.options.resolve(segmenter)


def _warnings(slide: Slide, segmenter: Segmenter, concerns: Iterable[Concern]) -> list[str]:
    """What the user should know about a slide before it is segmented."""
    warnings = [concern.message for concern in concerns]
    if slide.mpp is not None and is_enlarged(slide.mpp, segmenter.spec):
        warnings.append(f"{enlarged_in_words(slide.mpp, segmenter.spec)}; outlines will be coarse")
    return warnings

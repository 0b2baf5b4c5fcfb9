"""One slide of a batch, in a worker: opens it, checks whether it is already done, scans it and writes the results."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np

from signetscan.batch.options import calibrated_of
from signetscan.batch.outcome import PlannedScan, SlidePlanned, SlideScanned, SlideSkipped
from signetscan.errors import OptionError, ResultError, SlideError
from signetscan.formats.parts import PARTED, count_parts
from signetscan.formats.result_files import (
    READABLE_FORMATS,
    RECORD_SUFFIX,
    REPORT_SUFFIX,
    add_suffix,
)
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.plurals import amount
from signetscan.results.namesakes import check_name_is_free, holds_content, place_of, set_marks_aside
from signetscan.results.reading import load_result
from signetscan.results.run_key import run_key
from signetscan.results.run_record import finished_record
from signetscan.results.tissue_of_cells import find_tissue_map, with_tissue
from signetscan.results.writing import add_formats, write_results
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.scan.plan import plan_scan
from signetscan.scan.roi import read_roi
from signetscan.slides import SlideAtMpp, open_slide, qupath_origin
from signetscan.slides.addresses import SeriesAddress
from signetscan.slides.archives import series_state
from signetscan.slides.at_mpp import MAX_ENLARGEMENT
from signetscan.slides.fingerprint import FileIdentity, content_of, state_of
from signetscan.slides.opening import as_slide_errors
from signetscan.slides.parts import slide_parts
from signetscan.slides.protocol import known_mpp
from signetscan.suffixes import GEOJSON_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Self

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.options import BatchOptions
    from signetscan.models.detector import Detector
    from signetscan.models.spec import ModelSpec
    from signetscan.results.reading import StoredResult
    from signetscan.results.run_record import RunRecord
    from signetscan.results.tissue_of_cells import TissueMap
    from signetscan.scan.calibrated import CalibratedThreshold
    from signetscan.scan.options import ResolvedScanOptions
    from signetscan.scan.plan import ScanPlan
    from signetscan.scan.roi import Roi
    from signetscan.slides import Slide
    from signetscan.slides.addresses import SlidePlace
    from signetscan.slides.concerns import Concern
    from signetscan.slides.mpp import Mpp

COARSE = 1.5
"""A slide whose pixels are more than this many times as large as the model's gets a warning."""
MANY = 200_000
"""More detections than this in one GeoJSON file get a warning."""
HEAP_BYTES = 5_000
"""Heap that QuPath needs for a detection of a GeoJSON file, bytes; docs/qupath.md has what was measured."""
SPEED_TILE = 1024
"""Side of the tile on which a model's speed is measured, pixels."""


def scan_slide(
    task: SlideTask,
    request: BatchOptions,
    detector: Detector,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    claim: Claim | None = None,
) -> SlideScanned | SlideSkipped:
    """Scan a slide and write the results, unless there are results of the same slide, model and options.

    Raises:
        SlideError: the slide cannot be read or changed meanwhile, or another run has taken it over.
        NameTakenError: there are results of another slide of this name.
        OptionError: an option makes no sense.
        OutputError: a file cannot be written.
    """
    started = time.monotonic()
    files = FilesNow.of(task.place)
    calibrated, options = _threshold_of(task, request, detector)
    with open_slide(task.place, mpp=task.mpp) as slide:
        roi, content = roi_of(task, request, slide), files.content()
        tissue, doubts = _tissue_of(task, request, options, slide)
        key = _key_of(request, detector, options, calibrated, slide, content, roi, tissue)
        done = as_it_was_named(task, request, key, files.state)
        finished = None if request.overwrite else _finished(done, request, key, files.state, slide)
        if finished is not None:
            unfit = (why for name, why in finished.unfit.items() if name in request.formats)
            warnings = warnings_of(slide, detector, options, finished.slide.concerns)
            return SlideSkipped(
                name=task.name,
                record=finished,
                warnings=(*warnings, *warnings_of_record(finished), *unfit, *doubts),
                path=task.place_unless(private=request.private),
                files=_files(done, request, finished),
            )
        if not request.overwrite:
            check_name_is_free(request.out / task.name, task.place, slide.fingerprint, content)
        result = detect_slide(slide, detector, options, roi=roi, on_progress=on_progress)
        if tissue is not None:
            result = replace(result, detections=with_tissue(result.detections, tissue))
        check_may_write(task, files, claim)
        aside = _set_marks_aside(request.out / task.name, slide)
        written = write_results(
            request.out / task.name,
            slide,
            detector,
            result,
            key=key,
            crop_to_bounds=request.bounds_crop,
            formats=request.formats,
            objects_per_file=request.objects_per_file,
            slide_path=task.place,
            identity=files.identity(content, private=request.private),
            calibrated=calibrated,
        )
        if request.report:
            _write_report(written, slide)
        older = older_results(task, request, content)
        warnings = [*warnings_of(slide, detector, result.options, result.concerns), *aside, *older, *doubts]
    return SlideScanned(
        name=task.name,
        record=written.record,
        warnings=(*warnings, *warnings_of_record(written.record), *written.record.unfit.values()),
        seconds=time.monotonic() - started,
        path=task.place_unless(private=request.private),
        files=_files(task, request, written.record),
    )


def check_may_write(task: SlideTask, files: FilesNow, claim: Claim | None) -> None:
    """Make sure that a slide is still the one that was scanned, and that no other run works on it.

    Called as late as possible: two runs that write the same files would mix their results.

    Raises:
        SlideError: the slide changed meanwhile, or another run has taken it over.
    """
    if FilesNow.of(task.place) != files:
        message = f"{task.place}: the slide changed while it was being read; scan it again once it is copied"
        raise SlideError(message)
    if claim is not None and not claim.is_held():
        message = f"{task.name}: this run paused for so long that another run took over the slide"
        raise SlideError(message)


def _files(task: SlideTask, request: BatchOptions, record: RunRecord) -> tuple[Path, ...]:
    """The results of a slide, with the run record and, if one was asked for, the report."""
    return files_of(request.out / task.name, record, *((REPORT_SUFFIX,) if request.report else ()))


def _finished(task: SlideTask, request: BatchOptions, key: str, state: str, slide: Slide) -> RunRecord | None:
    """The run record of a finished scan, after adding the formats and the report that are still missing."""
    path = add_suffix(request.out / task.name, RECORD_SUFFIX)
    record = finished_record(path, key, state)
    if record is None:
        return None
    missing = [name for name in request.formats if _is_missing(name, record, request)]
    needs_report = request.report and not add_suffix(request.out / task.name, REPORT_SUFFIX).is_file()
    if not missing and not needs_report:
        return record
    if not set(READABLE_FORMATS) & set(record.files):
        return None  # no format to read the detections from: the slide must be scanned again
    stored = load_result(path, slide=task.place)
    if missing:
        stored = add_formats(stored, missing, objects_per_file=request.objects_per_file)
    if needs_report:
        _write_report(stored, slide)
    return stored.record


def as_it_was_named(task: SlideTask, request: BatchOptions, key: str, state: str) -> SlideTask:
    """The slide, with the name that it had before another shared it, if its results are there under that name alone."""
    if task.plain_name is None or add_suffix(request.out / task.name, RECORD_SUFFIX).exists():
        return task
    record = finished_record(add_suffix(request.out / task.plain_name, RECORD_SUFFIX), key, state)
    return task if record is None else replace(task, name=task.plain_name)


def older_results(task: SlideTask, request: BatchOptions, content: str) -> list[str]:
    """A warning if there are results of the slide under the name that it had before another shared it."""
    if task.plain_name is None or not holds_content(request.out / task.plain_name, content):
        return []
    name = task.plain_name.rpartition("/")[2]
    return [f"there are older results of this slide, called {name}, because no other slide had that name then"]


def _set_marks_aside(target: Path, slide: Slide) -> list[str]:
    """Keep the marks of another slide away from this one's results; gives a warning if there were any."""
    aside = set_marks_aside(target, slide.fingerprint)
    held = "held marks of the slide that was here before; it is now"
    return [f"{before.name} {held} {now.name}" for before, now in aside]


def _is_missing(name: str, record: RunRecord, request: BatchOptions) -> bool:
    """Whether a format is still to be written, or to be written in another number of files."""
    if name in record.files:
        return len(record.files[name].names) != count_parts(record.total, name, request.objects_per_file)
    return name not in record.unfit


def _write_report(stored: StoredResult, slide: Slide) -> None:
    from signetscan.reports.cells_in_tissue import cells_in_tissue  # noqa: PLC0415 - an extra
    from signetscan.reports.slide_report import write_slide_report  # noqa: PLC0415 - an extra

    path, in_tissue = add_suffix(stored.target, REPORT_SUFFIX), cells_in_tissue(stored.target)
    write_slide_report(path, slide, stored.scanned, stored.record, in_tissue)


def plan_slide(task: SlideTask, request: BatchOptions, detector: Detector) -> SlidePlanned:
    """Find out what scanning a slide would take.

    Raises:
        SlideError: the slide cannot be read.
        NameTakenError: there are results of another slide of this name.
        OptionError: an option makes no sense.
    """
    calibrated, options = _threshold_of(task, request, detector)
    files = FilesNow.of(task.place)
    with open_slide(task.place, mpp=task.mpp) as slide:
        view = SlideAtMpp(slide, detector.spec.mpp)
        roi = roi_of(task, request, slide)
        plan = plan_scan(view, options.cut(detector.spec), options, roi)
        content = files.content()
        tissue, doubts = _tissue_of(task, request, options, slide)
        key = _key_of(request, detector, options, calibrated, slide, content, roi, tissue)
        done = is_done(task, request, slide, key, files.state, content)
        planned = planned_scan(slide, plan, done=done)
        warnings = [*warnings_of(slide, detector, options, plan.concerns), *doubts]
        path = task.place_unless(private=request.private)
    return SlidePlanned(name=task.name, plan=planned, warnings=tuple(warnings), path=path)


def is_done(task: SlideTask, request: BatchOptions, slide: Slide, key: str, state: str, content: str) -> bool:
    """Whether a slide would be skipped, because it has results of the same key.

    Raises:
        NameTakenError: there are results of another slide of this name.
    """
    if request.overwrite:
        return False
    target = request.out / as_it_was_named(task, request, key, state).name
    if finished_record(add_suffix(target, RECORD_SUFFIX), key, state) is not None:
        return True
    check_name_is_free(target, task.place, slide.fingerprint, content)
    return False


def planned_scan(slide: Slide, plan: ScanPlan, *, done: bool) -> PlannedScan:
    """What scanning a slide by a plan would take."""
    return PlannedScan(
        width_px=slide.dimensions[0],
        height_px=slide.dimensions[1],
        mpp=known_mpp(slide),
        tiles=len(plan.tiles),
        megapixels=sum(tile.width * tile.height for tile in plan.tiles) / 1e6,
        tissue_mm2=plan.tissue_mm2,
        done=done,
    )


def files_of(target: Path, record: RunRecord, *more: str) -> tuple[Path, ...]:
    """The results of a slide, with the run record and what has more suffixes."""
    named = (target.with_name(name) for file in record.files.values() for name in file.names)
    return (*named, *(add_suffix(target, suffix) for suffix in (RECORD_SUFFIX, *more)))


def _threshold_of(
    task: SlideTask, request: BatchOptions, detector: Detector
) -> tuple[CalibratedThreshold | None, ResolvedScanOptions]:
    """The calibration that a slide's threshold is from, if it is from one, and the options in force."""
    calibrated, options = calibrated_of(request), task.options
    if not isinstance(options, ScanOptions):
        message = "options of a segmentation, for a model that detects cells"
        raise OptionError(message)
    if calibrated is None or options.threshold is not None:  # a list may set the threshold of a slide
        return None, options.resolve(detector)
    return calibrated, replace(options, threshold=calibrated.threshold).resolve(detector)


def _tissue_of(
    task: SlideTask, request: BatchOptions, options: ResolvedScanOptions, slide: Slide
) -> tuple[TissueMap | None, list[str]]:
    """The class map in which the tissue of measured cells is looked up, and why there is none although it was made."""
    if not options.measure:
        return None, []
    try:
        return find_tissue_map(request.out / task.name, slide), []
    except ResultError as error:
        return None, [f"cells have no tissue among their measurements: {error}"]


def _key_of(
    request: BatchOptions,
    detector: Detector,
    options: ResolvedScanOptions,
    calibrated: CalibratedThreshold | None,
    slide: Slide,
    content: str,
    roi: Roi | None,
    tissue: TissueMap | None,
) -> str:
    """The key of a slide's results."""
    return run_key(
        slide,
        content,
        detector,
        options,
        crop_to_bounds=request.bounds_crop,
        roi=roi,
        calibrated=calibrated,
        tissue=None if tissue is None else tissue.sha256,
    )


def roi_of(task: SlideTask, request: BatchOptions, slide: Slide) -> Roi | None:
    """The region of interest of a slide.

    Raises:
        AnnotationError: its file is missing, cannot be read or holds no region.
    """
    if request.roi is None:
        return None
    path = request.roi
    if path.is_dir():
        names = [task.name] if task.true_name is None else [task.true_name, task.name]
        spelt = dict.fromkeys(
            as_is for name in names for as_is in (name, normalize("NFC", name), normalize("NFD", name))
        )
        candidates = [add_suffix(path / name, suffix) for name in spelt for suffix in GEOJSON_SUFFIXES]
        path = next((candidate for candidate in candidates if candidate.exists()), candidates[0])
    return read_roi(path, qupath_origin(slide, crop_to_bounds=request.bounds_crop))


def speed_of(detector: Detector) -> float:
    """Megapixels that a model scans in a second, measured on noise; a first run, which is slower, is not timed."""
    spec = detector.spec
    side = spec.tile_size if spec.tile_size_is_fixed else min(SPEED_TILE, spec.tile_size)
    tile = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    detector.detect(tile, spec.score_threshold)
    started = time.perf_counter()
    detector.detect(tile, spec.score_threshold)
    return side * side / 1e6 / (time.perf_counter() - started)


def warnings_of(
    slide: Slide, detector: Detector, options: ResolvedScanOptions, concerns: Iterable[Concern]
) -> list[str]:
    """What the user should know about a slide before it is scanned."""
    warnings = [concern.message for concern in concerns]
    mpp = slide.mpp
    if mpp is not None and is_enlarged(mpp, detector.spec):
        warnings.append(f"{enlarged_in_words(mpp, detector.spec)}; expect missed cells")
    if options.threshold < LEAST_SCORE and options.threshold == detector.spec.score_threshold:
        warnings.append(
            f"the model's own score threshold of {options.threshold:g} lets nearly everything through; give another"
        )
    overlap, usual = options.overlap, detector.spec.tile_overlap
    if overlap < usual:
        warnings.append(
            f"an overlap of {overlap} px is below the model's {usual} px; cells at the borders of tiles may be missed, "
            "reported twice or get other scores"
        )
    return warnings


def is_enlarged(mpp: Mpp, spec: ModelSpec) -> bool:
    """Whether a slide's pixels are so much larger than those of a model that a user should know it."""
    return COARSE < mpp.x / spec.mpp <= MAX_ENLARGEMENT


def enlarged_in_words(mpp: Mpp, spec: ModelSpec) -> str:
    """That a slide is enlarged for a model."""
    return f"the slide has {mpp.x:g} µm/px ({mpp.source}) and is enlarged to the model's {spec.mpp:g} µm/px"


def warnings_of_record(record: RunRecord) -> list[str]:
    """What the user should know about a scanned slide, now or when it is skipped."""
    warnings = []
    if record.unread_mm2 > 0:
        unread = f"{amount(record.unread_mm2, 4)} mm² could not be read and was not scanned"
        warnings.append(f"{unread}; the run record lists the areas")
    if record.total > MANY and any(name in record.files and not record.files[name].more for name in PARTED):
        warnings.append(
            f"{record.total} detections in one GeoJSON file take about {record.total * HEAP_BYTES / 1e9:.1f} GB of "
            "QuPath's heap; import them with docs/qupath/import_results.groovy, or allow fewer objects in a file"
        )
    return warnings


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesNow:
    """The files of a slide as they are at a moment."""

    place: SlidePlace
    """The slide's file, or its address."""
    files: tuple[Path, ...]
    """All files of the slide; none if it is in an archive."""
    state: str
    """Identifies their sizes and times of change, or the images in the archive."""

    @classmethod
    def of(cls, place: SlidePlace) -> Self:
        """Look at the files of a slide, or ask its archive.

        Raises:
            SlideError: they cannot be read, or the archive gives no answer.
        """
        if isinstance(place, SeriesAddress):
            return cls(place=place, files=(), state=series_state(place))
        with as_slide_errors(place):
            files = slide_parts(place)
            return cls(place=place, files=files, state=state_of(files))

    def content(self) -> str:
        """Identifies what they hold; the slide has been opened before, so that it is known to be one."""
        if not self.files:
            return self.state  # images in an archive never change under their UIDs
        with as_slide_errors(self.files[0]):
            return content_of(self.files)

    def identity(self, content: str, *, private: bool) -> FileIdentity:
        """What a run record says of them: with pseudonyms not their place, because a guess could be checked by it."""
        return FileIdentity(content=content, state=self.state, place="" if private else place_of(self.place))

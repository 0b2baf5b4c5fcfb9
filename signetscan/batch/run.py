"""Running a whole batch by one call, for the command line and for programs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from signetscan.annotations.packed import check_is_no_project
from signetscan.batch.events import Begun, Ended, Finished, Noted
from signetscan.batch.find import find_slides, read_list, shard_of, spelt_as_there, with_pseudonyms, with_suffix
from signetscan.batch.journal import Journal
from signetscan.batch.left_out import LeftOut
from signetscan.batch.local import LocalBatch
from signetscan.batch.options import LOCAL, BatchOptions, PreparedBatch, calibrated_of
from signetscan.batch.outcome import SlideFailed, SlideSkipped
from signetscan.batch.privacy import read_key
from signetscan.concurrency import cpu_count
from signetscan.errors import OptionError
from signetscan.formats.result_files import REGIONS, check_libraries
from signetscan.models.spec import Task
from signetscan.models.store import find_model, read_model
from signetscan.reports.index_file import INDEX_NAME
from signetscan.results.calibration import calibrated_threshold
from signetscan.results.slide_places import remember_slides
from signetscan.scan.options import ScanOptions, SegmentOptions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from signetscan.batch.events import Event, SlideEvent
    from signetscan.batch.find import SlideTask
    from signetscan.slides.addresses import AnyPlace

STDIN = "<stdin>"
"""The `name` of standard input."""


def scan_slides(
    paths: Sequence[AnyPlace],
    request: BatchOptions | None = None,
    options: ScanOptions | SegmentOptions | None = None,
    *,
    slide_list: IO[str] | None = None,
) -> Generator[Event]:
    """Detect cells on many slides, or segment their tissue, and write the results; slides that are done are skipped.

    The first event is `Begun`, the last one `Finished`. A slide that fails does not affect the others. Closing the
    generator, or an error, ends all workers; no file is left half-written, and another call continues the batch.

    Example:
        for event in scan_slides([Path("slides")], BatchOptions(out=Path("results")), ScanOptions(threshold=0.6)):
            if isinstance(event, Ended):
                print(event.outcome)

    Args:
        paths: slides, folders of slides and patterns, and addresses of slides and studies in archives.
        request: options of the batch.
        options: how each slide is scanned; by their class, cells are detected or tissue is segmented.
        slide_list: an open CSV file with a column `path`, and any of `signetscan.batch.options.list_columns`.

    Raises:
        OptionError: an option makes no sense, or a path does not exist or holds no slide.
        DeviceError: the device asked for cannot be used, or the cluster cannot be reached.
        ModelError: there is no such model, or it cannot be loaded.
        ResultError: the calibration cannot be read, is of another model, or has no threshold.
        OutputError: results cannot be written: the disk is full, or the folder is gone.
        SlideError: the folder of the slides is gone, or an archive does not say what a study holds.
        MissingExtraError: a library that a format needs is not installed.
    """
    request, options = request or BatchOptions(), options or ScanOptions()
    listed = [] if slide_list is None else _read_list(slide_list, request, options)
    if not paths and not listed:
        message = "name slides, folders of slides, or a list of slides"
        raise OptionError(message, options=("slide_list",))
    is_segmentation = isinstance(options, SegmentOptions)
    if isinstance(options, ScanOptions):
        check_one_threshold(request, options)
    request = prepared(request, Task.SEGMENTATION if is_segmentation else Task.DETECTION)
    left_out = LeftOut()
    found = find_slides(paths, listed, options=options, mpp=request.mpp, private=request.private, left_out=left_out)
    tasks = renamed(found, request)
    tasks = with_suffix(tasks, REGIONS) if is_segmentation else tasks
    tasks = tasks if request.shard is None else shard_of(tasks, request.shard)
    check_roi(request.roi, one_slide=len(tasks) == 1)
    if not request.private and not request.dry_run:
        remember_slides(request.out, [task.place for task in tasks if isinstance(task.place, Path)])
    with Journal(request.log_file) as journal, closing(run_batch(request, tasks, left_out)) as events:
        yield from journal.follow(events)


def run_batch(request: BatchOptions, tasks: Sequence[SlideTask], left_out: LeftOut | None = None) -> Generator[Event]:
    """Scan the slides of tasks; see `scan_slides`."""
    yield Begun(tasks=tuple(tasks))
    calibrated = calibrated_of(request)
    if calibrated is not None:
        yield Noted(text=f"threshold {calibrated.sentence}")
    for line in left_out.lines(private=request.private) if left_out else ():
        yield Noted(text=line)
    done = skipped = failed = 0
    with closing(_scan(request, tasks)) as events:
        for event in events:
            if isinstance(event, Ended):
                skipped += isinstance(event.outcome, SlideSkipped)
                failed += isinstance(event.outcome, SlideFailed)
                done += not isinstance(event.outcome, SlideSkipped | SlideFailed)
            yield event
    yield Finished(done=done, skipped=skipped, failed=failed, index=_write_index(request))


def _scan(request: BatchOptions, tasks: Sequence[SlideTask]) -> Generator[SlideEvent]:
    """Scan slides on this machine or on a cluster."""
    if request.dask not in {None, LOCAL}:
        from signetscan.batch.cluster import run_on_cluster  # noqa: PLC0415 - an extra

        return run_on_cluster(request, tasks)
    environments = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in _gpus(request)] or [{}]
    return LocalBatch(request=request, tasks=tasks, environments=environments).run()


def prepared(request: BatchOptions, task: Task = Task.DETECTION) -> PreparedBatch:
    """The options of a batch with the model's file, and with as many workers and threads as suit this machine.

    Args:
        request: the options.
        task: what is done to the slides.

    Raises:
        ModelError: there is no such model, or it cannot be read.
        ResultError: the calibration cannot be read, is of another model, or has no threshold.
        MissingExtraError: a library that a format needs is not installed.
    """
    formats = tuple(dict.fromkeys(request.formats if task is Task.DETECTION else request.region_formats))
    check_libraries([*formats, *(["report"] if request.report else [])])
    if task is Task.SEGMENTATION and request.report and "geojson" not in request.region_formats:
        message = "a report of regions shows their outlines, which are read from their geojson: write it too"
        raise OptionError(message, options=("report", "region_formats"))
    workers = request.workers or max(1, len(_gpus(request)))
    model = find_model(request.model)
    complete = replace(
        request,
        model=str(model),
        formats=formats if task is Task.DETECTION else request.formats,
        region_formats=formats if task is Task.SEGMENTATION else request.region_formats,
        workers=workers,
        # Workers share the cores.
        threads=request.threads or (max(1, cpu_count() // workers) if workers > 1 else None),
    )
    sha256, path = hashlib.sha256(read_model(model)).hexdigest(), request.calibration
    calibrated = None if path is None else calibrated_threshold(path, model_sha256=sha256)
    return PreparedBatch.of(complete, model_sha256=sha256, calibrated=calibrated, task=task)


def check_one_threshold(request: BatchOptions, options: ScanOptions) -> None:
    """Make sure that the threshold is not given twice.

    Raises:
        OptionError: it is.
    """
    if request.calibration is not None and options.threshold is not None:
        message = f"a threshold of {options.threshold:g}, and another by a calibration: give one of the two"
        raise OptionError(message, options=("threshold", "calibration"))


def renamed(tasks: list[SlideTask], request: BatchOptions) -> list[SlideTask]:
    """The slides, named by pseudonyms if the options ask for them, or as results of them are that are there.

    Raises:
        OptionError: the key cannot be read, or is too easy to guess.
    """
    if request.pseudonymise is None:
        return spelt_as_there(tasks, request.out)
    return with_pseudonyms(tasks, read_key(request.pseudonymise))


def check_roi(path: Path | None, *, one_slide: bool) -> None:
    """Make sure that a region of interest exists, and that each slide gets its own.

    Raises:
        OptionError: the path does not exist, or is one file for several slides.
        AnnotationError: the path is of a QuPath project.
    """
    if path is None:
        return
    if not path.exists():
        message = f"region of interest {path}: no such file or folder"
        raise OptionError(message, options=("roi",))
    check_is_no_project(path)
    if not one_slide and not path.is_dir():
        message = f"region of interest {path}: one file for several slides; give a folder with NAME.geojson for each"
        raise OptionError(message, options=("roi",))


def _read_list(slide_list: IO[str], request: BatchOptions, options: ScanOptions | SegmentOptions) -> list[SlideTask]:
    """The slides of a list; relative paths start from the list's folder, or from the working folder for stdin."""
    source = str(getattr(slide_list, "name", STDIN))
    folder = Path() if source == STDIN else Path(source).parent
    return read_list(slide_list, source, folder, request, options)


def _write_index(request: BatchOptions) -> Path | None:
    """Write the page that lists all reports in the output folder; gives its path, or None if there are no reports."""
    if not request.report or request.dry_run:
        return None
    from signetscan.reports.index import find_entries, write_index  # noqa: PLC0415 - an extra

    path = request.out / INDEX_NAME
    write_index(path, find_entries(request.out))
    return path


def _gpus(request: BatchOptions) -> list[str]:
    """The GPUs to divide among workers, if there are several."""
    if request.device == "cpu":
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        gpus = [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    elif shutil.which("nvidia-smi") is None:
        gpus = []
    else:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # noqa: S607
        gpus = [str(index) for index, line in enumerate(listing.stdout.splitlines()) if line.startswith("GPU ")]
    return gpus if len(gpus) > 1 else []

"""Read the results of an earlier run back from its files."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.reading import read_annotations
from signetscan.detections import Detections
from signetscan.errors import ResultError
from signetscan.formats.csv_file import FORMULA
from signetscan.formats.parts import paths_of
from signetscan.formats.result_files import READABLE_FORMATS, RECORD_SUFFIX
from signetscan.formats.scanned_slide import ScannedSlide
from signetscan.results.measured import read_measurements
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.annotations.objects import Annotations
    from signetscan.results.record_parts import ResultFile
    from signetscan.results.run_record import RunRecord
    from signetscan.slides.addresses import SlidePlace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredResult:
    """The results of one slide, and where they are."""

    scanned: ScannedSlide
    """The slide and its detections."""
    record: RunRecord
    """The run record."""
    target: Path
    """Path of the result files, without their suffixes."""


def load_result(record_path: Path, *, slide: SlidePlace | None = None) -> StoredResult:
    """Read back a slide's detections and its run record.

    Args:
        record_path: path of the run record.
        slide: the slide's file or address, which records do not name.

    Raises:
        ResultError: the record or a file that it names is missing, damaged, or from another run.
        AnnotationError: the file of detections cannot be read.
    """
    record = read_run_record(record_path)
    if record.regions is not None:
        message = f"{record_path}: results of a segmentation, which hold no cells; name results of signetscan detect"
        raise ResultError(message)
    target = record_path.with_name(record_path.name.removesuffix(RECORD_SUFFIX))
    scanned = described(record, slide)
    scanned = replace(scanned, detections=_read_detections(record, target, scanned))
    return StoredResult(scanned=scanned, record=record, target=target)


def described(record: RunRecord, slide: SlidePlace | None = None) -> ScannedSlide:
    """A slide as its run record describes it, without detections.

    Args:
        record: the run record.
        slide: the slide's file or address.
    """
    return ScannedSlide(
        name=record.slide.name,
        detections=Detections.empty(),
        class_names=record.model.class_names,
        model=record.model.name,
        model_sha256=record.model.sha256,
        learnt_from=record.model.learnt_from,
        fingerprint=record.slide.fingerprint,
        content=record.slide.identity.content,
        mpp=record.slide.mpp,
        dimensions=record.slide.dimensions,
        origin=record.geojson_origin,
        path=slide,
        calibrated=record.calibrated,
    )


def _read_detections(record: RunRecord, target: Path, scanned: ScannedSlide) -> Detections:
    """The detections, from the best of the files that the record names."""
    form = next((name for name in READABLE_FORMATS if name in record.files), None)
    if form is None:
        message = f"{target}: its results are in none of {', '.join(READABLE_FORMATS)}; scan the slide again with one"
        raise ResultError(message, options=("format",))
    files = paths_of(target, form, len(record.files[form].names))
    file = files[0]
    parts = [_detections(part, read_annotations(part), scanned, from_csv=form == "csv") for part in files]
    detections = Detections.concatenate(parts)
    if record.is_measured:
        detections = _with_measurements(detections, files, from_csv=form == "csv")
    if len(detections) != record.total:
        counts = f"{len(detections)} in the file, {record.total} in its run record"
        message = f"{file}: the numbers of detections differ, {counts}; scan the slide again"
        raise ResultError(message)
    check_is_whole(file, record.files[form])
    return detections


def check_is_whole(file: Path, recorded: ResultFile) -> None:
    """Make sure that a file, and its other parts if it has some, hold what their run wrote.

    Raises:
        ResultError: they do not, or cannot be read.
    """
    try:
        is_whole = recorded.is_whole(file)
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror or error}"
        raise ResultError(message) from error
    if not is_whole:
        message = f"{file}: not the file that its run wrote, by size or SHA-256; scan the slide again"
        raise ResultError(message)


def _with_measurements(detections: Detections, files: Sequence[Path], *, from_csv: bool) -> Detections:
    """Detections with what was measured of each.

    Raises:
        ResultError: the files hold something else.
    """
    measured = read_measurements(files, from_csv=from_csv)
    if len(measured) != len(detections):
        message = f"{files[0]}: measurements of {len(measured)} cells, but {len(detections)} detections; scan it again"
        raise ResultError(message)
    return replace(detections, measured=measured)


def _detections(file: Path, annotations: Annotations, scanned: ScannedSlide, *, from_csv: bool) -> Detections:
    """The detections of a file that we wrote: boxes in level-0 pixels, rounded as they were written."""
    labels = {_as_read(name, from_csv=from_csv): label for label, name in enumerate(scanned.class_names)}
    unknown = set(annotations.names) - labels.keys()
    has_scores = all(map(math.isfinite, annotations.scores.tolist()))
    if annotations.left_out or annotations.split or unknown or len(labels) < len(scanned.class_names) or not has_scores:
        message = f"{file}: holds objects that its run did not write; scan the slide again"
        raise ResultError(message)
    # GeoJSON counts from the origin; adding it brings rounding errors back, so round again.
    boxes = annotations.boxes if from_csv else (annotations.boxes + scanned.origin * 2).round(2)
    try:
        return Detections(
            boxes=boxes,
            scores=annotations.scores.astype(np.float32),
            labels=np.array([labels[name] for name in annotations.names], np.int64),
        )
    except ValueError as error:  # a coordinate that overflows once the origin is added
        message = f"{file}: {error}; scan the slide again"
        raise ResultError(message) from error


def _as_read(name: str, *, from_csv: bool) -> str:
    """A class name as the parser returns it from a file that we wrote."""
    return (f"'{name}" if from_csv and name.startswith(FORMULA) else name).strip()

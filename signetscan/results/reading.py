"""Results of an earlier run, read back from its files."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from signetscan.annotations.reading import read_annotations
from signetscan.detections import Detections
from signetscan.errors import ResultError
from signetscan.formats.csv_file import FORMULA
from signetscan.formats.result_files import ENDINGS, READABLE_FORMATS, RECORD_ENDING, REPORT_ENDING
from signetscan.formats.scanned_slide import ScannedSlide
from signetscan.results.run_record import read_record
from signetscan.slides.mpp import Mpp

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.annotations.objects import Annotations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredResult:
    """What a run left of one slide."""

    scanned: ScannedSlide
    """The slide and its detections."""
    record: dict[str, Any]
    """The run record, as it was written."""
    target: Path
    """Path of its files, without their endings."""


def find_results(path: Path) -> list[Path]:
    """The run records that a path means: all below a folder, or that of any file of one slide.

    Raises:
        ResultError: there is none.
    """
    if path.is_dir():
        found = sorted(path.rglob(f"*.{RECORD_ENDING}"))
        if not found:
            message = f"{path}: no results of signetscan detect in this folder (looked for *.{RECORD_ENDING})"
            raise ResultError(message)
        return found
    for ending in (RECORD_ENDING, REPORT_ENDING, *ENDINGS.values()):
        if path.name.endswith(f".{ending}"):
            record = path.with_name(f"{path.name.removesuffix(ending)}{RECORD_ENDING}")
            if record.is_file():
                return [record]
    there = "no run record stands beside this file" if path.exists() else "no such file"
    message = f"{path}: {there}; name a folder of results, or a file that signetscan detect wrote (*.{RECORD_ENDING})"
    raise ResultError(message)


def load_result(record_path: Path, *, slide: Path | None = None) -> StoredResult:
    """Read back what a run found on a slide.

    Args:
        record_path: its run record.
        slide: the slide's file, which records do not name.

    Raises:
        ResultError: the record or the files that it names are gone, damaged or not of it.
        AnnotationError: the file of detections cannot be read.
    """
    record = read_record(record_path)
    if record is None:
        message = f"{record_path}: not a run record of signetscan"
        raise ResultError(message)
    target = record_path.with_name(record_path.name.removesuffix(f".{RECORD_ENDING}"))
    try:
        scanned = _scanned(record, target, slide)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        message = f"{record_path}: not a run record of this version of signetscan ({type(error).__name__}: {error})"
        raise ResultError(message) from error
    return StoredResult(scanned=scanned, record=record, target=target)


def _scanned(record: dict[str, Any], target: Path, path: Path | None) -> ScannedSlide:
    slide, model, mpp = record["slide"], record["model"], record["slide"]["mpp"]
    x, y = record["geojson_origin_px"]
    scanned = ScannedSlide(
        name=str(slide["name"]),
        detections=Detections.empty(),
        class_names=tuple(str(name) for name in model["classes"]),
        model=str(model["name"]),
        model_sha256=str(model["sha256"]),
        fingerprint=str(slide["fingerprint"]),
        mpp=Mpp(float(mpp["x"]), float(mpp["y"]), str(mpp["source"])),
        dimensions=(int(slide["width_px"]), int(slide["height_px"])),
        origin=(int(x), int(y)),
        path=path,
    )
    kind = next((name for name in READABLE_FORMATS if name in record["files"]), None)
    if kind is None:
        message = f"{target}: its results are in none of {', '.join(READABLE_FORMATS)}; scan the slide again with one"
        raise ResultError(message)
    file = target.with_name(f"{target.name}.{ENDINGS[kind]}")
    detections = _detections(file, read_annotations(file), scanned, from_csv=kind == "csv")
    if len(detections) != sum(record["detections"].values()):
        message = f"{file}: holds {len(detections)} detections, its run record says otherwise; scan the slide again"
        raise ResultError(message)
    return replace(scanned, detections=detections)


def _detections(file: Path, found: Annotations, scanned: ScannedSlide, *, from_csv: bool) -> Detections:
    """What a file of our own holds, with boxes in level-0 pixels, to the decimals that it was written with."""
    labels = {_as_read(name, from_csv=from_csv): label for label, name in enumerate(scanned.class_names)}
    unknown = set(found.names) - labels.keys()
    if unknown or len(labels) < len(scanned.class_names) or not all(map(math.isfinite, found.scores.tolist())):
        message = f"{file}: holds what its run does not; scan the slide again"
        raise ResultError(message)
    boxes = found.boxes if from_csv else (found.boxes + scanned.origin * 2).round(2)
    return Detections(
        boxes=boxes,
        scores=found.scores.astype(np.float32),
        labels=np.array([labels[name] for name in found.names], np.int64),
    )


def _as_read(name: str, *, from_csv: bool) -> str:
    """A class name as the reader gives it back from our own file."""
    return (f"'{name}" if from_csv and name.startswith(FORMULA) else name).strip()

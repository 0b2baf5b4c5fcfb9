"""Training images of a slide, from the corrections that a reviewer made in QuPath.

A data set is a folder of images with a GeoJSON file beside each, which grows slide by slide; its `dataset.json` has the
size of its pixels and its slides. If the reviewer drew regions, they become the images, cut to pieces if they are
large. If none is positive or reviewed, the whole slide is cut, and the pieces with cells are kept, as images in which
boxes may be missing.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.dataset.corrections import pooled, sort_corrections
from signetscan.dataset.image_writing import replace_images
from signetscan.dataset.options import AddOptions
from signetscan.dataset.qupath import read_counted
from signetscan.dataset.record import FILE, DatasetRecord, read_dataset_record, write_dataset_record
from signetscan.dataset.remarks import Remarks, remark_concerns
from signetscan.dataset.same_slide import check_same_slide
from signetscan.dataset.slide_parts import slide_parts
from signetscan.dataset.slides import view_of
from signetscan.errors import AnnotationError, OptionError, OutputError
from signetscan.results.part_files import all_parts
from signetscan.slides import open_slide, qupath_origin
from signetscan.slides.protocol import known_mpp
from signetscan.suffixes import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from signetscan.annotations import Annotations
    from signetscan.json_values import Json
    from signetscan.slides import Slide

    Progress = Callable[[int, int], None]

MAX_NAME_BYTES = 120
"""Longest name of a slide, bytes: the rest of an image's name takes about 60, and file systems allow 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """The images that were made of a slide."""

    name: str
    """Name of the slide in the names of its images."""
    mpp: float
    """Size of the images' pixels, µm."""
    positives: int
    """Images with cells."""
    normals: int
    """Images without cells."""
    cells: dict[str, int]
    """Number of boxes of each class."""
    replaced: int
    """Earlier images of the slide that were replaced."""
    notes: tuple[str, ...]
    """What was left out or assumed; one line for each kind, with counts and names."""


def add_slide(
    folder: Path,
    slide_path: Path,
    corrected: Sequence[Path],
    options: AddOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> Added:
    """Add a slide to a data set, or replace its images there. Only one process at a time may change a data set.

    Args:
        folder: the data set; created if needed.
        slide_path: the slide.
        corrected: GeoJSON files of the slide, from QuPath or from `signetscan detect`.
        options: classes, images and name.
        on_progress: called with (images written, images to write).

    Raises:
        AnnotationError: a file cannot be used, or the files have nothing to learn from; the message says why.
        SlideError: the slide cannot be opened or decoded.
        OptionError: an option does not fit the data set or the slide.
        OutputError: the folder cannot be written, or is not a data set.
    """
    options = options or AddOptions()
    remarks = Remarks()
    record = _record_of(folder)
    with open_slide(slide_path, mpp=options.mpp) as slide:
        level0 = known_mpp(slide)
        remark_concerns(slide, slide_path.name, remarks)
        mpp = options.image_mpp or round((level0.x + level0.y) / 2, 6) if record is None else record.mpp
        if record is not None and options.image_mpp not in {None, record.mpp}:
            message = f"{folder}: its pixels are {record.mpp:g} µm wide, not {options.image_mpp:g}; name a new folder"
            raise OptionError(message, options=("image_mpp",))
        record = record or DatasetRecord(mpp=mpp)
        name = _name_for(record, slide, options.name or name_of(slide_path.name), folder)
        for path in corrected:
            check_same_slide(path, slide, slide_path, remarks)
        objects = _read_objects(slide, slide_path, corrected, remarks, crop_to_bounds=options.bounds_crop)
        view = view_of(slide_path, slide, mpp)
        corrections = sort_corrections(
            objects, (level0.x, level0.y), remarks, classes=options.classes, detections=options.detections
        )
        chosen = slide_parts(
            view, corrections, remarks, window=options.window, rejected_windows=options.rejected_windows
        )
        if not chosen:
            reasons = "; ".join(remarks.lines()) or "they have no object"
            message = f"{', '.join(map(str, corrected))}: nothing to learn from: {reasons}"
            raise AnnotationError(message, options=("detections",) if len(corrections.undecided) else ())
        stem = f"{name}_{_time_of(corrected)}"
        # A slide may have been added under another name before; those images are replaced too, or it would be in the
        # data set twice.
        names = {name, *record.names_of(slide.fingerprint)}
        replaced = replace_images(folder, record, stem, view, chosen, names, on_progress)
    cells = Counter(cell for part in chosen for cell in part.names)
    added = Added(
        name=name,
        mpp=mpp,
        positives=sum(not part.normal for part in chosen),
        normals=sum(part.normal for part in chosen),
        cells=dict(sorted(cells.items())),
        replaced=replaced,
        notes=remarks.lines(),
    )
    slide_facts: dict[str, Json] = {
        "fingerprint": slide.fingerprint,
        "images": added.positives,
        "normal_images": added.normals,
        "cells": dict(added.cells),
    }
    others = {other: facts for other, facts in record.slides.items() if other not in names}
    write_dataset_record(folder, replace(record, slides={**others, name: slide_facts}))
    return added


def safe_name(text: str) -> str:
    """A name that can be part of a file name on any system and is not hidden; other characters become `_`.

    Raises:
        OptionError: no letter or digit is left.
    """
    kept = re.sub(r"[^\w .()+-]", "_", unicodedata.normalize("NFC", text)).strip(" .")
    if len(kept.encode()) > MAX_NAME_BYTES:
        digest = sha256(os.fsencode(text)).hexdigest()[:8]
        kept = f"{kept.encode()[: MAX_NAME_BYTES - 9].decode(errors='ignore')}-{digest}"
    if not kept.strip("_"):
        message = f"{text!r} cannot name a slide's images; give the slide a name with letters or digits"
        raise OptionError(message, options=("name",))
    return kept


def _record_of(folder: Path) -> DatasetRecord | None:
    """The record of an existing data set; None for a new one.

    Raises:
        OutputError: the folder is a file, or is not a data set.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        message = f"{folder}: a file, not a folder; name another folder"
        raise OutputError(message)
    record = read_dataset_record(folder)
    try:
        others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        message = f"{folder}: cannot be read: {error.strerror}"
        raise OutputError(message) from error
    if record is None and others:
        message = f"{folder}: not empty, and not a data set of slides (it has no valid {FILE}); name a new folder"
        raise OutputError(message)
    return record


def _name_for(record: DatasetRecord, slide: Slide, wanted: str, folder: Path) -> str:
    """The name of the slide in the data set, which no other slide may have, or its images would be replaced."""
    name = safe_name(wanted)
    for other, facts in record.slides.items():
        if other.casefold() == name.casefold() and facts.get("fingerprint") != slide.fingerprint:
            message = f"{folder}: another slide already has the name {other}; give this one a different name"
            raise OptionError(message, options=("name",))
    return name


def _read_objects(
    slide: Slide, slide_path: Path, corrected: Sequence[Path], remarks: Remarks, *, crop_to_bounds: bool
) -> Annotations:
    """All objects and regions of the files that lie on the slide, level-0 pixels.

    Raises:
        AnnotationError: a file cannot be used, or none of the objects lies on the slide.
    """
    files = dict.fromkeys(file for given in corrected for file in all_parts(given))
    parts = [read_counted(path, path.name, remarks) for path in files]
    objects = pooled(parts).moved(*qupath_origin(slide, crop_to_bounds=crop_to_bounds))
    middle = centres(objects.boxes)
    on_slide = np.asarray(((middle >= 0) & (middle < slide.dimensions)).all(axis=1))
    if len(objects) and not on_slide.any():
        width, height = slide.dimensions
        message = (
            f"{', '.join(map(str, corrected))}: no object lies on {slide_path.name} of {width} x {height} px; name the "
            "slide that the objects were drawn on"
        )
        raise AnnotationError(message)
    remarks.add("Objects left out, outside the slide", slide_path.name, int((~on_slide).sum()))
    return objects.select(on_slide)


def _time_of(corrected: Sequence[Path]) -> str:
    """When the newest of the files was written, in the format of DigestPath's image names."""
    newest = max(path.stat().st_mtime for path in corrected)
    return f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H_%M_%S}"

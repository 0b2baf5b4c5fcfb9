"""From a slide and the corrections that a reader made in QuPath to training images.

The data set is a folder of images with GeoJSON beside each, which grows slide by slide; `dataset.json` in it says how
large its pixels are and which slides it is of. Where regions say what was looked through, they are the images, cut to
pieces if they are large. Where there is no positive region, the whole slide is cut, and the pieces with cells are kept,
as images in which boxes may be missing.
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

from signetscan.annotations import read_geojson
from signetscan.boxes import centres
from signetscan.checks import check_ranges
from signetscan.dataset.corrections import pooled, sort_corrections
from signetscan.dataset.cutting import cut_pieces
from signetscan.dataset.images import MAX_MPP
from signetscan.dataset.notes import Notes
from signetscan.dataset.placing import place_images
from signetscan.dataset.record import FILE, DatasetRecord, read_dataset_record, write_dataset_record
from signetscan.dataset.slides import MIN_SIDE, view_of
from signetscan.errors import AnnotationError, OptionError, OutputError
from signetscan.slides import open_slide, qupath_origin
from signetscan.slides.protocol import known_mpp
from signetscan.suffixes import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from signetscan.annotations import Annotations
    from signetscan.slides import Slide

    Progress = Callable[[int, int], None]

MAX_NAME_BYTES = 120
"""Longest name of a slide: what follows in the names of its images takes some 60, and file systems take 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOptions:
    """How to make training images of a slide.

    Raises:
        OptionError: a value is out of range.
    """

    classes: tuple[str, ...] = ()
    """Names of the classes that are cells, in any case; all by default."""
    detections: bool | None = None
    """Whether detections that nobody made annotations of are cells; see `sort_corrections` for None."""
    rejected_windows: bool = True
    """Without positive regions: whether a window in which all was rejected is a normal image."""
    window: int = 2000
    """Longest side of an image where no region was drawn, pixels of the data set."""
    crop_to_bounds: bool = True
    """Whether coordinates count from the slide's bounds, as QuPath shows it by default, or from level 0."""
    mpp: float | None = None
    """Size of the slide's pixels, um, in place of what the file says."""
    image_mpp: float | None = None
    """Size of the pixels of a new data set, um; those of its first slide by default."""
    name: str | None = None
    """What to call the slide in the names of images; its file's name by default."""

    def __post_init__(self) -> None:
        check_ranges(self, window=(MIN_SIDE, 4000))
        if self.image_mpp is not None and not 0 < self.image_mpp <= MAX_MPP:
            message = f"the data set's mpp must be above 0 and at most {MAX_MPP:g} um/px, not {self.image_mpp}"
            raise OptionError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a slide gave."""

    name: str
    """What the slide is called in the names of images."""
    mpp: float
    """Size of the images' pixels, um."""
    positives: int
    """Images with cells."""
    normals: int
    """Images that hold none."""
    cells: dict[str, int]
    """Boxes by class."""
    replaced: int
    """Images of the same slide that these took the place of."""
    notes: tuple[str, ...]
    """What was left out or taken for granted; one line for each kind, with counts and names."""


def add_slide(
    folder: Path,
    slide_path: Path,
    corrected: Sequence[Path],
    options: AddOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> Added:
    """Add a slide to a data set, or replace its images there. One process at a time may change a data set.

    Args:
        folder: the data set; made if it is not there.
        slide_path: the slide.
        corrected: GeoJSON files of the slide, from QuPath or from `signetscan detect`.
        options: how.
        on_progress: called with (images written, images to write).

    Raises:
        AnnotationError: a file cannot be used, or nothing can be learnt from them; the message says why.
        SlideError: the slide cannot be opened or decoded.
        OptionError: an option does not fit the data set or the slide.
        OutputError: the folder cannot be written, or holds something else.
    """
    options = options or AddOptions()
    notes = Notes()
    record = _record_of(folder)
    with open_slide(slide_path, mpp=options.mpp) as slide:
        own = known_mpp(slide)
        mpp = options.image_mpp or round((own.x + own.y) / 2, 6) if record is None else record.mpp
        if record is not None and options.image_mpp not in {None, record.mpp}:
            message = f"{folder}: its pixels are {record.mpp:g} um wide, not {options.image_mpp:g}; name a new folder"
            raise OptionError(message)
        record = record or DatasetRecord(mpp=mpp)
        name = _name_for(record, slide, options.name or name_of(slide_path.name), folder)
        read = _read(slide, slide_path, corrected, notes, crop_to_bounds=options.crop_to_bounds)
        view = view_of(slide_path, slide, mpp)
        pixel_um = (own.x, own.y)
        found = sort_corrections(read, pixel_um, notes, classes=options.classes, detections=options.detections)
        chosen = cut_pieces(view, found, notes, window=options.window, rejected_windows=options.rejected_windows)
        if not chosen:
            reasons = "; ".join(notes.lines()) or "there is no object in them"
            message = f"{', '.join(map(str, corrected))}: nothing to learn from: {reasons}"
            raise AnnotationError(message)
        stem = f"{name}_{_time_of(corrected)}"
        names = {name, *record.names_of(slide.fingerprint)}
        replaced = place_images(folder, record, stem, view, chosen, names, on_progress)
    cells = Counter(cell for piece in chosen for cell in piece.names)
    added = Added(
        name=name,
        mpp=mpp,
        positives=sum(not piece.normal for piece in chosen),
        normals=sum(piece.normal for piece in chosen),
        cells=dict(sorted(cells.items())),
        replaced=replaced,
        notes=notes.lines(),
    )
    facts = {
        "fingerprint": slide.fingerprint,
        "images": added.positives,
        "normal_images": added.normals,
        "cells": added.cells,
    }
    others = {each: of_each for each, of_each in record.slides.items() if each not in names}
    write_dataset_record(folder, replace(record, slides={**others, name: facts}))
    return added


def safe_name(text: str) -> str:
    """A name that is one part of a path on any system, and visible: other characters become `_`.

    Raises:
        OptionError: nothing is left.
    """
    kept = re.sub(r"[^\w .()+-]", "_", unicodedata.normalize("NFC", text)).strip(" .")
    if len(kept.encode()) > MAX_NAME_BYTES:
        digest = sha256(os.fsencode(text)).hexdigest()[:8]
        kept = f"{kept.encode()[: MAX_NAME_BYTES - 9].decode(errors='ignore')}-{digest}"
    if not kept.strip("_"):
        message = f"{text!r} is no name for a slide's images; give one with letters or digits by --name"
        raise OptionError(message)
    return kept


def _record_of(folder: Path) -> DatasetRecord | None:
    """The record of a data set that is there; None for a new one.

    Raises:
        OutputError: the folder is a file, or holds something else.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        message = f"{folder}: a file, not a folder; choose another folder"
        raise OutputError(message)
    record = read_dataset_record(folder)
    try:
        others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        message = f"{folder}: cannot be read: {error.strerror}"
        raise OutputError(message) from error
    if record is None and others:
        message = f"{folder}: not empty, and no data set that slides were added to (it has no {FILE} of one); name a "
        message += "new folder"
        raise OutputError(message)
    return record


def _name_for(record: DatasetRecord, slide: Slide, wanted: str, folder: Path) -> str:
    """What to call the slide, so that no other slide's images are taken for its own."""
    name = safe_name(wanted)
    for other, facts in record.slides.items():
        if other.casefold() == name.casefold() and facts.get("fingerprint") != slide.fingerprint:
            message = f"{folder}: another slide is called {other} in it; give this one a name of its own by --name"
            raise OptionError(message)
    return name


def _read(
    slide: Slide, slide_path: Path, corrected: Sequence[Path], notes: Notes, *, crop_to_bounds: bool
) -> Annotations:
    """All objects and regions of the files, level-0 pixels; those that lie on the slide.

    Raises:
        AnnotationError: a file cannot be used, or none of the objects lies on the slide.
    """
    parts = []
    for path in corrected:
        part = read_geojson(path)
        for reason, count in part.left_out.items():
            notes.add(f"Left out, being {reason}", path.name, count)
        parts.append(part)
    read = pooled(parts).moved(*qupath_origin(slide, crop_to_bounds=crop_to_bounds))
    middle = centres(read.boxes)
    on_slide = np.asarray(((middle >= 0) & (middle < slide.dimensions)).all(axis=1))
    if len(read) and not on_slide.any():
        width, height = slide.dimensions
        message = (
            f"{', '.join(map(str, corrected))}: all {len(read)} objects lie outside {slide_path.name} of {width} x "
            f"{height} px; name the slide that they were drawn on"
        )
        raise AnnotationError(message)
    notes.add("Objects left out, outside the slide", slide_path.name, int((~on_slide).sum()))
    return read.select(on_slide)


def _time_of(corrected: Sequence[Path]) -> str:
    """When the newest of the files was written, as DigestPath's names of images have it."""
    newest = max(path.stat().st_mtime for path in corrected)
    return f"{datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H_%M_%S}"

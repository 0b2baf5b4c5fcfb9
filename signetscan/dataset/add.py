"""From a slide and the corrections that a reader made in QuPath to training images.

The data set is a folder of images with GeoJSON beside each, which grows slide by slide; `dataset.json` in it says how
large its pixels are and which slides it is of. Where regions say what was looked through, they are the images, cut to
pieces if they are large. Where there is no positive region, the whole slide is cut, and the pieces with cells are kept,
as images in which boxes may be missing.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from signetscan.annotations import read_geojson
from signetscan.boxes import centres
from signetscan.checks import check_ranges
from signetscan.dataset.classes import MIN_BOX_SIDE
from signetscan.dataset.corrections import Corrections, inside, pooled, sort_corrections
from signetscan.dataset.found import slide_of
from signetscan.dataset.images import MAX_MPP
from signetscan.dataset.notes import Notes
from signetscan.dataset.record import FILE, DatasetRecord, read_dataset_record, write_dataset_record
from signetscan.dataset.slides import MAX_SIDE, MIN_SIDE, area_edges, centres_within, pieces, view_of
from signetscan.errors import AnnotationError, OptionError, OutputError
from signetscan.outputs.annotations import write_annotations
from signetscan.outputs.atomic import make_folder, part_path
from signetscan.slide_names import name_of
from signetscan.slides import open_slide
from signetscan.slides.mpp import known_mpp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations
    from signetscan.slides import Slide, SlideAtMpp

    Progress = Callable[[int, int], None]
    Edges = tuple[int, int, int, int]

IMAGE_ENDING, FILE_ENDING = ".png", ".geojson"
MAX_IMAGES = 1000
"""Most images of one slide, some 10 GB; regions that need more were not looked through cell by cell."""
MAX_NAME_BYTES = 120
"""Longest name of a slide: what follows in the names of its images takes some 60, and file systems take 255."""
STAGE = ".adding-"
"""Beginning of the names of folders in which images are made before they take their place."""
COMPRESSION = 3
"""Of the PNG files: a few percent larger than at the usual 6, and written twice as fast."""


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


class Piece(NamedTuple):
    """A part of the slide that becomes an image."""

    edges: Edges
    """x0, y0, x1, y1, view pixels."""
    boxes: NDArray[np.float64]
    """(N, 4), cells, pixels of the image."""
    names: tuple[str, ...]
    """Class of each cell."""
    normal: bool
    """Whether it holds no cell."""


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
        chosen = _chosen(view, found, options, notes)
        if not chosen:
            reasons = "; ".join(notes.lines()) or "there is no object in them"
            message = f"{', '.join(map(str, corrected))}: nothing to learn from: {reasons}"
            raise AnnotationError(message)
        stem = f"{name}_{_time_of(corrected)}"
        names = {name, *record.names_of(slide.fingerprint)}
        replaced = _put(folder, record, stem, view, chosen, names, on_progress)
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


# ---- what is there --------------------------------------------------------------------------------------------------


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
    read = pooled(parts)
    if slide.bounds is not None and crop_to_bounds:
        read = read.moved(slide.bounds.x, slide.bounds.y)
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


# ---- what becomes an image ------------------------------------------------------------------------------------------


def _chosen(view: SlideAtMpp, found: Corrections, options: AddOptions, notes: Notes) -> list[Piece]:
    """All images of a slide.

    Raises:
        AnnotationError: there are too many.
    """
    scale = np.array(view.scale)
    cells, rejected, unsure = (boxes / np.tile(scale, 2) for boxes in (found.cells, found.rejected, found.unsure))
    names = np.array(found.names, np.object_)
    chosen: dict[Edges, Piece] = {}
    for edges, normal in _parts_of_areas(view, found, cells, notes):
        piece = _piece(edges, cells, names, notes, normal=normal)
        if normal or piece.names:
            chosen.setdefault(edges, piece)
        else:
            notes.add("Parts of positive regions left out, without a cell: nothing is learnt from them", "")
    if any(not area.normal for area in found.areas):
        for what, boxes in (("Cells", found.cells), ("Rejected objects", found.rejected)):
            notes.add(f"{what} left out, outside all regions", "", int((~inside(boxes, found.areas)).sum()))
    else:
        outside = ~inside(found.rejected, found.areas)
        for edges, normal in _windows(view, cells, rejected[outside], unsure, options, notes):
            piece = _piece(edges, cells, names, notes, normal=normal)
            if normal or piece.names:
                chosen.setdefault(edges, piece)
    if len(chosen) > MAX_IMAGES:
        message = f"its regions make {len(chosen)} images, more than {MAX_IMAGES}; draw smaller ones around what you "
        message += "looked through"
        raise AnnotationError(message)
    return list(chosen.values())


def _parts_of_areas(
    view: SlideAtMpp, found: Corrections, cells: NDArray[np.float64], notes: Notes
) -> Iterator[tuple[Edges, bool]]:
    """Where the images of regions lie, and whether they are normal. A region that holds a cell is not."""
    for area in found.areas:
        edges = area_edges(area, view.slide, np.array(view.scale))
        if min(edges[2] - edges[0], edges[3] - edges[1]) < MIN_SIDE:
            notes.add(f"Regions left out, outside the slide or thinner than {MIN_SIDE} px in it", "")
            continue
        normal = area.normal and not centres_within(cells, edges).any()
        if area.normal and not normal:
            notes.add("Regions declared normal, but with cells in them: taken for positive ones", "")
        elif normal and not area.is_rectangle:
            notes.add("Normal regions that are no rectangles: all of the rectangle around each counts", "")
        for part in pieces(edges, MAX_SIDE):
            yield part, normal


def _windows(
    view: SlideAtMpp,
    cells: NDArray[np.float64],
    rejected: NDArray[np.float64],
    unsure: NDArray[np.float64],
    options: AddOptions,
    notes: Notes,
) -> Iterator[tuple[Edges, bool]]:
    """Where images lie on a slide without positive regions: all of it is cut, and what has an object is kept.

    A window is normal where objects were rejected and no cell reaches into it, nor anything that may be one.
    """
    width, height = np.floor(np.array(view.slide.dimensions) / view.scale).astype(int).tolist()
    for edges in pieces((0, 0, width, height), options.window):
        if centres_within(cells, edges).any():
            yield edges, False
        elif number := int(centres_within(rejected, edges).sum()):
            if options.rejected_windows and not _touches(np.concatenate([cells, unsure]), edges):
                notes.add("Windows in which all was rejected, taken for normal images", "")
                yield edges, True
            else:
                notes.add("Rejected objects left out, in windows that are not taken for normal", "", number)


def _touches(boxes: NDArray[np.float64], edges: Edges) -> bool:
    return bool(((boxes[:, :2] < edges[2:]) & (boxes[:, 2:] > edges[:2])).all(axis=1).any())


def _piece(
    edges: Edges, cells: NDArray[np.float64], names: NDArray[np.object_], notes: Notes, *, normal: bool
) -> Piece:
    """An image with the cells whose centre lies in it, cut at its edges."""
    x0, y0, x1, y1 = edges
    own = centres_within(cells, edges)
    boxes = np.clip(cells[own] - (x0, y0, x0, y0), 0, (x1 - x0, y1 - y0) * 2)
    solid = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    notes.add(f"Cells left out, thinner than {MIN_BOX_SIDE:g} px in their image", "", int((~solid).sum()))
    return Piece(edges, boxes[solid], tuple(names[own][solid].tolist()), normal)


# ---- files ----------------------------------------------------------------------------------------------------------


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """A hidden folder in the data set to make images in. What a killed process left of one is removed."""
    try:
        for left in folder.glob(f"{STAGE}*"):
            shutil.rmtree(left, ignore_errors=True)
        stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=folder))
    except OSError as error:
        message = f"{folder}: cannot be written: {error.strerror}"
        raise OutputError(message) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _put(
    folder: Path,
    record: DatasetRecord,
    stem: str,
    view: SlideAtMpp,
    chosen: Sequence[Piece],
    names: set[str],
    on_progress: Progress | None,
) -> int:
    """Write a slide's images into the data set, and say how many of its old ones, under any of its names, they replace.

    Raises:
        SlideError: the slide cannot be decoded; the data set stays as it was.
        OutputError: the folder cannot be written.
    """
    make_folder(folder)
    with _stage(folder) as stage:
        _write_pieces(stage, stem, view, chosen, on_progress)
        write_dataset_record(folder, record)  # so that what a kill leaves from here on is known as a data set
        return _swap(folder, stage, names)


def _write_pieces(
    stage: Path, stem: str, view: SlideAtMpp, chosen: Sequence[Piece], on_progress: Progress | None
) -> None:
    for number, piece in enumerate(chosen, start=1):
        x0, y0, x1, y1 = piece.edges
        pixels = view.read(x0, y0, x1 - x0, y1 - y0)
        level0 = np.rint(np.array([x0, y0, x1 - x0, y1 - y0]) * np.tile(view.scale, 2)).astype(int).tolist()
        path = stage / f"{stem}-lv0-{'-'.join(map(str, level0))}{IMAGE_ENDING}"
        with part_path(path) as part:
            Image.fromarray(pixels).save(part, format="PNG", compress_level=COMPRESSION)
        size = (x1 - x0, y1 - y0)
        write_annotations(path.with_suffix(FILE_ENDING), size, piece.boxes, piece.names, normal=piece.normal)
        if on_progress is not None:
            on_progress(number, len(chosen))


def _swap(folder: Path, stage: Path, names: set[str]) -> int:
    """Put new images in the place of a slide's old ones, and say how many those were.

    The old ones go first: what a kill leaves lacks images, but holds none twice, and adding the slide again mends it.
    """
    endings = (FILE_ENDING, IMAGE_ENDING)
    try:
        old = [path for path in folder.iterdir() if path.suffix in endings and slide_of(path.stem) in names]
        for path in sorted(old, key=lambda path: endings.index(path.suffix)):
            path.unlink()
        for path in sorted(stage.iterdir(), key=lambda path: -endings.index(path.suffix)):
            path.replace(folder / path.name)
    except OSError as error:
        message = f"{folder}: cannot be written: {error.strerror or error}; add the slide again"
        raise OutputError(message) from error
    return sum(path.suffix == IMAGE_ENDING for path in old)

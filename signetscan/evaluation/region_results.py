"""Results of `signetscan segment` as labels of an image's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signetscan.annotations.outlines import filled
from signetscan.errors import ResultError
from signetscan.formats.result_files import FAILURE_SUFFIX, RECORD_SUFFIX, REGION_SUFFIXES, REGIONS, add_suffix
from signetscan.formats.tissue_maps import map_tiles
from signetscan.results.failures import read_failure
from signetscan.results.reading import check_is_whole
from signetscan.results.regions_reading import read_rings
from signetscan.results.run_record import read_run_record
from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, UNREAD, array_on_disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.results.record_parts import RegionsRecord
    from signetscan.results.run_record import RunRecord

ENDINGS = tuple(f"{REGIONS}{suffix}" for suffix in (RECORD_SUFFIX, *REGION_SUFFIXES.values()))
"""Ends of the names of files that belong to the results of a segmentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentedSlide:
    """The results of one slide."""

    target: Path
    """Path of its files, without suffix."""
    record: RunRecord
    """Its run record."""
    regions: RegionsRecord
    """What the record says of its regions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentedSlides:
    """The results of a folder, or of one slide."""

    slides: dict[str, SegmentedSlide]
    """By the slide's name, with "/" between folders."""
    failed: dict[str, str]
    """Why slides failed, by name."""


def has_regions(path: Path) -> bool:
    """Whether a path is of results of a segmentation: a file of theirs, or a folder with any."""
    if path.is_dir():
        return any(path.rglob(f"*{REGIONS}{RECORD_SUFFIX}")) or any(path.rglob(f"*{REGIONS}{FAILURE_SUFFIX}"))
    return path.name.endswith(ENDINGS)


def read_segmented(path: Path) -> SegmentedSlides:
    """The results of a segmentation in a folder and below it, or those to which a file belongs.

    Raises:
        ResultError: there are none, or a run record is damaged.
    """
    records = _records(path)
    folder = path if path.is_dir() else path.parent
    slides: dict[str, SegmentedSlide] = {}
    for file in records:
        record = read_run_record(file)
        if record.regions is not None:
            target = file.with_name(file.name.removesuffix(RECORD_SUFFIX))
            name = target.relative_to(folder).as_posix().removesuffix(REGIONS)
            slides[name] = SegmentedSlide(target=target, record=record, regions=record.regions)
    failed: dict[str, str] = {}
    for file in sorted(path.rglob(f"*{REGIONS}{FAILURE_SUFFIX}")) if path.is_dir() else ():
        name = file.relative_to(folder).as_posix().removesuffix(f"{REGIONS}{FAILURE_SUFFIX}")
        failed[name] = read_failure(file).short_reason(name)
    if not slides and not failed:
        message = (
            f"{path}: no results of a segmentation (looked for *{REGIONS}{RECORD_SUFFIX}); for masks, name a folder "
            "that signetscan segment wrote, or a model that segments"
        )
        raise ResultError(message)
    # Results of a slide that failed later are of an earlier run.
    return SegmentedSlides(slides={name: one for name, one in slides.items() if name not in failed}, failed=failed)


def _records(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob(f"*{REGIONS}{RECORD_SUFFIX}"))
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), None)
    if ending is None:
        return []
    record = path.with_name(path.name.removesuffix(ending) + REGIONS + RECORD_SUFFIX)
    if not record.is_file():
        message = f"{record}: no such file; the results of a segmentation need their run record beside them"
        raise ResultError(message)
    return [record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The pixels of a picture of a slide, or of a part of it."""

    left: int
    """Left edge, in these pixels from the slide's corner."""
    top: int
    """Top edge."""
    scale: tuple[float, float]
    """Width and height of a pixel, level-0 pixels."""


class LabelledImage(Protocol):
    """What a segmentation says of the places of a slide."""

    def labels(self, grid: Grid, rows: int, columns: int) -> NDArray[np.uint8]:
        """The labels of some pixels, (rows, columns); what was not scanned is background."""


def labelled_image(slide: SegmentedSlide) -> LabelledImage:
    """The class map of a slide, or its outlines where there is no map.

    Raises:
        AnnotationError: the file of outlines cannot be read.
        ResultError: there is neither, or a file is missing, or not the one that its run wrote.
    """
    return MappedImage(slide) if has_map(slide) else OutlinedImage(slide)


def has_map(slide: SegmentedSlide) -> bool:
    """Whether there is a class map, which says what the model says of each place."""
    return slide.regions.map is not None and "classmap" in slide.record.files


def _file_of(slide: SegmentedSlide, form: str) -> Path:
    """The file of a format, which must be the one that its run wrote.

    Raises:
        ResultError: it is not, or there is none.
    """
    written = slide.record.files.get(form)
    if written is None:
        message = f"{slide.target}: its results have neither class map nor outlines; segment the slide again with one"
        raise ResultError(message)
    path = slide.target.with_name(written.name)
    check_is_whole(path, written)
    return path


class MappedImage:
    """The class map of a slide.

    Args:
        slide: the results, with a map.

    Raises:
        ResultError: the map's file is missing, or not the one that its run wrote.
    """

    def __init__(self, slide: SegmentedSlide) -> None:
        path, placed = _file_of(slide, "classmap"), slide.regions.map
        if placed is None:
            message = f"{slide.target}: its run record does not say where the class map lies; segment the slide again"
            raise ResultError(message)
        self._background, self._pixel = background_of(slide), placed.pixel
        self._classes = array_on_disk((placed.rows, placed.columns), None)
        for top, left, pixels in map_tiles(path, (placed.rows, placed.columns)):
            self._classes[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels

    def labels(self, grid: Grid, rows: int, columns: int) -> NDArray[np.uint8]:
        """The labels of some pixels, (rows, columns): a pixel has the class of the place of its centre."""
        across, down = (size / step for size, step in zip(grid.scale, self._pixel, strict=True))
        in_rows = np.floor((np.arange(grid.top, grid.top + rows) + 0.5) * down).astype(np.intp)
        in_columns = np.floor((np.arange(grid.left, grid.left + columns) + 0.5) * across).astype(np.intp)
        values = self._classes[in_rows.clip(max=len(self._classes) - 1)]
        values = values[:, in_columns.clip(max=values.shape[1] - 1)]
        known = (values != NOT_SCANNED) & (values != UNREAD)
        return np.where(known, values - FIRST_CLASS, np.uint8(self._background))


class OutlinedImage:
    """The regions of a slide, from which the labels of its pixels follow.

    Args:
        slide: the results.

    Raises:
        AnnotationError: the file of regions cannot be read.
        ResultError: it is missing, or not the file that its run wrote.
    """

    def __init__(self, slide: SegmentedSlide) -> None:
        record, path = slide.record, _file_of(slide, "geojson")
        self._rings = read_rings(path, record.model.class_names, record.geojson_origin)
        self._background = background_of(slide)

    def labels(self, grid: Grid, rows: int, columns: int) -> NDArray[np.uint8]:
        """The labels of some pixels, (rows, columns): a pixel has the class of the region around its centre.

        Raises:
            AnnotationError: outlines are too complex.
        """
        labels = np.full((rows, columns), self._background, np.uint8)
        top, bottom = grid.top * grid.scale[1], (grid.top + rows) * grid.scale[1]
        for label, rings in enumerate(self._rings):
            near = [ring for ring in rings if ring[:, 1].max() > top and ring[:, 1].min() < bottom]
            # Regions of a class do not overlap, so that all their rings together say what lies in any of them.
            if near:
                placed = [ring / grid.scale - (grid.left, grid.top) for ring in near]
                labels[filled(placed, (rows, columns))] = label
        return labels


def background_of(slide: SegmentedSlide) -> int:
    """The label of the class that is of no interest; records of former versions do not say, and there it is the first.

    Raises:
        ResultError: the record names another class than its model.
    """
    return next(_labels_of(slide, [slide.regions.background] if slide.regions.background else []), 0)


def scored_of(slide: SegmentedSlide) -> tuple[int, ...]:
    """The labels of the classes that score the slide; all but the background where the record does not say.

    Raises:
        ResultError: the record names another class than its model.
    """
    if slide.regions.scored:
        return tuple(_labels_of(slide, slide.regions.scored))
    background = background_of(slide)
    return tuple(label for label in range(len(slide.record.model.class_names)) if label != background)


def _labels_of(slide: SegmentedSlide, names: Sequence[str]) -> Iterator[int]:
    known = slide.record.model.class_names
    for name in names:
        if name not in known:
            message = (
                f"{add_suffix(slide.target, RECORD_SUFFIX)}: names the class {name}, which its model does not have; "
                "segment the slide again"
            )
            raise ResultError(message)
        yield known.index(name)

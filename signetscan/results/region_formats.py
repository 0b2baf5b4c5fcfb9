"""Write the results of a segmentation in further formats, from its maps, without scanning again."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from signetscan.errors import OptionError, ResultError
from signetscan.formats.region_writers import write_region_files
from signetscan.formats.result_files import RECORD_SUFFIX, add_suffix
from signetscan.formats.segmented_slide import SegmentedSlide
from signetscan.formats.tissue_maps import map_tiles
from signetscan.options import options_from, options_of
from signetscan.results.reading import check_is_whole
from signetscan.results.record_parts import ResultFile
from signetscan.results.run_record import read_run_record, write_run_record
from signetscan.scan.class_map import ClassMap, array_on_disk
from signetscan.scan.options import ResolvedSegmentOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.results.record_parts import MapRecord
    from signetscan.results.run_record import RunRecord
    from signetscan.slides.addresses import SlidePlace

MADE_OF = {
    "geojson": ("classmap", "heatmap"),
    "csv": ("classmap",),
    "classmap": ("classmap",),
    "heatmap": ("classmap", "heatmap"),
    "dicom": ("classmap",),
}
"""The maps that a format is made of: annotations hold mean probabilities."""


def can_add(record: RunRecord, formats: Iterable[str]) -> bool:
    """Whether a segmentation can be written in some formats without scanning again, because its maps are there.

    Args:
        record: the run record of the segmentation.
        formats: names from `formats.result_files.REGION_SUFFIXES`.
    """
    regions, needed = record.regions, {name for form in formats for name in MADE_OF[form]}
    is_described = regions is not None and regions.map is not None and regions.background != ""
    return not needed or (is_described and needed <= record.files.keys())


def add_region_formats(record_path: Path, formats: Sequence[str], *, slide: SlidePlace | None = None) -> RunRecord:
    """Write a segmentation in further formats, and a run record that lists these too.

    Args:
        record_path: path of the run record.
        formats: names from `formats.result_files.REGION_SUFFIXES`; files that exist are written again.
        slide: the slide's file, to which DICOM segmentations refer.

    Returns:
        The new record.

    Raises:
        ResultError: the record or a map is missing, damaged or from another run, or there is not the map that a format
            is made of.
        OutputError: a file cannot be written.
    """
    target = record_path.with_name(record_path.name.removesuffix(RECORD_SUFFIX))
    record = read_run_record(record_path)
    written, unfit = write_region_files(target, formats, load_segmentation(record_path, formats, slide=slide))
    record = record.with_files({name: ResultFile.of(path) for name, path in written.items()}, unfit)
    write_run_record(add_suffix(target, RECORD_SUFFIX), record)
    return record


def load_segmentation(
    record_path: Path, formats: Sequence[str], *, slide: SlidePlace | None = None, folder: Path | None = None
) -> SegmentedSlide:
    """Read a segmented slide back, with what some formats are made of.

    Args:
        record_path: path of the run record.
        formats: names from `formats.result_files.REGION_SUFFIXES`. Without one that is made of the heat map, all
            probabilities are 0.
        slide: the slide's file.
        folder: where the files of the map are, which have no names; the folder of the record if None.

    Raises:
        ResultError: the record or a map is missing, damaged or from another run, or there is not the map that a format
            is made of.
        OutputError: there is no room for the map.
    """
    record = read_run_record(record_path)
    regions = record.regions
    if regions is None:
        message = f"{record_path}: results of a detection, which hold no regions; name results of signetscan segment"
        raise ResultError(message)
    if regions.map is None or not can_add(record, formats):
        needed = sorted({name for form in formats for name in MADE_OF[form]} - record.files.keys())
        message = (
            f"{record_path}: has no {' and no '.join(needed) or 'description of its map'}, of which "
            f"{' and '.join(formats)} would be made; segment the slide again"
        )
        raise ResultError(message, options=("format",))
    names = [area.name for area in regions.classes]
    try:
        background, scored = names.index(regions.background), tuple(map(names.index, regions.scored))
        options = options_from(
            ResolvedSegmentOptions,
            {name: record.options[name] for name in options_of(ResolvedSegmentOptions)},
        )
    except (ValueError, KeyError, OptionError) as error:
        message = f"{record_path}: not a run record that this version of signetscan reads: {error}"
        raise ResultError(message) from error
    return SegmentedSlide(
        name=record.slide.name,
        class_map=_read_map(record_path, record, regions.map, formats, folder or record_path.parent),
        class_names=tuple(names),
        class_colours=tuple(area.colour for area in regions.classes),
        background=background,
        scored=scored,
        options=options,
        areas=regions.classes,
        model=record.model.name,
        model_sha256=record.model.sha256,
        learnt_from=record.model.learnt_from,
        fingerprint=record.slide.fingerprint,
        content=record.slide.identity.content,
        mpp=record.slide.mpp,
        dimensions=record.slide.dimensions,
        origin=record.geojson_origin,
        path=slide,
    )


def _read_map(
    record_path: Path, record: RunRecord, placed: MapRecord, formats: Sequence[str], folder: Path
) -> ClassMap:
    """The maps that formats are made of, on disk."""
    needed = {name for form in formats for name in MADE_OF[form]}
    size = placed.rows, placed.columns

    def read(name: str) -> NDArray[np.uint8]:
        if name not in needed:
            return array_on_disk(size, folder)
        file = record.files[name]
        path = record_path.with_name(file.name)
        check_is_whole(path, file)
        tiles = map_tiles(path, size)
        first = next(tiles)  # refuses a file of another size before there is room for a map
        values = array_on_disk(size, folder)
        for top, left, pixels in chain([first], tiles):
            values[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return values

    width, height = placed.pixel
    return ClassMap(
        classes=read("classmap"),
        scored=read("heatmap"),
        pixel=placed.pixel,
        pixel_um=(width * record.slide.mpp.x, height * record.slide.mpp.y),
    )

"""The function that writes each format of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import UnfitError
from signetscan.formats.class_areas import write_class_areas
from signetscan.formats.dicom_segments import write_segments
from signetscan.formats.regions import write_outlines
from signetscan.formats.result_files import REGION_SUFFIXES, add_suffix
from signetscan.formats.tissue_maps import write_class_map, write_probability_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from signetscan.formats.segmented_slide import SegmentedSlide

    Writer = Callable[[Path, SegmentedSlide], object]


def _csv(path: Path, segmented: SegmentedSlide) -> None:
    write_class_areas(path, segmented.areas)


REGION_WRITERS: dict[str, Writer] = {
    "geojson": write_outlines,
    "csv": _csv,
    "classmap": write_class_map,
    "heatmap": write_probability_map,
    "dicom": write_segments,
}
"""The writer of each format of `result_files.REGION_SUFFIXES`."""


def write_region_files(
    target: Path, formats: Iterable[str], segmented: SegmentedSlide
) -> tuple[dict[str, Path], dict[str, str]]:
    """Write the regions of a slide in several formats.

    Args:
        target: path of the files without suffix.
        formats: names from `result_files.REGION_SUFFIXES`.
        segmented: the slide, its map and the areas of its classes.

    Returns:
        The file of each format, and by format why it cannot hold this slide's regions.

    Raises:
        OutputError: a file cannot be written.
    """
    written: dict[str, Path] = {}
    unfit: dict[str, str] = {}
    for name in formats:
        path = add_suffix(target, REGION_SUFFIXES[name])
        try:
            REGION_WRITERS[name](path, segmented)
            written[name] = path
        except UnfitError as error:
            unfit[name] = str(error)
    return written, unfit

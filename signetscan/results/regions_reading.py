"""Read the regions of a segmented slide back from its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.features import read_features
from signetscan.annotations.left_out import Unreadable
from signetscan.annotations.shapes import shape_of
from signetscan.errors import ResultError
from signetscan.formats.result_files import RECORD_SUFFIX
from signetscan.results.reading import check_is_whole
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.json_values import Json
    from signetscan.results.record_parts import RegionsRecord
    from signetscan.results.run_record import RunRecord

    Rings = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredRegions:
    """The regions of one slide, and where its results are."""

    record: RunRecord
    """The run record."""
    regions: RegionsRecord
    """What it says of the regions."""
    rings: tuple[Rings, ...]
    """For each class, in the order of `regions.classes`, the outlines and holes of all its regions: closed rings of
    corners, (K, 2) each, level-0 pixels. Those of a class do not cross."""
    target: Path
    """Path of the result files, without their suffixes."""


def load_regions(record_path: Path) -> StoredRegions:
    """Read back the regions of a slide and its run record.

    Args:
        record_path: path of the run record.

    Raises:
        ResultError: the record or the file of regions is missing, damaged, or from another run.
        AnnotationError: the file of regions is too large.
    """
    record = read_run_record(record_path)
    if record.regions is None:
        message = f"{record_path}: results of a detection, which hold no regions; name results of signetscan segment"
        raise ResultError(message)
    if "geojson" not in record.files:
        message = f"{record_path}: its regions were not written as geojson; segment the slide again"
        raise ResultError(message, options=("format",))
    file = record_path.with_name(record.files["geojson"].name)
    check_is_whole(file, record.files["geojson"])
    names = [area.name for area in record.regions.classes]
    return StoredRegions(
        record=record,
        regions=record.regions,
        rings=_read(file, names, np.array(record.geojson_origin, np.float64)),
        target=record_path.with_name(record_path.name.removesuffix(RECORD_SUFFIX)),
    )


def _read(file: Path, names: list[str], origin: NDArray[np.float64]) -> tuple[Rings, ...]:
    """The rings of each class."""
    rings: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for feature in read_features(file):
        name, shape = _class_of(feature), None
        try:
            match feature:
                case {"geometry": dict(geometry)}:
                    shape = shape_of(geometry)
        except Unreadable:
            shape = None
        if name not in rings or shape is None or shape.points or shape.lines:
            message = f"{file}: holds objects that its run did not write; segment the slide again"
            raise ResultError(message)
        rings[name] += [ring + origin for ring in shape.rings]
    return tuple(tuple(rings[name]) for name in names)


def _class_of(feature: Json) -> str | None:
    """The class of a region; None if it is none that we wrote."""
    match feature:
        case {"properties": {"classification": {"name": str(name)}}}:
            return name
    return None

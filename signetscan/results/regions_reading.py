"""Read the regions of a segmented slide back from its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.annotations.features import read_features
from signetscan.annotations.left_out import Unreadable
from signetscan.annotations.shapes import shape_of
from signetscan.errors import ResultError
from signetscan.formats.result_files import RECORD_SUFFIX
from signetscan.results.reading import check_is_whole
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
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
        rings=read_rings(file, names, record.geojson_origin),
        target=record_path.with_name(record_path.name.removesuffix(RECORD_SUFFIX)),
    )


def read_rings(
    file: Path, class_names: Sequence[str], origin: tuple[float, float]
) -> tuple[tuple[NDArray[np.float64], ...], ...]:
    """The outlines and holes of all regions of a file that `write_regions` wrote.

    Args:
        file: the file.
        class_names: names of the classes that may have regions.
        origin: the point that QuPath takes as (0, 0), level-0 pixels.

    Returns:
        For each class, closed rings of corners, (K, 2) each, level-0 pixels.

    Raises:
        ResultError: it holds something that no run wrote.
        AnnotationError: it is too large, or no GeoJSON.
    """
    rings: dict[str, list[NDArray[np.float64]]] = {name: [] for name in class_names}
    for number, feature in enumerate(read_features(file), start=1):
        name, found = _region(file, number, feature)
        if name not in rings:
            message = f"{file}: feature {number} has a class that its model does not; segment the slide again"
            raise ResultError(message)
        rings[name] += [ring + origin for ring in found]
    return tuple(tuple(rings[name]) for name in class_names)


def _region(file: Path, number: int, feature: Json) -> tuple[str, Sequence[NDArray[np.float64]]]:
    """The class of a feature, and the rings of its polygons."""
    match feature:
        case {"geometry": dict(geometry), "properties": {"classification": {"name": str(name)}}}:
            try:
                shape = shape_of(geometry)
            except Unreadable as problem:
                message = f"{file}: feature {number} {problem}; segment the slide again"
                raise ResultError(message) from problem
            if not shape.points and not shape.lines:
                return name, shape.rings
    message = f"{file}: feature {number} is no region that signetscan segment writes; segment the slide again"
    raise ResultError(message)

"""The tissue in which each cell lies, by the class map of an earlier segmentation of the slide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import ResultError
from signetscan.formats.result_files import RECORD_SUFFIX, REGIONS, add_suffix
from signetscan.measurements import NO_TISSUE
from signetscan.results.cells_in_regions import map_of, values_of_cells
from signetscan.results.run_record import read_run_record
from signetscan.scan.class_map import FIRST_CLASS

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.results.record_parts import MapRecord
    from signetscan.slides import Slide


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueMap:
    """The class map of a slide, in a file."""

    path: Path
    """The file."""
    placed: MapRecord
    """Where its pixels lie."""
    names: tuple[str, ...]
    """Names of the classes."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""


def find_tissue_map(target: Path, slide: Slide) -> TissueMap | None:
    """The class map that `segment` left beside where the results of a slide go; None if it left no results.

    Args:
        target: path of the results of detection, without suffix.
        slide: the slide.

    Raises:
        ResultError: there are results, but of another slide, without a class map, or damaged.
    """
    path = add_suffix(target, f"{REGIONS}{RECORD_SUFFIX}")
    if not path.exists():
        return None
    record = read_run_record(path)
    if (record.slide.fingerprint, record.slide.dimensions) != (slide.fingerprint, slide.dimensions):
        message = f"{path}: regions of another slide"
        raise ResultError(message)
    areas, placed, file = map_of(path, record)
    return TissueMap(
        path=file, placed=placed, names=tuple(area.name for area in areas), sha256=record.files["classmap"].sha256
    )


def with_tissue(detections: Detections, tissue_map: TissueMap) -> Detections:
    """Measured detections with the tissue in which the centre of each box lies.

    Raises:
        ResultError: the map cannot be read.
    """
    if detections.measured is None:
        return detections
    values = values_of_cells(detections, tissue_map.path, tissue_map.placed).astype(np.int64) - FIRST_CLASS
    has_class = (values >= 0) & (values < len(tissue_map.names))
    tissue = np.where(has_class, values, NO_TISSUE).astype(np.uint8)
    measured = replace(detections.measured, tissue=tissue, tissues=tissue_map.names)
    return replace(detections, measured=measured)

"""How many cells lie in which tissue: the results of a detection and of a segmentation of one slide, taken together.

A cell lies where the centre of its box lies. The class map says which class that place has, and the areas are those of
the same map, so that densities are exact: nothing is simplified, left out or filled, as it is in outlines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.errors import ResultError
from signetscan.formats.tissue_maps import values_at
from signetscan.plurals import amount
from signetscan.results.reading import check_is_whole, load_result
from signetscan.results.run_record import read_run_record
from signetscan.scan.class_map import FIRST_CLASS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.formats.class_areas import ClassArea
    from signetscan.json_values import Json
    from signetscan.results.record_parts import MapRecord, ModelRecord
    from signetscan.results.run_record import RunRecord

DENSITY_DECIMALS = 3
"""Densities are rounded to 0.001 per mm²."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueCells:
    """The cells in the tissue of one class."""

    tissue: str
    """Name of the tissue's class."""
    mm2: float
    """Area of the class on the map, mm²."""
    cells: tuple[int, ...]
    """Number of cells of each class of cells."""

    @property
    def total(self) -> int:
        """Cells of all classes."""
        return sum(self.cells)

    def per_mm2(self, number: int) -> float | None:
        """A number of cells in this tissue as cells per mm²; None where there is no such tissue."""
        return round(number / self.mm2, DENSITY_DECIMALS) if self.mm2 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsInRegions:
    """Which tissue the cells of a slide lie in. The numbers of all tissues and those outside add up to all cells."""

    name: str
    """The slide's name in results."""
    fingerprint: str
    """The slide's fingerprint."""
    detector: ModelRecord
    """The model that found the cells."""
    segmenter: ModelRecord
    """The model that segmented the tissue."""
    tissues: tuple[TissueCells, ...]
    """The cells in each class of tissue, the background among them, in the order of the model's classes."""
    outside: tuple[int, ...]
    """Number of cells of each class where the map has no class: on glass, outside of the region of interest, or where
    the segmentation could not read the slide."""
    notes: tuple[str, ...]
    """What makes the numbers less sure, as sentences."""

    @property
    def cell_classes(self) -> tuple[str, ...]:
        """Name of each class of cells."""
        return self.detector.class_names

    @property
    def total(self) -> int:
        """Cells of all classes, wherever they lie."""
        return sum(tissue.total for tissue in self.tissues) + sum(self.outside)

    def to_json(self) -> dict[str, Json]:
        """The figures as JSON."""
        tissues: dict[str, Json] = {
            tissue.tissue: {
                "mm2": tissue.mm2,
                "cells": dict(zip(self.cell_classes, tissue.cells, strict=True)),
                "cells_per_mm2": {
                    name: tissue.per_mm2(number) for name, number in zip(self.cell_classes, tissue.cells, strict=True)
                },
            }
            for tissue in self.tissues
        }
        return {
            "slide": self.name,
            "fingerprint": self.fingerprint,
            "detector": {"name": self.detector.name, "sha256": self.detector.sha256},
            "segmenter": {"name": self.segmenter.name, "sha256": self.segmenter.sha256},
            "cells": self.total,
            "tissues": tissues,
            "outside": {"cells": dict(zip(self.cell_classes, self.outside, strict=True))},
            "notes": list(self.notes),
        }


def cells_in_regions(cells: Path, regions: Path) -> CellsInRegions:
    """Count the cells of a slide in each class of its tissue.

    Cells belong to the class of the map at the centre of their box; the map may have pixels of any size, because all is
    placed in level-0 pixels.

    Args:
        cells: the run record of a detection, NAME.run.json.
        regions: the run record of a segmentation of the same slide, NAME.regions.run.json, with its class map beside
            it.

    Returns:
        Cells per class of cells and class of tissue, and the area of the tissue on the map, mm².

    Raises:
        ResultError: a record is missing, damaged or of the other kind; they are of different slides, or were kept to
            different regions of interest; or there is no class map, or another one than the run wrote.
        AnnotationError: the file of detections cannot be read.
    """
    stored, record = load_result(cells), read_run_record(regions)
    _check_fit(cells, stored.record, regions, record)
    areas, placed, path = map_of(regions, record)
    detections = stored.scanned.detections
    values = values_of_cells(detections, path, placed)
    counts = np.zeros((256, len(stored.record.model.class_names)), np.int64)
    np.add.at(counts, (values, detections.labels), 1)
    of_classes = counts[FIRST_CLASS : FIRST_CLASS + len(areas)]
    return CellsInRegions(
        name=stored.scanned.name,
        fingerprint=stored.scanned.fingerprint,
        detector=stored.record.model,
        segmenter=record.model,
        tissues=tuple(
            TissueCells(tissue=area.name, mm2=area.mm2, cells=tuple(numbers))
            for area, numbers in zip(areas, of_classes.tolist(), strict=True)
        ),
        outside=tuple((counts.sum(axis=0) - of_classes.sum(axis=0)).tolist()),
        notes=tuple(_notes(stored.record, record)),
    )


def values_of_cells(detections: Detections, path: Path, placed: MapRecord) -> NDArray[np.uint8]:
    """The values of a class map where the centres of boxes lie, (N,).

    Args:
        detections: boxes in level-0 pixels.
        path: the file of the map.
        placed: where its pixels lie.

    Raises:
        ResultError: the map cannot be read.
    """
    points = np.asarray(centres(detections.boxes), np.float64) / placed.pixel
    return values_at(path, (placed.rows, placed.columns), points)


def _check_fit(cells: Path, detected: RunRecord, regions: Path, segmented: RunRecord) -> None:
    """Make sure that the results are of one slide, and of the same part of it.

    Raises:
        ResultError: they are not.
    """
    one, other = detected.slide, segmented.slide
    if (one.fingerprint, one.dimensions) != (other.fingerprint, other.dimensions):
        message = f"{cells} and {regions}: results of different slides; scan the same slide in both ways"
        raise ResultError(message)
    digests = [None if record.roi is None else record.roi.digest for record in (detected, segmented)]
    if digests[0] != digests[1]:
        message = (
            f"{cells} and {regions}: kept to different regions of interest, so that no cell is found in some of the "
            "tissue; scan the slide in both ways with the same one, or without"
        )
        raise ResultError(message, options=("roi",))


def map_of(path: Path, record: RunRecord) -> tuple[tuple[ClassArea, ...], MapRecord, Path]:
    """The areas of the classes of a segmentation, its class map, and the file that holds it.

    Raises:
        ResultError: the record is of a detection, or there is no map, or another one than the run wrote.
    """
    if record.regions is None:
        message = f"{path}: results of a detection, which hold no regions; name results of signetscan segment"
        raise ResultError(message)
    placed, file = record.regions.map, record.files.get("classmap")
    if placed is None or file is None:
        message = f"{path}: has no class map, in which cells are looked up; segment the slide again, with a class map"
        raise ResultError(message, options=("format",))
    map_path = path.with_name(file.name)
    check_is_whole(map_path, file)
    return record.regions.classes, placed, map_path


def _notes(detected: RunRecord, segmented: RunRecord) -> Iterator[str]:
    """What makes the numbers less sure."""
    if detected.unread_mm2:
        yield f"{amount(detected.unread_mm2, 4)} mm² could not be read by the detection, and no cells were found there"
    if segmented.unread_mm2:
        unread = amount(segmented.unread_mm2, 4)
        yield f"{unread} mm² could not be read by the segmentation; cells there count as outside of all tissue"

"""The cells in each class of tissue, for reports of slides that have results of both kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.errors import AnnotationError, ResultError
from signetscan.formats.result_files import RECORD_SUFFIX, REGIONS
from signetscan.reports.pictures import css_colour
from signetscan.reports.scores import density_text
from signetscan.results.cells_in_regions import cells_in_regions
from signetscan.results.run_record import read_run_record

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.results.cells_in_regions import TissueCells

MOST_CELL_CLASSES = 6
"""Most classes of cells that get columns of their own; with more, the table has their sum alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueRow:
    """The cells in one class of tissue."""

    name: str
    colour: str
    """A CSS colour; empty for what is outside of all tissue."""
    mm2: float | None
    """Area of the tissue, mm²; None outside of all."""
    cells: tuple[int, ...]
    """Number of cells in each column."""
    densities: tuple[str, ...]
    """The same per mm² of the tissue."""
    bar: float
    """Cells of all classes per mm², per cent of those in the tissue that has most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellsInTissue:
    """The cells in each class of tissue, as a table."""

    columns: tuple[str, ...] = ()
    """Classes of cells, or all of them together."""
    rows: tuple[TissueRow, ...] = ()
    detector: str = ""
    """Name of the model that found the cells."""
    segmenter: str = ""
    """Name of the model that segmented the tissue."""
    finished: tuple[str, str] = ("", "")
    """When the cells and the regions were found, UTC."""
    notes: tuple[str, ...] = ()
    """What makes the numbers less sure, as sentences."""
    fits: bool = True
    """Whether the results fit together; if not, there is no table."""


def cells_in_tissue(target: Path) -> CellsInTissue | None:
    """Count the cells of a slide in each class of its tissue.

    Args:
        target: path of the slide's results without suffix, those of cells or those of regions.

    Returns:
        The table; None unless there are results of both kinds.
    """
    name = target.name.removesuffix(REGIONS)
    cells, regions = (target.with_name(f"{each}{RECORD_SUFFIX}") for each in (name, f"{name}{REGIONS}"))
    if not (cells.is_file() and regions.is_file()):
        return None
    try:
        found = cells_in_regions(cells, regions)
        segmented, detected = read_run_record(regions), read_run_record(cells)
    except (ResultError, AnnotationError):
        return CellsInTissue(fits=False)
    areas = () if segmented.regions is None else segmented.regions.classes
    highest = max((tissue.total / tissue.mm2 for tissue in found.tissues if tissue.mm2), default=0) or 1.0
    columns = found.cell_classes if len(found.cell_classes) <= MOST_CELL_CLASSES else ("Cells",)
    outside = TissueRow(
        name="Outside of all",
        colour="",
        mm2=None,
        cells=found.outside if len(found.outside) == len(columns) else (sum(found.outside),),
        densities=("",) * len(columns),
        bar=0,
    )
    return CellsInTissue(
        columns=columns,
        rows=(
            *(
                _row(tissue, css_colour(area.colour), len(columns), highest)
                for tissue, area in zip(found.tissues, areas, strict=True)
            ),
            outside,
        ),
        detector=found.detector.name,
        segmenter=found.segmenter.name,
        finished=(_minute(detected.finished), _minute(segmented.finished)),
        notes=found.notes,
    )


def _row(tissue: TissueCells, colour: str, columns: int, highest: float) -> TissueRow:
    cells = tissue.cells if len(tissue.cells) == columns else (tissue.total,)
    return TissueRow(
        name=tissue.tissue,
        colour=colour,
        mm2=tissue.mm2,
        cells=cells,
        densities=tuple(density_text(number, tissue.mm2) for number in cells),
        bar=100 * tissue.total / tissue.mm2 / highest if tissue.mm2 else 0,
    )


def _minute(time: str) -> str:
    """A time of ISO 8601, to the minute."""
    return time[:16].replace("T", " ")

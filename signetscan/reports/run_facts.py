"""What a report says of a run. It comes from the run record, which anybody may have edited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.errors import ResultError
from signetscan.json_values import is_number
from signetscan.models.spec import said_data
from signetscan.scan.plan import NOTHING_TO_SCAN

if TYPE_CHECKING:
    from signetscan.boxes import Box
    from signetscan.options import Value
    from signetscan.results.run_record import RunRecord

NO_INTENDED_USE = "the model does not say"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a report says of a run."""

    finished: str
    """When the run ended, UTC."""
    model: str
    """Name of the model."""
    intended_use: str
    """What the model says that it is for."""
    learnt_from: str
    """What the model says that it learnt from."""
    threshold: float | None
    """Lowest score that counts; None where no cells were detected."""
    min_tissue_um2: float
    """Smallest piece of tissue that was scanned, µm²."""
    tissue_mm2: float | None
    """Area of the tissue mask, mm²; None where all was scanned."""
    roi_polygons: int
    """Number of polygons in the region of interest; 0 where the whole slide was scanned."""
    tiles_scanned: int
    """Tiles that the model was run on."""
    unread_mm2: float
    """Area that could not be read, mm²."""
    unread: tuple[Box, ...]
    """The unread areas as x0, y0, x1, y1, level-0 pixels."""
    concerns: tuple[str, ...]
    """What was suspicious about the slide."""
    rows: tuple[tuple[str, str], ...]
    """Name and value of each other fact."""
    options: tuple[tuple[str, str], ...]
    """Name and value of each option."""
    versions: tuple[tuple[str, str], ...]
    """Name and version of each library."""


def run_facts(record: RunRecord) -> RunFacts:
    """Take the facts from a run record.

    Raises:
        ResultError: the record lacks an option that reports show, or gives an impossible value for it.
    """
    return RunFacts(
        finished=record.finished[:19].replace("T", " ") + " UTC",
        model=record.model.name,
        intended_use=record.model.intended_use or NO_INTENDED_USE,
        learnt_from=said_data(record.model.learnt_from),
        threshold=_number(record, "threshold", high=1) if record.regions is None else None,
        min_tissue_um2=_number(record, "min_tissue"),
        tissue_mm2=record.tissue_mm2,
        roi_polygons=0 if record.roi is None else record.roi.polygons,
        tiles_scanned=record.tiles.scanned,
        unread_mm2=record.unread_mm2,
        unread=record.unread,
        concerns=_concerns(record),
        rows=tuple(_rows(record)),
        options=tuple((name.replace("_", " "), _shown(value)) for name, value in record.options.items()),
        versions=tuple(record.versions.items()),
    )


def _concerns(record: RunRecord) -> tuple[str, ...]:
    """Doubts about the model, and what was suspicious about the slide, also if an older record does not say so."""
    cautions = [f"the model is to be doubted: {caution}" for caution in record.model.cautions]
    concerns = [concern.message for concern in record.slide.concerns]
    nothing = [] if record.tiles.scanned else [NOTHING_TO_SCAN.message]
    return tuple(dict.fromkeys([*cautions, *concerns, *nothing]))


def _rows(record: RunRecord) -> list[tuple[str, str]]:
    slide, model, (width, height) = record.slide, record.model, record.slide.dimensions
    seconds = sum(record.seconds.values())
    calibrated = [] if record.calibrated is None else [("Threshold", record.calibrated.sentence)]
    return [
        ("Slide", f"{width:,} x {height:,} px, {slide.format_name}"),
        ("Size of a pixel", f"{slide.mpp.x:.4g} x {slide.mpp.y:.4g} µm ({slide.mpp.source})"),
        ("Model", f"{model.name}, {model.precision}, works at {model.mpp:g} µm/px"),
        ("Model file", f"SHA-256 {model.sha256}"),
        *calibrated,
        ("Ran on", record.provider),
        ("Tiles", f"{record.tiles.scanned:,} of {record.tiles.grid:,} scanned, in {seconds:,.1f} s"),
    ]


def _number(record: RunRecord, name: str, high: float = float("inf")) -> float:
    """The value of an option that must be a number of at least 0."""
    value = record.options.get(name)
    if not is_number(value) or not 0 <= value <= high:
        message = f"the run record of {record.slide.name} has no usable option {name.replace('_', ' ')}"
        raise ResultError(message)
    return float(value)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)

"""What a report says of a run, from its record, which may come from a file that anybody wrote."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signetscan.errors import ResultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.boxes import Box

NO_INTENDED_USE = "not said by the model"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run, for people."""

    finished: str
    """When, by the clock of the machine, in UTC."""
    model: str
    """Its name."""
    intended_use: str
    """What the model says it is for."""
    threshold: float
    """Lowest score reported."""
    min_tissue_um2: float
    """Smallest piece of tissue that was scanned, um2."""
    tissue_mm2: float | None
    """Area of the tissue mask, mm2; None where all was scanned."""
    roi_outlines: int
    """Outlines of the region of interest to which the scan kept; 0 where it was the whole slide."""
    unread_mm2: float
    """Area that could not be decoded, mm2."""
    unread: tuple[Box, ...]
    """Places of it, x0, y0, x1, y1 in level-0 pixels."""
    rows: tuple[tuple[str, str], ...]
    """All else: what, and its value."""
    options: tuple[tuple[str, str], ...]
    """Name and value of each option."""
    versions: tuple[tuple[str, str], ...]
    """Name and version of each library."""


def run_facts(record: Mapping[str, Any]) -> RunFacts:
    """What a record says.

    Raises:
        ResultError: it is not a record of this version.
    """
    try:
        return _facts(record)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        message = f"not a run record of this version of signetscan ({type(error).__name__}: {error})"
        raise ResultError(message) from error


def _facts(record: Mapping[str, Any]) -> RunFacts:
    model, options = record["model"], record["options"]
    tissue, threshold = record["tissue_mm2"], amount(options["score_threshold"])
    if threshold > 1:
        message = f"a score threshold of {threshold}"
        raise ValueError(message)
    return RunFacts(
        finished=str(record["finished"])[:19].replace("T", " ") + " UTC",
        model=str(model["name"]),
        intended_use=str(model.get("intended_use") or NO_INTENDED_USE),
        threshold=threshold,
        min_tissue_um2=amount(options["min_tissue_um2"]),
        tissue_mm2=None if tissue is None else amount(tissue),
        roi_outlines=int(amount((record.get("roi") or {"outlines": 0})["outlines"])),
        unread_mm2=amount(record["unread_mm2"]),
        unread=tuple((amount(x0), amount(y0), amount(x1), amount(y1)) for x0, y0, x1, y1 in record["unread_px"]),
        rows=tuple(_rows(record)),
        options=tuple((str(name).replace("_", " "), _shown(value)) for name, value in options.items()),
        versions=tuple((str(name), str(version)) for name, version in record["versions"].items()),
    )


def _rows(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    slide, model, mpp = record["slide"], record["model"], record["slide"]["mpp"]
    tiles = record["tiles"]
    seconds = sum(float(value) for value in record["seconds"].values())
    return [
        ("Slide", f"{int(slide['width_px']):,} x {int(slide['height_px']):,} px, {slide['format']}"),
        ("Size of a pixel", f"{float(mpp['x']):.4g} x {float(mpp['y']):.4g} um, from {mpp['source']}"),
        ("Model", f"{model['name']}, {model['precision']}, works at {float(model['mpp']):g} um/px"),
        ("Model file", f"SHA-256 {model['sha256']}"),
        ("Ran on", str(record["provider"])),
        ("Tiles", f"{int(tiles['scanned']):,} of {int(tiles['grid']):,} scanned, in {seconds:,.1f} s"),
    ]


def amount(value: object) -> float:
    """A value of a record that must be a number from 0.

    Raises:
        TypeError: it is none.
        ValueError: it is below 0, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(value)
    return float(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)

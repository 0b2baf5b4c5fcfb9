"""What became of each slide of a batch. Nothing here imports anything heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, assert_never

from signetscan.formats.result_files import RECORD_SUFFIX
from signetscan.models.spec import in_one_line
from signetscan.texts import printable

if TYPE_CHECKING:
    from signetscan.json_values import Json
    from signetscan.results.run_record import RunRecord
    from signetscan.slides.addresses import SlidePlace
    from signetscan.slides.mpp import Mpp


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideScanned:
    """A slide was scanned, and its results are written."""

    name: str
    """Name of its results below the output folder."""
    record: RunRecord
    """Its run record."""
    warnings: tuple[str, ...] = ()
    """What the user should know about it."""
    seconds: float
    """Time that the scan took, s."""
    path: SlidePlace | None = None
    """Its file, or its address; None where results have pseudonyms."""
    files: tuple[Path, ...] = ()
    """Its results: the formats, the run record and, if there is one, the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSkipped:
    """A slide was scanned before, with the same model and options."""

    name: str
    """Name of its results below the output folder."""
    record: RunRecord
    """Its run record."""
    warnings: tuple[str, ...] = ()
    """What was suspicious about it, and why some of the requested formats cannot hold its detections."""
    path: SlidePlace | None = None
    """Its file, or its address; None where results have pseudonyms."""
    files: tuple[Path, ...] = ()
    """Its results, as for a slide that was scanned now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFailed:
    """A slide could not be scanned."""

    name: str
    """Name of its results below the output folder."""
    reason: str
    """Why."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""
    path: SlidePlace | None = None
    """Its file, or its address; None where results have pseudonyms."""
    files: tuple[Path, ...] = ()
    """The record of its failure; none in a dry run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScan:
    """What scanning a slide would take."""

    width_px: int
    """Width of the slide, level-0 pixels."""
    height_px: int
    """Height of the slide, level-0 pixels."""
    mpp: Mpp
    """Size of its pixels."""
    tiles: int
    """Tiles to scan."""
    megapixels: float
    """Size of the tiles, millions of pixels at the model's mpp."""
    tissue_mm2: float | None
    """Area of the tissue mask, mm²; None if no mask is used."""
    done: bool
    """Whether the slide is already scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePlanned:
    """A slide was examined in a dry run, but not scanned."""

    name: str
    """Name of its results below the output folder."""
    plan: PlannedScan
    """What scanning it would take."""
    warnings: tuple[str, ...] = ()
    """What the user should know about it."""
    path: SlidePlace | None = None
    """Its file, or its address; None where results have pseudonyms."""


ALREADY_DONE = "already done with the same slide, model and options"
"""Why a slide was skipped."""

SlideOutcome: TypeAlias = SlideScanned | SlideSkipped | SlideFailed | SlidePlanned


def record_file(outcome: SlideScanned | SlideSkipped) -> Path:
    """The run record among a slide's results."""
    return next(path for path in outcome.files if path.name.endswith(RECORD_SUFFIX))


def outcome_facts(outcome: SlideOutcome) -> dict[str, Json]:
    """The outcome of a slide for log files and JSON output."""
    match outcome:
        case SlideScanned():
            return _facts(outcome, "done") | _record_facts(outcome) | {"seconds": round(outcome.seconds, 1)}
        case SlideSkipped():
            return _facts(outcome, "skipped") | {"reason": ALREADY_DONE} | _record_facts(outcome)
        case SlideFailed():
            facts: dict[str, Json] = {"reason": printable(outcome.reason)} if outcome.reason else {}
            return _facts(outcome, "failed") | facts | _files(outcome)
        case SlidePlanned():
            plan = outcome.plan
            facts = {
                "width_px": plan.width_px,
                "height_px": plan.height_px,
                "mpp": plan.mpp.x,
                "mpp_source": plan.mpp.source,
                "tiles": plan.tiles,
                "megapixels": plan.megapixels,
                "tissue_mm2": plan.tissue_mm2,
                "done": plan.done,
            }
            return _facts(outcome, "planned") | facts | _warnings(outcome)
        case _:
            assert_never(outcome)


def _facts(outcome: SlideOutcome, status: str) -> dict[str, Json]:
    path: dict[str, Json] = {} if outcome.path is None else {"path": str(outcome.path)}
    return {"slide": printable(outcome.name), "status": status} | path


def _files(outcome: SlideScanned | SlideSkipped | SlideFailed) -> dict[str, Json]:
    return {"outputs": [str(path) for path in outcome.files]}


def _record_facts(outcome: SlideScanned | SlideSkipped) -> dict[str, Json]:
    record = outcome.record
    found: dict[str, Json] = {"detections": dict(record.detections)}
    facts: dict[str, Json] = {
        **(found if record.regions is None else record.regions.to_json()),
        "tissue_mm2": record.tissue_mm2,
        "unread_mm2": record.unread_mm2,
        "tiles": record.tiles.scanned,
        "model": record.model.name,
        "learnt_from": printable(in_one_line(record.model.learnt_from)),
    }
    return facts | _files(outcome) | _warnings(outcome)


def _warnings(outcome: SlideScanned | SlideSkipped | SlidePlanned) -> dict[str, Json]:
    warnings: list[Json] = [printable(warning) for warning in outcome.warnings]
    return {"warnings": warnings} if warnings else {}


def hidden(text: str, place: SlidePlace, name: str) -> str:
    """Replace the place of a slide in a text, and its own name, by the name of its results."""
    for part in (str(place), place.name, place.stem if isinstance(place, Path) else place.study.uid):
        # Whole words only: a slide may be called "a".
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", lambda _: name, text)
    return text

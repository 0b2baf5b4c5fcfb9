"""What a batch is asked for, and what became of each slide. Nothing here imports anything heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from signetscan.formats.result_files import USUAL_FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.models.runtime import Device
    from signetscan.results.run_record import RunRecord

Status = Literal["done", "skipped", "failed", "planned"]
"""Scanned now; scanned before, with the same model and options; not scanned; looked at only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What is wanted of every slide."""

    model: Path
    """The model file."""
    out: Path
    """Folder of the results."""
    device: Device = "auto"
    """Where the model runs."""
    threads: int | None = None
    """CPU threads of the model; all cores by default."""
    options: Mapping[str, float | None] = field(default_factory=dict)
    """Fields of `DetectOptions` that are chosen; None is the default."""
    mpp: float | None = None
    """Size of the slides' pixels, um/px, in place of what the files say."""
    crop_to_bounds: bool = True
    """Whether GeoJSON counts from the slide's bounds."""
    roi: Path | None = None
    """GeoJSON of the region of interest, or a folder with one of each slide's name; the whole slide by default."""
    formats: tuple[str, ...] = USUAL_FORMATS
    """Formats of the results, of `outputs.endings.ENDINGS`."""
    report: bool = False
    """Whether to write a report of each slide."""
    overwrite: bool = False
    """Whether to scan again what is done."""
    dry_run: bool = False
    """Whether to look at slides only, and write nothing."""
    verbose: bool = False
    """Whether workers say what they notice."""
    private: bool = False
    """Whether slides have other names in results, so that nothing else may name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOutcome:
    """What became of one slide."""

    name: str
    """Name of its results below the output folder."""
    status: Status
    """Whether it is done."""
    reason: str = ""
    """Why it is not."""
    record: RunRecord | None = None
    """Its run record, where it is done."""
    planned: Mapping[str, object] = field(default_factory=dict)
    """The facts of `plan_slide`, where it is planned."""
    warnings: tuple[str, ...] = ()
    """What is odd about it."""
    seconds: float = 0.0
    """Time it took."""


def hidden(text: str, path: Path, name: str) -> str:
    """A text about a slide without its path or file name, with the name that its results have in their place."""
    for part in (str(path), path.name, path.stem):
        # Whole words only: a slide may be called "a".
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", lambda _: name, text)
    return text


def printable(text: str) -> str:
    """A text for a terminal or a log: no character that moves the cursor, breaks the line or cannot be encoded."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)

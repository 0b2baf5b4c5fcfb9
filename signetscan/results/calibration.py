"""The file of a calibration: a model's false positives on normal tissue of a site, and the threshold for a budget."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text
from signetscan.errors import ResultError
from signetscan.json_values import JsonError, JsonTable, parse_json
from signetscan.plurals import amount, counted
from signetscan.scan.calibrated import CalibratedThreshold, rate_in_words

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from signetscan.json_values import Json

CALIBRATION_NAME = "calibration.json"
"""Name of the file in a folder of results."""
SCHEMA = 1
"""Version of the file's layout."""
MOST_BYTES = 1 << 20
"""Largest file that is read; it takes some kilobytes."""
MOST_RATES = 1000
"""Most thresholds in a file."""
LONGEST_TEXT = 200
"""Longest name of a model, characters, as in the model contract."""
MOST_COUNTED = 1 << 40
"""No site has more slides or false positives; a file that says so is damaged."""
SHA256 = re.compile(r"[0-9a-f]{64}")


class IntervalKind(StrEnum):
    """How an interval was computed."""

    BOOTSTRAP = "bootstrap"
    """Percentiles of resampled slides."""
    POISSON = "poisson"
    """Exact, for false positives that are independent of each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """False positives at a threshold."""

    threshold: float
    """Lowest score that counts."""
    false_positives: int
    """Detections with at least this score on all normal tissue."""
    per_mm2: float
    """Their number per mm² of tissue."""
    low: float
    """Lower end of its 95% interval."""
    high: float
    """Upper end of its 95% interval."""
    interval: IntervalKind
    """How the interval was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A model's false positives on normal tissue of a site, and the threshold for a budget.

    Raises:
        JsonError: a value is impossible.
    """

    finished: str
    """When it was made, UTC, ISO 8601."""
    version: str
    """Version of signetscan that made it."""
    model: str
    """Name of the model."""
    model_sha256: str
    """SHA-256 of the model's file, hexadecimal."""
    budget: float
    """False positives per mm² that are allowed."""
    threshold: float | None
    """The lowest score threshold within the budget; None if the tissue does not tell it."""
    lowest_score: float
    """Detections were looked at down to this score."""
    tissue_mm2: float
    """Area of the tissue that was scanned, all slides together, mm²."""
    slides: int
    """Slides and images with tissue."""
    failed: int
    """Slides and images that could not be scanned, and so are left out."""
    rates: tuple[Rate, ...]
    """False positives at each threshold, from the lowest."""

    def __post_init__(self) -> None:
        problems = [
            (not SHA256.fullmatch(self.model_sha256), "model_sha256 must be 64 hexadecimal digits"),
            (not 0 < self.budget < float("inf"), "budget must be above 0"),
            (not self.tissue_mm2 > 0, "tissue_mm2 must be above 0"),
            (not 0 <= self.lowest_score <= 1, "lowest_score must be from 0 to 1"),
            (
                self.threshold is not None and not self.lowest_score <= self.threshold <= 1,
                "threshold must be from lowest_score to 1",
            ),
            (not 1 <= self.slides <= MOST_COUNTED, "slides must be at least 1"),
            (max(map(len, (self.model, self.version, self.finished))) > LONGEST_TEXT, "a text is too long"),
            (not 1 <= len(self.rates) <= MOST_RATES, f"rates must have 1 to {MOST_RATES} entries"),
        ]
        for is_wrong, problem in problems:
            if is_wrong:
                raise JsonError(problem)

    @property
    def allowed(self) -> int:
        """The most false positives that the budget allows on this tissue."""
        return allowed(self.budget, self.tissue_mm2)

    @property
    def chosen(self) -> Rate | None:
        """The false positives at the threshold."""
        return next((rate for rate in self.rates if rate.threshold == self.threshold), None)

    @property
    def why_no_threshold(self) -> str:
        """Why there is no threshold, as a sentence without its full stop; empty if there is one."""
        if self.threshold is not None:
            return ""
        if not self.allowed:
            return (
                f"{amount(self.tissue_mm2, 2)} mm² of normal tissue are too little to tell "
                f"{rate_in_words(self.budget)} from more: give at least {1 / self.budget:.3g} mm², "
                "better ten times as much"
            )
        return (
            f"even the detections with the highest score are more than {self.budget:g} per mm² on this tissue, so no "
            "threshold keeps the budget: see whether the tissue is normal, and whether the model suits it"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the threshold and the intervals, each a sentence without its full stop."""
        notes = []
        lowest = self.rates[0]
        if self.threshold is not None and not lowest.false_positives:
            notes.append(
                f"no false positive was seen from score {self.lowest_score:g} on, so the threshold is that score, the "
                f"lowest that was looked at; with 95% confidence there are at most {lowest.high:.3g} per mm²"
            )
        elif self.threshold == self.lowest_score:
            notes.append(
                f"all detections from score {self.lowest_score:g} on are within the budget, so the threshold is that "
                "score, the lowest that was looked at"
            )
        if self.rates[0].interval is IntervalKind.POISSON and lowest.false_positives:
            notes.append(
                "the intervals are Poisson's, which take false positives for independent of each other; those of one "
                "slide are alike, so the truth may lie further off. From 8 slides on, slides are resampled"
            )
        if self.failed:
            notes.append(f"{counted(self.failed, 'slide')} could not be scanned and {_is(self.failed)} left out")
        return tuple(notes)

    def to_json(self) -> dict[str, Json]:
        """The contents of the file, in its order."""
        rates: list[Json] = [asdict(rate) for rate in self.rates]
        return {"schema": SCHEMA, **asdict(self), "rates": rates}

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Make a calibration from the contents of a file, and check them.

        Raises:
            JsonError: a value is missing or impossible; the message names it.
        """
        if table.whole("schema", low=1) > SCHEMA:
            message = f"a later version of signetscan wrote it, with schema {table.whole('schema')}"
            raise JsonError(message)
        return cls(
            finished=table.text("finished"),
            version=table.text("version"),
            model=table.text("model"),
            model_sha256=table.text("model_sha256"),
            budget=table.number("budget", low=0),
            threshold=table.number_or_none("threshold", low=0),
            lowest_score=table.number("lowest_score", low=0),
            tissue_mm2=table.number("tissue_mm2", low=0),
            slides=table.whole("slides", low=1),
            failed=table.whole("failed", low=0),
            rates=tuple(_rate(value, number) for number, value in enumerate(table.array("rates")[: MOST_RATES + 1])),
        )


def allowed(budget: float, tissue_mm2: float) -> int:
    """The most false positives that a budget per mm² allows on an area, mm²."""
    # 0.1 per mm² on 30 mm² are 3, though 0.1 x 30 is a little more and 0.7 x 10 a little less than a whole number.
    return int(budget * tissue_mm2 * (1 + 1e-9))


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _rate(value: Json, number: int) -> Rate:
    table = JsonTable.of(value, f"rates[{number}]")
    kind = table.text("interval")
    if kind not in set(IntervalKind):
        message = f"{table.name}.interval must be one of {', '.join(IntervalKind)}"
        raise JsonError(message)
    return Rate(
        threshold=table.number("threshold", low=0),
        false_positives=table.whole("false_positives", low=0),
        per_mm2=table.number("per_mm2", low=0),
        low=table.number("low", low=0),
        high=table.number("high", low=0),
        interval=IntervalKind(kind),
    )


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_text(path) as file:
        json.dump(calibration.to_json(), file, indent=2, allow_nan=False)
        file.write("\n")


def read_calibration(path: Path) -> Calibration:
    """Read the file of a calibration.

    Raises:
        ResultError: it cannot be read, or is no calibration; the message names the file and the wrong value.
    """
    return _read(path)[0]


def calibrated_threshold(path: Path, *, model_sha256: str) -> CalibratedThreshold:
    """The threshold that a calibration has for a model.

    Args:
        path: the calibration's file.
        model_sha256: SHA-256 of the model's file.

    Raises:
        ResultError: the file cannot be read, is of another model, or has no threshold.
    """
    calibration, sha256 = _read(path)
    if calibration.model_sha256 != model_sha256:
        message = (
            f"{path}: calibrated for another model, {calibration.model} (SHA-256 {calibration.model_sha256[:12]}..., "
            f"not {model_sha256[:12]}...): scores of two models are not alike. Calibrate this one"
        )
        raise ResultError(message, options=("calibration", "model"))
    if calibration.threshold is None:
        message = f"{path}: has no threshold: {calibration.why_no_threshold}"
        raise ResultError(message, options=("calibration",))
    return CalibratedThreshold(
        threshold=calibration.threshold,
        file=path.name,
        sha256=sha256,
        budget=calibration.budget,
        tissue_mm2=calibration.tissue_mm2,
        slides=calibration.slides,
    )


def _read(path: Path) -> tuple[Calibration, str]:
    """A calibration, and the SHA-256 of its file."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            message = "it is far too long"
            raise JsonError(message)
        calibration = Calibration.from_json(JsonTable.of(parse_json(content)))
    except OSError as error:
        message = f"{path}: the calibration cannot be read: {error.strerror or error}"
        raise ResultError(message, options=("calibration",)) from error
    except JsonError as error:
        message = f"{path}: not a calibration that this version of signetscan reads: {error}"
        raise ResultError(message, options=("calibration",)) from error
    return calibration, hashlib.sha256(content).hexdigest()

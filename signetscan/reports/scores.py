"""How many detections have which score, in so few numbers that a page of a million detections stays small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.reports.page import NOT_DEFINED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.detections import Detections

LAST = 100
"""The bin of a score of exactly 1; bin k is of scores from k to below k + 1 hundredths."""
PARTS = 10_000
"""Scores are given in parts of this size, so that binary fractions such as 0.29 fall into no wrong bin."""
TICK_STEPS = (1, 2, 5, 10, 20)
"""Hundredths between two marks of the axis."""
MOST_TICKS = 6
"""Most steps between them: more would touch on a phone."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram."""

    bin: int
    """Its bin."""
    count: int
    """Detections in it."""
    height: float
    """As a share of the highest, per cent."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    score: float
    """What it says."""
    place: float
    """Per cent of the axis."""


def score_bins(detections: Detections, classes: int) -> NDArray[np.int64]:
    """Detections of each class and score, (classes, LAST + 1).

    The sum of a row from bin k on is the number of detections with a score of at least k hundredths.
    """
    parts = np.rint(detections.scores.astype(np.float64) * PARTS).astype(np.int64)
    bins = np.clip(parts // (PARTS // LAST), 0, LAST)
    flat = np.bincount(detections.labels * (LAST + 1) + bins, minlength=classes * (LAST + 1))
    return flat.reshape(classes, LAST + 1)


def first_bin(bins: NDArray[np.int64], threshold: float) -> int:
    """The bin at which the histogram starts: that of the threshold, or of the lowest score."""
    used: list[int] = np.flatnonzero(bins.sum(axis=0))[:1].tolist()
    return max(0, min(round(threshold * PARTS) // (PARTS // LAST), *used, LAST - 1))


def bars(bins: NDArray[np.int64], first: int) -> list[Bar]:
    """The histogram of all classes from a bin on; a score of exactly 1 counts to the last bar."""
    counts = bins.sum(axis=0)
    counts[LAST - 1] += counts[LAST]
    highest = max(int(counts[:LAST].max()), 1)
    return [Bar(number, int(counts[number]), 100 * int(counts[number]) / highest) for number in range(first, LAST)]


def axis_ticks(first: int) -> list[Tick]:
    """Round scores along the histogram's axis, which is from a bin to 1: a handful."""
    step = next(each for each in TICK_STEPS if (LAST - first) / each <= MOST_TICKS)
    from_step = -(-first // step) * step
    return [Tick(number / LAST, 100 * (number - first) / (LAST - first)) for number in range(from_step, LAST + 1, step)]


def density_text(count: int, area_mm2: float | None) -> str:
    """Detections per mm2 to three digits, as slide.js says it too; a dash where there is no area."""
    if not area_mm2:
        return NOT_DEFINED
    density = count / area_mm2
    decimals = 0 if density >= 100 else 1 if density >= 10 else 2
    return f"{density:,.{decimals}f}"

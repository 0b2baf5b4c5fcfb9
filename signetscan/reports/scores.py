"""The histogram of scores: so few numbers that the page of a million detections stays small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.reports.page import NOT_DEFINED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.detections import Detections

LAST = 100
"""The bin of a score of exactly 1; bin k holds scores from k to below k + 1 hundredths."""
PARTS = 10_000
"""Scores are rounded to this many parts of 1 first: 0.29, a little less in binary, would fall into bin 28."""
TICK_STEPS = (1, 2, 5, 10, 20)
"""Possible steps between the ticks of the axis, hundredths."""
MOST_TICKS = 6
"""Most steps on the axis: the labels of more would touch on a phone."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the histogram."""

    bin: int
    """Number of the bin."""
    count: int
    """Detections in the bin."""
    height: float
    """Height in per cent of the highest bar."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick of the axis."""

    score: float
    """Score at the tick."""
    position: float
    """Position in per cent of the axis."""


def score_bins(detections: Detections, classes: int) -> NDArray[np.int64]:
    """Numbers of detections by class and bin of the score, (classes, LAST + 1).

    The sum of a row from bin k on is the number of detections with a score of at least k hundredths.
    """
    parts = np.rint(detections.scores.astype(np.float64) * PARTS).astype(np.int64)
    bins = np.clip(parts // (PARTS // LAST), 0, LAST)
    flat = np.bincount(detections.labels * (LAST + 1) + bins, minlength=classes * (LAST + 1))
    return flat.reshape(classes, LAST + 1)


def first_bin(bins: NDArray[np.int64], threshold: float) -> int:
    """The bin at which the histogram starts: that of the threshold, or of the lowest score if that is lower."""
    used: list[int] = np.flatnonzero(bins.sum(axis=0))[:1].tolist()
    return max(0, min(round(threshold * PARTS) // (PARTS // LAST), *used, LAST - 1))


def bars(bins: NDArray[np.int64], first: int) -> list[Bar]:
    """The histogram of all classes from a bin on; scores of exactly 1 count in the last bar."""
    counts = bins.sum(axis=0)
    counts[LAST - 1] += counts[LAST]
    highest = max(int(counts[:LAST].max()), 1)
    return [Bar(number, int(counts[number]), 100 * int(counts[number]) / highest) for number in range(first, LAST)]


def axis_ticks(first: int) -> list[Tick]:
    """A handful of ticks at round scores along the histogram's axis, which goes from a bin to 1."""
    step = next(step for step in TICK_STEPS if (LAST - first) / step <= MOST_TICKS)
    start = -(-first // step) * step  # the first multiple of the step that is on the axis
    return [Tick(number / LAST, 100 * (number - first) / (LAST - first)) for number in range(start, LAST + 1, step)]


def density_text(count: int, area_mm2: float | None) -> str:
    """Detections per mm² to three digits, as slide.js formats them too; a dash where there is no area."""
    if not area_mm2:
        return NOT_DEFINED
    density = count / area_mm2
    decimals = 0 if density >= 100 else 1 if density >= 10 else 2
    return f"{density:,.{decimals}f}"

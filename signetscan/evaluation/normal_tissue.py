"""False positives per mm² on tissue that is known to be normal, at each threshold, and the threshold for a budget.

Every detection on such tissue is a false positive. Their number at a threshold over the area of all tissue is the rate;
it never rises with the threshold, so the lowest threshold within a budget is well defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv

from signetscan.evaluation.bootstrap import COVERAGE, FEW_UNITS, Resampled, UnitKind, Units, intervals
from signetscan.results.calibration import IntervalKind, Rate, allowed
from signetscan.scan.detect import SCORE_DECIMALS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STEPS = 10**SCORE_DECIMALS
"""Scores, and so the thresholds that differ, are multiples of one over this."""
SHOWN = tuple(number / 20 for number in range(20))
"""Thresholds whose rates are shown, besides the lowest score and the chosen threshold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalTissue:
    """Normal tissue of a slide or image."""

    slide: str
    """The slide; images of one slide have the same."""
    tissue_mm2: float
    """Area that was scanned, mm²."""
    scores: NDArray[np.float32]
    """(N,), scores of the detections on it, in any order."""


def total_mm2(tissues: Sequence[NormalTissue]) -> float:
    """Area of all tissue, mm²."""
    return float(sum(tissue.tissue_mm2 for tissue in tissues))


def threshold_within(tissues: Sequence[NormalTissue], budget: float, lowest_score: float) -> float | None:
    """The lowest threshold, a multiple of 0.0001, at which false positives are within a budget.

    Args:
        tissues: normal tissue, with detections from `lowest_score` on.
        budget: most false positives per mm².
        lowest_score: no lower threshold is chosen, because nothing below it was seen.

    Returns:
        The threshold. None if the tissue is so small that a single false positive would exceed the budget, and if even
        the detections of the highest score do: a threshold above all that was seen would be a guess.
    """
    most = allowed(budget, total_mm2(tissues))
    scores = _steps(np.sort(np.concatenate([tissue.scores for tissue in tissues]))[::-1])
    if not most:
        return None
    if len(scores) <= most:
        return lowest_score
    step = int(scores[most]) + 1  # just above the first false positive too many
    return None if step > scores[0] else max(step / STEPS, lowest_score)


def rates(
    tissues: Sequence[NormalTissue], thresholds: Sequence[float], *, bootstrap: int, seed: int
) -> tuple[Rate, ...]:
    """False positives per mm² at each threshold, with 95% intervals.

    Slides are resampled if there are at least 8; with fewer, and where nothing was found, intervals are Poisson's.

    Args:
        tissues: normal tissue, at least one, with an area above 0 in all.
        thresholds: the thresholds.
        bootstrap: number of resamples; 0 makes all intervals Poisson's.
        seed: seed of the resamples.
    """
    names = sorted({tissue.slide for tissue in tissues})
    number = {name: index for index, name in enumerate(names)}
    of_tissue = np.array([number[tissue.slide] for tissue in tissues], np.intp)
    areas = np.array([tissue.tissue_mm2 for tissue in tissues])
    counts = np.array([counts_at(tissue.scores, thresholds) for tissue in tissues])  # (M, T)
    keys = [str(index) for index in range(len(thresholds))]

    def figures(weights: NDArray[np.int64]) -> dict[str, float]:
        per_mm2 = (weights @ counts) / max(float(weights @ areas), np.finfo(np.float64).tiny)
        return dict(zip(keys, per_mm2.tolist(), strict=True))

    is_resampled = bootstrap > 0 and len(names) >= FEW_UNITS
    drawn = Resampled(kind=UnitKind.SLIDES, with_cells=0, without=len(names))
    units = Units(of_image=of_tissue, strata=(np.arange(len(names)),), resampled=drawn) if is_resampled else None
    values = figures(np.ones(len(tissues), np.int64))
    resampled = intervals(figures, values, units, count=bootstrap, seed=seed)
    total, area = counts.sum(axis=0).tolist(), float(areas.sum())
    made = []
    for key, threshold, count in zip(keys, thresholds, total, strict=True):
        kind = IntervalKind.BOOTSTRAP if units is not None and count else IntervalKind.POISSON
        low, high = poisson_interval(count, area)
        if kind is IntervalKind.BOOTSTRAP:
            low, high = resampled[key].low, resampled[key].high
        made.append(
            Rate(threshold=threshold, false_positives=count, per_mm2=values[key], low=low, high=high, interval=kind)
        )
    return tuple(made)


def shown_thresholds(lowest_score: float, threshold: float | None) -> tuple[float, ...]:
    """The thresholds whose rates a calibration has, rising."""
    chosen = () if threshold is None else (threshold,)
    return tuple(sorted({lowest_score, *chosen, *(each for each in SHOWN if each > lowest_score)}))


def counts_at(scores: NDArray[np.float32], thresholds: Sequence[float]) -> NDArray[np.int64]:
    """How many scores are at least each threshold, (len(thresholds),); both are compared in steps of 0.0001."""
    rising = np.sort(_steps(scores))
    wanted = np.ceil(np.array(thresholds) * STEPS - 1e-6).astype(np.int64)
    counts: NDArray[np.int64] = len(rising) - np.searchsorted(rising, wanted, side="left").astype(np.int64)
    return counts


def poisson_interval(count: int, area: float) -> tuple[float, float]:
    """The exact 95% interval of a rate from a count of independent events on an area (Garwood 1936)."""
    tail = (1 - COVERAGE) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low / area, float(gammaincinv(count + 1, 1 - tail)) / area


def _steps(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Scores as whole numbers of steps."""
    steps: NDArray[np.int64] = np.rint(scores.astype(np.float64) * STEPS).astype(np.int64)
    return steps

"""False positives per mm² of normal tissue: counts, intervals and the choice of a threshold, against slow ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from signetscan.evaluation.normal_tissue import (
    NormalTissue,
    counts_at,
    poisson_interval,
    rates,
    shown_thresholds,
    threshold_within,
)
from signetscan.results.calibration import IntervalKind, allowed

LOWEST = 0.98
"""A lowest score so high that every threshold above it can be tried."""


def tissue(*scores: float, mm2: float = 1.0, slide: str = "s") -> NormalTissue:
    return NormalTissue(slide=slide, tissue_mm2=mm2, scores=np.array(scores, np.float32))


steps = st.integers(9800, 10_000)
"""Scores in steps of 0.0001."""
tissues = st.lists(st.tuples(st.lists(steps, max_size=6), st.floats(0.1, 5)), min_size=1, max_size=4)


@given(tissues, st.floats(0.05, 20))
def test_the_threshold_is_the_lowest_within_the_budget(
    given_tissues: list[tuple[list[int], float]], budget: float
) -> None:
    """Against trying every threshold from the lowest score to the highest that was seen."""
    made = [tissue(*(step / 10_000 for step in steps), mm2=mm2) for steps, mm2 in given_tissues]
    area = sum(mm2 for _, mm2 in given_tissues)
    seen = [step for steps, _ in given_tissues for step in steps]
    most = allowed(budget, area)
    tried = [t for t in range(9800, max(seen, default=9800) + 1) if sum(step >= t for step in seen) <= most]
    expected = tried[0] / 10_000 if tried and most else None
    assert threshold_within(made, budget, LOWEST) == expected
    assert abs(most - budget * area) < 1 + 1e-6


def test_a_threshold_by_hand() -> None:
    """Five false positives on 2 mm²: at 1 per mm², two may stay."""
    two = [tissue(0.9, 0.5, 0.3), tissue(0.8, 0.4)]
    assert threshold_within(two, 1.0, 0.02) == 0.5001
    assert threshold_within(two, 2.5, 0.02) == 0.02  # all five
    assert threshold_within(two, 0.5, 0.02) == 0.8001
    assert threshold_within(two, 0.4, 0.02) is None  # not a single one
    assert threshold_within([tissue(0.9, 0.9, 0.9)], 2, 0.02) is None  # one score cannot be divided
    assert threshold_within([tissue(mm2=2)], 1, 0.02) == 0.02
    assert threshold_within([tissue(mm2=0.5)], 1, 0.02) is None  # none seen, but on too little


@pytest.mark.parametrize(("budget", "area", "most"), [(0.1, 30, 3), (0.7, 10, 7), (1.1, 10, 11), (1, 2.999, 2)])
def test_a_budget_of_a_whole_number_is_not_lost_to_rounding(budget: float, area: float, most: int) -> None:
    assert allowed(budget, area) == most


@given(st.lists(st.integers(0, 10_000), max_size=30), st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
def test_counts_are_those_of_a_loop(scores: list[int], thresholds: list[int]) -> None:
    found = counts_at((np.array(scores) / 10_000).astype(np.float32), [step / 10_000 for step in thresholds])
    assert found.tolist() == [sum(score >= threshold for score in scores) for threshold in thresholds]


@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_poisson_intervals_are_those_of_the_chi_squared_distribution(count: int) -> None:
    low, high = poisson_interval(count, 4.0)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 2 / 4 if count else 0)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * count + 2) / 2 / 4)


def test_few_slides_get_poisson_intervals_and_many_are_resampled() -> None:
    thresholds = (0.02, 0.5, 0.95)
    for number, kind in ((7, IntervalKind.POISSON), (8, IntervalKind.BOOTSTRAP)):
        alike = [tissue(0.9, 0.3, mm2=2, slide=str(index)) for index in range(number)]
        low, middle, high = rates(alike, thresholds, bootstrap=200, seed=0)
        assert (low.false_positives, middle.false_positives, high.false_positives) == (2 * number, number, 0)
        assert (low.per_mm2, middle.per_mm2, high.per_mm2) == (1, 0.5, 0)
        assert (low.interval, high.interval) == (kind, IntervalKind.POISSON)  # none seen is not none at all
        assert high.high == pytest.approx(poisson_interval(0, 2 * number)[1])
        # All resamples of slides that are alike are the same.
        assert (low.low == low.high == 1) == (kind is IntervalKind.BOOTSTRAP)


def test_images_of_a_slide_are_drawn_together() -> None:
    """Eight images of one slide are one; and a slide's images share its fate, so that the interval is wide."""
    images = [tissue(*[0.9] * count, mm2=1, slide=str(index // 4)) for index, count in enumerate([4] * 4 + [0] * 28)]
    (rate,) = rates(images, (0.5,), bootstrap=2000, seed=0)
    assert rate.interval is IntervalKind.BOOTSTRAP
    assert (rate.per_mm2, rate.low, rate.high) == (0.5, 0, 1.5)
    (same,) = rates(images[:4], (0.5,), bootstrap=2000, seed=0)
    assert same.interval is IntervalKind.POISSON


def test_resampled_rates_are_those_of_the_drawn_areas() -> None:
    """Twice the area with twice the false positives is the same rate, however often it is drawn."""
    slides = [tissue(*[0.9] * (n + 1), mm2=0.5 * (n + 1), slide=str(n)) for n in range(9)]
    (rate,) = rates(slides, (0.5,), bootstrap=100, seed=1)
    assert (rate.low, rate.high) == pytest.approx((2, 2))


def test_thresholds_shown_begin_with_the_lowest_score_and_have_the_chosen_one() -> None:
    assert shown_thresholds(0.02, 0.4321)[:3] == (0.02, 0.05, 0.1)
    assert 0.4321 in shown_thresholds(0.02, 0.4321)
    assert list(shown_thresholds(0.3, None)) == sorted(set(shown_thresholds(0.3, None)))
    assert shown_thresholds(0.3, None)[0] == 0.3

"""Figures of segmentation against slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.evaluation.regions import (
    RegionResult,
    RegionTally,
    class_dice,
    dice_of,
    held_out_regions,
    region_figures,
)


def results(seed: int, count: int, classes: int = 3) -> list[RegionResult]:
    """Images of four slides with random pixels, some of them without the scored classes, and few different scores."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        confusion = rng.integers(0, 50, (classes, classes))
        if rng.random() < 0.4:
            confusion[1:] = 0
        made.append(
            RegionResult(
                confusion=confusion,
                scored=tuple(range(1, classes)),
                score=round(float(rng.random()), 1),
                name=str(number),
                slide=str(number % 4),
            )
        )
    return made


def slow_auc(found: list[RegionResult], weights: list[int]) -> float:
    repeated = [result for result, weight in zip(found, weights, strict=True) for _ in range(weight)]
    pairs = [
        1.0 if one.score > other.score else 0.5 if one.score == other.score else 0.0
        for one in repeated
        for other in repeated
        if not one.normal and other.normal
    ]
    return sum(pairs) / len(pairs) if pairs else math.nan


@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), data=st.data())
def test_figures_of_weighted_images_are_those_of_repeated_ones(seed: int, count: int, data: st.DataObject) -> None:
    found = results(seed, count)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    figures = RegionTally(found, background=0).figures(np.array(weights))
    repeated = [result for result, weight in zip(found, weights, strict=True) for _ in range(weight)]
    shown = [result for result in repeated if not result.normal]
    total = np.sum([result.confusion for result in repeated], axis=0) if repeated else np.zeros((3, 3), np.int64)
    expected = {
        "dice": dice_of(total, [1, 2]),
        "scored_dice": dice_of(total, [1, 2]),
        "image_dice": float(np.mean([dice_of(one.confusion, [1, 2]) for one in shown])) if shown else math.nan,
        "auc": slow_auc(found, weights),
    }
    assert figures == pytest.approx(expected, nan_ok=True)


def test_dice_is_that_of_two_masks() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, (2, 40, 40))
    confusion = np.bincount((truth * 3 + predicted).ravel(), minlength=9).reshape(3, 3)
    for classes in ([1], [2], [1, 2]):
        one, other = np.isin(truth, classes), np.isin(predicted, classes)
        assert dice_of(confusion, classes) == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))
    result = RegionResult(confusion=confusion, scored=(2,), score=0.5, name="a", slide="s")
    assert class_dice([result]) == [dice_of(confusion, [label]) for label in range(3)]
    assert math.isnan(dice_of(np.diag([5, 0, 0]), [1]))


def test_intervals_are_from_slides_and_hold_the_figure() -> None:
    found = results(1, 40)
    held_out = held_out_regions(found, 0)
    assert "4 slides" in held_out.intervals
    for name, value in region_figures(found, 0).items():
        estimate = getattr(held_out, name)
        assert estimate.value == pytest.approx(value)
        assert estimate.low <= value <= estimate.high

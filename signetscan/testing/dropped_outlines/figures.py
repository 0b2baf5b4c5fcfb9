"""Figures of probabilities against full masks, at any threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.testing.dropped_outlines.masks import outlines_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.testing.dropped_outlines.masks import Truth

    Values = NDArray[np.float64]

LEVELS = 1000
"""Steps of probability that are told apart."""
LEAST_PX = 8
"""Places of the output below which a component is a speck, not a gland: 512 µm² of places 8 µm wide."""
TOP_SHARE = 0.01
"""Part of an image over which its score is the mean, as in a model file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What a network says of some images, and the truth."""

    positive: Values
    """(LEVELS,), places that are to be found, by their probability."""
    negative: Values
    """(LEVELS,), the other places of images that show something to be found."""
    normal: Values
    """(LEVELS,), places of images that show nothing to be found."""
    medians: Values
    """Of each gland, the highest probability that more than half of its places reach."""
    scores: Values
    """Score of each image."""
    shown: NDArray[np.bool_]
    """Whether each image shows something to be found."""
    levels: Values = field(default_factory=lambda: np.arange(LEVELS) / LEVELS)
    """The lowest probability of each level."""


def judged(probabilities: Sequence[Values], truths: Sequence[Truth], shown: Sequence[bool]) -> Judged:
    """Count places by truth and probability.

    Args:
        probabilities: of each image, 0 to 1, (h, w).
        truths: of each image, (h, w), which places are to be found.
        shown: of each image, whether it shows something to be found, outlined or not.
    """
    counts = np.zeros((3, LEVELS))
    medians: list[float] = []
    scores: list[float] = []
    for found, truth, has in zip(probabilities, truths, shown, strict=True):
        level = np.minimum((found * LEVELS).astype(int), LEVELS - 1)
        counts[0] += np.bincount(level[truth], minlength=LEVELS)
        counts[1 if has else 2] += np.bincount(level[~truth], minlength=LEVELS)
        numbers, count = outlines_of(truth)
        for number in range(1, count + 1):
            inside = np.sort(found[numbers == number])
            if len(inside) >= LEAST_PX:
                medians.append(float(inside[(len(inside) - 1) // 2]))
        top = max(round(TOP_SHARE * found.size), 1)
        scores.append(float(np.sort(found, axis=None)[-top:].mean()))
    return Judged(
        positive=counts[0],
        negative=counts[1],
        normal=counts[2],
        medians=np.array(medians),
        scores=np.array(scores),
        shown=np.array(shown, np.bool_),
    )


def _from_level(counts: Values) -> Values:
    """Places of each level or above."""
    return np.cumsum(counts[::-1])[::-1]


def dice_curve(result: Judged) -> Values:
    """Dice of all places together, at the lowest probability of each level as the threshold."""
    found, wrong = _from_level(result.positive), _from_level(result.negative + result.normal)
    return np.asarray(2 * found / np.maximum(found + wrong + result.positive.sum(), 1))


def best_threshold(result: Judged) -> float:
    """The threshold with the highest Dice; the middle of all that have it."""
    curve = dice_curve(result)
    return float(np.median(result.levels[curve == curve.max()]))


def at_threshold(result: Judged, threshold: float) -> dict[str, float]:
    """Dice, precision and recall of places, recall of glands, and what is wrongly found in normal images."""
    from_here = result.levels >= threshold
    found, wrong = result.positive[from_here].sum(), result.negative[from_here].sum()
    normal = result.normal[from_here].sum()
    called = found + wrong + normal
    return {
        "dice": 2 * found / max(called + result.positive.sum(), 1),
        "precision": found / called if called else 1.0,
        "recall": found / max(result.positive.sum(), 1),
        "glands": float((result.medians >= threshold).mean()) if len(result.medians) else 0.0,
        **({"in_normal": normal / result.normal.sum()} if result.normal.any() else {}),
    }


def ranking(result: Judged) -> dict[str, float]:
    """Figures that no threshold enters: AP and AUC of places, AUC of images, and the Dice of the best threshold."""
    positive, negative = result.positive[::-1], (result.negative + result.normal)[::-1]
    found, wrong = np.cumsum(positive), np.cumsum(negative)
    precision = found / np.maximum(found + wrong, 1)
    figures = {
        "ap": float((positive * precision).sum() / found[-1]),
        "auc": pair_share(positive, negative),
        "best_dice": float(dice_curve(result).max()),
    }
    if not result.shown.all():
        levels = np.unique(result.scores)[::-1]
        with_score = [(result.scores[kind][:, None] == levels).sum(axis=0) for kind in (result.shown, ~result.shown)]
        figures["image_auc"] = pair_share(with_score[0].astype(float), with_score[1].astype(float))
    return figures


def pair_share(positive: Values, negative: Values) -> float:
    """Share of pairs in which the positive has the higher score, half of those with equal ones.

    Args:
        positive: number of positives with each score, from the highest score to the lowest.
        negative: number of negatives with each score.
    """
    below = negative.sum() - np.cumsum(negative)
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))

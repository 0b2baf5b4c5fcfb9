"""Figures of segmentation: Dice of classes, and how well the score of an image tells those that show a lesion.

Dice is that of pixels: 2 * both / (predicted + truth). DigestPath 2019 ranks by the Dice of the lesion in each image
and by the AUC of the image's score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.bootstrap import estimates_of, intervals, units_of
from signetscan.models.held_out import HeldOutRegions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

RESAMPLES = 1000
"""Number of resamples, as in `signetscan evaluate`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OutlineCounts:
    """Regions of an image by their class, (C,) each; none of the background."""

    true: Counts
    """Regions of the truth."""
    found: Counts
    """Those of which at least half of the pixels have their class in the prediction."""
    predicted: Counts
    """Regions of the prediction."""
    right: Counts
    """Those of which at least half of the pixels have their class in the truth."""


def no_outlines() -> OutlineCounts:
    """Counts of an image whose regions nobody counted, whatever its classes."""
    return OutlineCounts(**{name: np.zeros(1, np.int64) for name in ("true", "found", "predicted", "right")})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionResult:
    """What a model says of the pixels of an image, and the truth."""

    confusion: Counts
    """(C, C), pixels by their true class, along rows, and by the predicted one."""
    scored: tuple[int, ...]
    """The classes that are to be found."""
    score: float
    """The image's score; see `signetscan.models.segmentation_spec.SlideScore`. Nan if nobody knows it, and then there
    is no AUC."""
    name: str
    """Name of the image, for messages."""
    slide: str
    """Slide or case that the image is from."""
    outlines: OutlineCounts = field(default_factory=no_outlines)
    """Its regions one by one."""

    @property
    def normal(self) -> bool:
        """Whether the image shows none of the scored classes."""
        return not self.confusion[list(self.scored)].any()


def dice_of(confusion: Counts, classes: Sequence[int]) -> float:
    """Dice of whether pixels are of any of some classes; nan if none is, neither by truth nor by prediction."""
    chosen = list(classes)
    both = int(confusion[np.ix_(chosen, chosen)].sum())
    either = int(confusion[chosen].sum()) + int(confusion[:, chosen].sum())
    return 2 * both / either if either else math.nan


def class_dice(results: Sequence[RegionResult]) -> list[float]:
    """Dice of each class, of the pixels of all images together; nan of a class that does not occur."""
    confusion = np.sum([result.confusion for result in results], axis=0)
    return [dice_of(confusion, [label]) for label in range(len(confusion))]


class RegionTally:
    """The sums of which figures are made, so that they can be computed for any weights of the images.

    Args:
        results: the images, of which all have the same classes.
        background: the class that is of no interest.
    """

    def __init__(self, results: Sequence[RegionResult], background: int) -> None:
        self._confusions = np.stack([result.confusion for result in results])
        self._scored = results[0].scored
        self._shown = [label for label in range(self._confusions.shape[1]) if label != background]
        self._normal = np.array([result.normal for result in results], np.bool_)
        self._dice = np.array([dice_of(result.confusion, result.scored) for result in results])
        scores = np.array([result.score for result in results])
        self._all_known = not np.isnan(scores).any()
        order = np.argsort(scores[self._normal], kind="stable")
        self._negatives = np.flatnonzero(self._normal)[order]
        below = scores[self._negatives]
        self._below = np.searchsorted(below, scores[~self._normal], "left")
        self._up_to = np.searchsorted(below, scores[~self._normal], "right")

    def figures(self, weights: Counts | None = None) -> dict[str, float]:
        """The figures of `HeldOutRegions` for weights (M,) of the images; each counts once by default."""
        if weights is None:
            weights = np.ones(len(self._normal), np.int64)
        confusion = np.tensordot(weights, self._confusions, axes=1)
        positive = weights[~self._normal]
        total = int(positive.sum())
        return {
            "dice": dice_of(confusion, self._shown),
            "scored_dice": dice_of(confusion, self._scored),
            "image_dice": float((positive * self._dice[~self._normal]).sum() / total) if total else math.nan,
            "auc": self._auc(weights),
        }

    def _auc(self, weights: Counts) -> float:
        """Mann and Whitney's statistic: pairs in which the image with a scored class has the higher score."""
        positive = weights[~self._normal]
        sums = np.concatenate([[0], np.cumsum(weights[self._negatives])])
        pairs = int(positive.sum()) * int(sums[-1])
        # Of pairs with equal scores, half count.
        higher = float((positive * (sums[self._below] + sums[self._up_to]) / 2).sum())
        return higher / pairs if pairs and self._all_known else math.nan


def region_figures(results: Sequence[RegionResult], background: int) -> dict[str, float]:
    """Dice and AUC of some images, by the names of `HeldOutRegions`."""
    return RegionTally(results, background).figures()


def held_out_regions(results: Sequence[RegionResult], background: int, *, seed: int = 0) -> HeldOutRegions:
    """The figures with 95% intervals from resamples of slides, for a model file."""
    tally, units = RegionTally(results, background), units_of(results)
    estimates = intervals(tally.figures, tally.figures(), units, count=RESAMPLES, seed=seed)
    return HeldOutRegions(
        positives=sum(not result.normal for result in results),
        negatives=sum(result.normal for result in results),
        intervals="" if units is None else units.resampled.described("scored classes"),
        **estimates_of(estimates),
    )

"""Bootstrap: percentile intervals of figures over resamples of slides or images.

Cells of one slide are alike, and so are the mistakes in it, so intervals over single cells, or over the images of a few
slides, would be too narrow. Whole slides are drawn where they are known (Efron and Tibshirani 1993, ch. 8 and 13).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from signetscan.models.held_out import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

COVERAGE = 0.95
"""Part of the resamples that an interval spans."""
LEAST_UNITS = 2
"""Fewest slides or images of each kind to resample; of a single one, all resamples would be the same."""


FEW_UNITS = 8
"""Resamples of fewer slides or images of a kind repeat each other, so that intervals are too narrow: their percentiles
hang on one or two of them."""


class JudgedImage(Protocol):
    """What was found in an image, and what is there."""

    @property
    def slide(self) -> str:
        """Slide or case that the image is from; empty if that is not known."""

    @property
    def normal(self) -> bool:
        """Whether the image shows nothing that is to be found."""


class UnitKind(Enum):
    """What is drawn for a resample."""

    SLIDES = "slides"
    IMAGES = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """What the resamples were drawn from."""

    kind: UnitKind
    with_cells: int
    """Number of slides or images with cells."""
    without: int
    """Number of slides or images that are normal; drawn separately, if there are any."""

    @property
    def few(self) -> bool:
        """Whether they are too few of a kind for an interval to be relied on."""
        return 0 < self.with_cells < FEW_UNITS or 0 < self.without < FEW_UNITS

    def __str__(self) -> str:
        """The number of each kind, with a warning if they are few."""
        return self.described("cells")

    def described(self, what: str) -> str:
        """The number of each kind, with a warning if they are few.

        Args:
            what: what the one kind has, and the other does not.
        """
        without = f" and {self.without} without" if self.without else ""
        text = f"{self.with_cells} {self.kind.value} with {what}{without}"
        return f"{text}; fewer than {FEW_UNITS} of a kind, so the true intervals are wider" if self.few else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and its confidence interval."""

    value: float
    """The figure over all images; nan if it is not defined."""
    low: float
    """Lower end of the interval; nan if there is none."""
    high: float
    """Upper end of the interval; nan if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """Units of resampling: sets of images that are drawn together."""

    of_image: NDArray[np.intp]
    """(M,), index of each image's unit."""
    strata: tuple[NDArray[np.intp], ...]
    """Units that are drawn from the same stratum: those with a positive image, and those without."""
    resampled: Resampled
    """How many units of each kind there are."""


def units_of(results: Sequence[JudgedImage]) -> Units | None:
    """Slides if every image has one and there are at least two of each kind, else images; None if those are too few.

    Units with a positive image and units with normal images only are drawn separately, so that each resample has as
    many of both as the whole set.
    """
    slides = {name: number for number, name in enumerate(sorted({result.slide for result in results}))}
    choices = [(UnitKind.IMAGES, np.arange(len(results)))]
    # With as many slides as images both choices are the same, and are called images.
    if "" not in slides and len(slides) < len(results):
        choices.insert(0, (UnitKind.SLIDES, np.array([slides[result.slide] for result in results], np.intp)))
    positive = np.array([not result.normal for result in results], np.bool_)
    for kind, of_image in choices:
        with_cells = np.unique(of_image[positive])
        without = np.setdiff1d(of_image, with_cells)
        strata = tuple(stratum for stratum in (with_cells, without) if len(stratum))
        if strata and min(map(len, strata)) >= LEAST_UNITS:
            counts = Resampled(kind=kind, with_cells=len(with_cells), without=len(without))
            return Units(of_image=of_image, strata=strata, resampled=counts)
    return None


def resamples(units: Units, count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """For each resample, how often each image was drawn, (M,); the same seed gives the same resamples."""
    rng = np.random.default_rng(seed)
    size = int(units.of_image.max()) + 1
    for _ in range(count):
        drawn = [stratum[rng.integers(0, len(stratum), len(stratum))] for stratum in units.strata]
        yield np.bincount(np.concatenate(drawn), minlength=size)[units.of_image].astype(np.int64)


def intervals(
    figures: Callable[[NDArray[np.int64]], Mapping[str, float]],
    values: Mapping[str, float],
    units: Units | None,
    *,
    count: int,
    seed: int,
) -> dict[str, Interval]:
    """Percentile intervals of several figures, all from the same resamples.

    Args:
        figures: computes the figures for weights (M,) of the images.
        values: the figures over all images.
        units: what to resample; None for no intervals.
        count: number of resamples; 0 for no intervals.
        seed: seed of the resamples.
    """
    resampled: dict[str, list[float]] = {name: [] for name in values}
    if units is not None:
        for weights in resamples(units, count, seed):
            for name, figure in figures(weights).items():
                resampled[name].append(figure)
    return {name: _interval(values[name], np.array(resampled[name])) for name in values}


def _interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    """The middle `COVERAGE` of a figure's resampled values. Resamples in which it is not defined do not count."""
    resampled = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not len(resampled):
        return Interval(value=value, low=float("nan"), high=float("nan"))
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail]).tolist()
    return Interval(value=value, low=low, high=high)


def estimates_of(figures: Mapping[str, Interval]) -> dict[str, Estimate]:
    """Figures with their intervals as a model file holds them: None where one is not defined."""
    return {name: _estimate(interval) for name, interval in figures.items()}


def _estimate(interval: Interval) -> Estimate:
    value, low, high = (None if math.isnan(x) else x for x in (interval.value, interval.low, interval.high))
    return Estimate(value=value, low=low, high=high)

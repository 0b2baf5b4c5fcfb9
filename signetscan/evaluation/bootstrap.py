"""How sure the figures are: percentile intervals over resamples of slides or images.

Cells of one slide look alike, and so do its mistakes; resampling single cells, or images of few slides, would make
intervals too narrow. So whole slides are drawn where slides are known (Efron and Tibshirani 1993, ch. 8 and 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from signetscan.evaluation.matching import ImageResult

COVERAGE = 0.95
"""Share of the resamples that an interval spans."""
LEAST_UNITS = 2
"""Slides or images of a kind below which there is nothing to resample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and where it may lie."""

    value: float
    """The figure of all images; nan if it is not defined for them."""
    low: float
    """Lower end of the interval; nan if there is none."""
    high: float
    """Upper end."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Units:
    """What is drawn as one."""

    kind: str
    """`slides` or `images`."""
    of_image: NDArray[np.intp]
    """(M,), unit of each image."""
    strata: tuple[NDArray[np.intp], ...]
    """Units that are drawn from among each other: those with a positive image, and those without."""


def units_of(results: Sequence[ImageResult]) -> Units | None:
    """Slides if every image has one and there are at least two of each kind, else images; None if they are too few.

    Units with a positive image and units of normal images only are drawn apart, so that each resample has as many of
    both as the set.
    """
    slides = {name: number for number, name in enumerate(sorted({result.slide for result in results}))}
    choices = [("images", np.arange(len(results)))]
    if "" not in slides and len(slides) < len(results):  # otherwise each image is of a slide of its own
        choices.insert(0, ("slides", np.array([slides[result.slide] for result in results], np.intp)))
    positive = np.array([not result.normal for result in results], np.bool_)
    for kind, of_image in choices:
        with_cells = np.unique(of_image[positive])
        without = np.setdiff1d(of_image, with_cells)
        strata = tuple(stratum for stratum in (with_cells, without) if len(stratum))
        if strata and min(map(len, strata)) >= LEAST_UNITS:
            return Units(kind=kind, of_image=of_image, strata=strata)
    return None


def resamples(units: Units, count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each image was drawn, (M,), resample by resample; the same for the same seed."""
    rng = np.random.default_rng(seed)
    size = int(units.of_image.max()) + 1
    for _ in range(count):
        drawn = [stratum[rng.integers(0, len(stratum), len(stratum))] for stratum in units.strata]
        yield np.bincount(np.concatenate(drawn), minlength=size)[units.of_image].astype(np.int64)


def intervals(
    figures: Callable[[NDArray[np.int64]], Mapping[str, float]],
    value: Mapping[str, float],
    units: Units | None,
    *,
    count: int,
    seed: int,
) -> dict[str, Interval]:
    """Percentile intervals of several figures, all from the same resamples.

    Args:
        figures: gives the figures for a weight (M,) of each image.
        value: the figures of all images.
        units: what to draw; None for no intervals.
        count: number of resamples; 0 for no intervals.
        seed: of the draws.
    """
    drawn: dict[str, list[float]] = {name: [] for name in value}
    if units is not None:
        for weights in resamples(units, count, seed):
            for name, one in figures(weights).items():
                drawn[name].append(one)
    return {name: _interval(value[name], np.array(drawn[name])) for name in value}


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """The middle `COVERAGE` of what was drawn. A resample in which the figure is not defined says nothing."""
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(drawn):
        return Interval(value=value, low=float("nan"), high=float("nan"))
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail]).tolist()
    return Interval(value=value, low=low, high=high)

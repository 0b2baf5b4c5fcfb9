"""Paired comparison of two results on the same images: differences of figures, with intervals.

Both results are evaluated on the same resamples of slides or images. What makes some slides harder than others is then
in both figures and leaves their difference, whose interval is narrower than those of the figures would suggest (Efron
and Tibshirani 1993, ch. 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from signetscan.dataset.remarks import listed
from signetscan.errors import AnnotationError
from signetscan.evaluation.bootstrap import Interval, Resampled, intervals, units_of
from signetscan.evaluation.curves import AP_IOU, average_precision, pr_curve
from signetscan.evaluation.digestpath import scores_of
from signetscan.evaluation.matching import match_nearest_free
from signetscan.evaluation.tally import make_tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.evaluation.matching import ImageResult
    from signetscan.evaluation.options import AssessOptions

    Figures = Callable[[NDArray[np.int64]], dict[str, float]]


class HasName(Protocol):
    """What was found in an image."""

    @property
    def name(self) -> str:
        """Name of the image."""


Named = TypeVar("Named", bound=HasName)

COMPARED = ("ap50", "f1", "recall", "precision", "froc", "false_positives_per_normal")
"""Names, in `FIGURES`, of the figures that are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A figure of two results."""

    value: float
    """The figure of the first result; nan if it is not defined."""
    other: float
    """That of the other result."""
    difference: Interval
    """The first minus the other, with its 95% interval."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedComparison:
    """Two results on the same images."""

    other: Path
    """The file or folder of the other result."""
    thresholds: tuple[float, float]
    """Score threshold of the first and of the other result."""
    images: int
    """Number of images that both have."""
    resampled: Resampled | None
    """What was resampled for the intervals; None if there are none."""
    figures: dict[str, Paired]
    """Each of `COMPARED`."""


def compare_paired(
    first: Sequence[ImageResult],
    second: Sequence[ImageResult],
    thresholds: tuple[float, float],
    options: AssessOptions,
    other: Path,
) -> PairedComparison:
    """Compare two results.

    Args:
        first: the images with the detections of the first result.
        second: the same images, in the same order, with those of the other one.
        thresholds: lowest score that counts for recall, precision, F1 and false positives, of either.
        options: IoU and intervals.
        other: the file or folder of the other result.
    """
    of_first, of_second = (
        _figures(results, threshold, options.iou)
        for results, threshold in zip((first, second), thresholds, strict=True)
    )

    def differences(weights: NDArray[np.int64]) -> dict[str, float]:
        one, two = of_first(weights), of_second(weights)
        return {name: one[name] - two[name] for name in COMPARED}

    everything = make_tally(first, options.iou).weights()
    units = units_of(first) if options.bootstrap else None
    found = intervals(differences, differences(everything), units, count=options.bootstrap, seed=options.seed)
    values, others = of_first(everything), of_second(everything)
    return PairedComparison(
        other=other,
        thresholds=thresholds,
        images=len(first),
        resampled=None if units is None else units.resampled,
        figures={name: Paired(value=values[name], other=others[name], difference=found[name]) for name in COMPARED},
    )


def _figures(results: Sequence[ImageResult], threshold: float, iou: float) -> Figures:
    tally, tally50 = make_tally(results, iou), make_tally(results, AP_IOU, match_nearest_free)

    def figures(weights: NDArray[np.int64]) -> dict[str, float]:
        scores = scores_of(tally, threshold, weights)
        return {
            "ap50": average_precision(pr_curve(tally50, weights)),
            "f1": scores.f1,
            "recall": scores.recall,
            "precision": scores.precision,
            "froc": scores.froc,
            "false_positives_per_normal": scores.false_positives_per_normal,
        }

    return figures


def on_same_images(
    first: Sequence[Named], second: Sequence[Named], path: Path
) -> tuple[list[Named], list[Named], list[str]]:
    """The images that both results have, in one order, and remarks on those that only one has.

    Args:
        first: the first results.
        second: the other ones.
        path: file or folder of the other ones, for messages.

    Raises:
        AnnotationError: they have no image in common.
    """
    of_second = {result.name: result for result in second}
    both = [result for result in first if result.name in of_second]
    names = {result.name for result in both}
    if not both:
        message = f"{path}: has results of none of the same images, so nothing can be compared"
        raise AnnotationError(message, options=("against",))
    alone = [result.name for result in (*first, *second) if result.name not in names]
    remark = f"Images of one result only, left out of the comparison: {len(alone)}, namely {listed(alone)}"
    return both, [of_second[result.name] for result in both], [remark] if alone else []

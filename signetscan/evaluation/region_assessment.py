"""The figures of a segmentation with their intervals, and those of two segmentations of the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.bootstrap import intervals, units_of
from signetscan.evaluation.paired import Paired
from signetscan.evaluation.regions import RegionTally, dice_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.evaluation.bootstrap import Interval, Resampled
    from signetscan.evaluation.options import AssessOptions
    from signetscan.evaluation.region_set import Classes
    from signetscan.evaluation.regions import RegionResult

    Counts = NDArray[np.int64]

FIGURES = {
    "image_dice": "Dice of the scored classes in an image, the mean over images that show one, as in DigestPath",
    "scored_dice": "Dice of the scored classes, of the pixels of all images together",
    "dice": "Dice of all classes but the background, of the pixels of all images together",
    "auc": "pairs of an image with a scored class and one without in which the first has the higher slide score",
    "precision": "part of the pixels called a scored class that are of one",
    "recall": "part of the pixels of scored classes that are called one",
    "region_recall": "part of the regions of scored classes of which at least half of the pixels have their class",
    "region_precision": "part of the predicted regions of scored classes of which at least half are right",
}
"""The figures of all classes together, and what each means. Dice is 2 * both / (predicted + true)."""
CLASS_FIGURES = {
    "dice": "Dice of the class, of the pixels of all images together",
    "precision": "part of the pixels called the class that are of it",
    "recall": "part of the pixels of the class that are called it",
    "region_recall": "part of its regions of which at least half of the pixels are called it",
    "region_precision": "part of the predicted regions of which at least half of the pixels are of it",
}
"""The figures of each class."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionAssessment:
    """The figures of a segmentation."""

    options: AssessOptions
    """Intervals."""
    classes: Classes
    """The classes."""
    figures: Mapping[str, Interval]
    """Each of `FIGURES`."""
    by_class: Mapping[str, Mapping[str, Interval]]
    """Each of `CLASS_FIGURES`, by the name of the class; of all but the background."""
    confusion: Counts
    """(C, C), pixels of all images by their true class, along rows, and by the predicted one."""
    regions: Mapping[str, tuple[int, int]]
    """Regions of the truth and of the prediction, by the name of the class."""
    results: tuple[RegionResult, ...]
    """The images."""
    slides: int
    """Slides or cases that they are of; 0 if not known."""
    resampled: Resampled | None
    """What was resampled for the intervals; None if there are none."""

    @property
    def positives(self) -> int:
        """Images that show a scored class."""
        return sum(not result.normal for result in self.results)

    @property
    def normals(self) -> int:
        """Images that show none."""
        return sum(result.normal for result in self.results)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairedRegions:
    """Two segmentations of the same images."""

    other: Path
    """The file or folder of the other one."""
    images: int
    """Number of images that both have."""
    resampled: Resampled | None
    """What was resampled for the intervals; None if there are none."""
    figures: Mapping[str, Paired]
    """Each of `FIGURES`."""


class _Figures:
    """All figures for any weights of the images, those of a class under NAME:LABEL."""

    def __init__(self, results: Sequence[RegionResult], classes: Classes) -> None:
        self._tally = RegionTally(results, classes.background)
        self._classes = classes
        self._confusions = np.stack([result.confusion for result in results])
        self._outlines = np.stack(
            [
                [result.outlines.true, result.outlines.found, result.outlines.predicted, result.outlines.right]
                for result in results
            ]
        )

    def __call__(self, weights: Counts | None = None) -> dict[str, float]:
        if weights is None:
            weights = np.ones(len(self._confusions), np.int64)
        confusion = np.tensordot(weights, self._confusions, axes=1)
        outlines = np.tensordot(weights, self._outlines, axes=1)
        base, scored = self._tally.figures(weights), list(self._classes.scored)
        figures = {name: base[name] for name in ("image_dice", "scored_dice", "dice", "auc")}
        figures |= _of_labels(confusion, outlines, scored)
        for label in range(len(self._classes.names)):
            if label != self._classes.background:
                each = {"dice": dice_of(confusion, [label]), **_of_labels(confusion, outlines, [label])}
                figures |= {f"{name}:{label}": value for name, value in each.items()}
        return figures


def _of_labels(confusion: Counts, outlines: Counts, labels: list[int]) -> dict[str, float]:
    """Precision and recall of pixels and of regions, of some labels together."""
    both = int(confusion[np.ix_(labels, labels)].sum())
    true, found, predicted, right = outlines[:, labels].sum(axis=1).tolist()
    return {
        "precision": _part(both, int(confusion[:, labels].sum())),
        "recall": _part(both, int(confusion[labels].sum())),
        "region_recall": _part(found, true),
        "region_precision": _part(right, predicted),
    }


def _part(some: int, of_all: int) -> float:
    return some / of_all if of_all else math.nan


def assess_regions(results: Sequence[RegionResult], classes: Classes, options: AssessOptions) -> RegionAssessment:
    """The figures of a segmentation.

    Args:
        results: the images, at least one.
        classes: their classes.
        options: number and seed of resamples.
    """
    figures, units = _Figures(results, classes), units_of(results) if options.bootstrap else None
    found = intervals(figures, figures(), units, count=options.bootstrap, seed=options.seed)
    labels = [label for label in range(len(classes.names)) if label != classes.background]
    slides = {result.slide for result in results}
    return RegionAssessment(
        options=options,
        classes=classes,
        figures={name: found[name] for name in FIGURES},
        by_class={classes.names[label]: {name: found[f"{name}:{label}"] for name in CLASS_FIGURES} for label in labels},
        confusion=np.sum([result.confusion for result in results], axis=0),
        regions={
            classes.names[label]: (
                int(sum(result.outlines.true[label] for result in results)),
                int(sum(result.outlines.predicted[label] for result in results)),
            )
            for label in labels
        },
        results=tuple(results),
        slides=0 if "" in slides else len(slides),
        resampled=None if units is None else units.resampled,
    )


def compare_regions(
    first: Sequence[RegionResult],
    second: Sequence[RegionResult],
    classes: Classes,
    options: AssessOptions,
    other: Path,
) -> PairedRegions:
    """Compare two segmentations of the same images, in the same order, on the same resamples.

    Args:
        first: the images with the prediction of the first.
        second: those with the other one's.
        classes: the classes of both.
        options: number and seed of resamples.
        other: the file or folder of the other one.
    """
    one, two = _Figures(first, classes), _Figures(second, classes)

    def differences(weights: Counts | None = None) -> dict[str, float]:
        ours, theirs = one(weights), two(weights)
        return {name: ours[name] - theirs[name] for name in FIGURES}

    units = units_of(first) if options.bootstrap else None
    found = intervals(differences, differences(), units, count=options.bootstrap, seed=options.seed)
    ours, theirs = one(), two()
    return PairedRegions(
        other=other,
        images=len(first),
        resampled=None if units is None else units.resampled,
        figures={name: Paired(value=ours[name], other=theirs[name], difference=found[name]) for name in FIGURES},
    )

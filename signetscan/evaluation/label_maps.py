"""Two label maps of an image against each other: pixels by class, and regions that are found."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.dataset.masks.images import IGNORED
from signetscan.evaluation.regions import OutlineCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Labels = NDArray[np.uint8]
    Counts = NDArray[np.int64]

MOST_PLACES = 16_000_000
"""Places of an image at which regions are looked at: of a larger one, evenly spaced rows and columns. A region's number
takes four bytes, and DigestPath's largest image has 438 megapixels."""
TOUCHING = np.ones((3, 3), np.bool_)
"""Pixels that touch at a corner belong to one region."""


class LabelComparison:
    """Compares what is true with what is predicted, some rows of an image after another.

    Args:
        size: width and height of the image, pixels.
        classes: number of classes.
        background: the class whose regions are of no interest.
        least_px: smallest region that counts, square pixels.
    """

    def __init__(self, size: tuple[int, int], classes: int, background: int, least_px: float) -> None:
        self._classes, self._background = classes, background
        self._step = max(1, math.ceil(math.sqrt(size[0] * size[1] / MOST_PLACES)))
        self._least = least_px / self._step**2
        self._confusion = np.zeros(classes * classes, np.int64)
        self._row = 0
        self._true: list[Labels] = []
        self._predicted: list[Labels] = []

    def add(self, true: Labels, predicted: Labels) -> None:
        """The next rows, (rows, width) each; what is ignored in the truth does not count."""
        count, known = self._classes, true != IGNORED
        predicted = np.where(known, predicted, np.uint8(IGNORED))
        self._confusion += np.bincount(
            true[known].astype(np.intp) * count + predicted[known], minlength=count * count
        ).astype(np.int64)
        rows = slice(-self._row % self._step, None, self._step)
        for labels, kept in ((true, self._true), (predicted, self._predicted)):
            kept.append(labels[rows, :: self._step].copy())
        self._row += len(true)

    @property
    def confusion(self) -> Counts:
        """(C, C), pixels by their true class, along rows, and by the predicted one."""
        return self._confusion.reshape(self._classes, self._classes)

    def outlines(self) -> OutlineCounts:
        """The regions of all rows that were added."""
        true, predicted = np.concatenate(self._true), np.concatenate(self._predicted)
        all_true, found = self._counted(true, predicted)
        all_predicted, right = self._counted(predicted, true)
        return OutlineCounts(true=all_true, found=found, predicted=all_predicted, right=right)

    def _counted(self, labels: Labels, others: Labels) -> tuple[Counts, Counts]:
        """Regions of each class, and those of which at least half have it in the other map too."""
        counts = np.zeros((2, self._classes), np.int64)
        for label in np.unique(labels).tolist():
            if label in (self._background, IGNORED):
                continue
            numbers, _ = ndimage.label(labels == label, TOUCHING)
            sizes = np.bincount(numbers.ravel())
            shared = np.bincount(numbers[others == label], minlength=len(sizes))
            large = sizes >= self._least
            large[0] = False
            counts[0, label], counts[1, label] = large.sum(), (large & (2 * shared >= sizes)).sum()
        return counts[0], counts[1]


def compare_labels(
    size: tuple[int, int],
    rows: Iterable[tuple[Labels, Labels]],
    *,
    classes: int,
    background: int,
    least_px: float,
) -> LabelComparison:
    """The comparison of an image, whose rows come band by band: what is true, and what is predicted."""
    comparison = LabelComparison(size, classes, background, least_px)
    for true, predicted in rows:
        comparison.add(true, predicted)
    return comparison

"""Dropping of boxes, counts of those that pseudo-labels restore, and windows without boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.evaluation import MATCH_IOU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.dataset import AnnotatedImage


def drop_boxes(images: Sequence[AnnotatedImage], rate: float, seed: int) -> tuple[AnnotatedImage, ...]:
    """The same images without a part of all boxes, 0 to 1. Boxes that are dropped at 0.3 are dropped at 0.5 too."""
    total = sum(len(image.boxes) for image in images)
    kept = np.ones(total, np.bool_)
    kept[np.random.default_rng([seed, 9]).permutation(total)[: round(rate * total)]] = False
    partial, start = [], 0
    for image in images:
        kept_here = kept[start : start + len(image.boxes)]
        partial.append(replace(image, boxes=image.boxes[kept_here], labels=image.labels[kept_here]))
        start += len(image.boxes)
    return tuple(partial)


def empty_windows(image: AnnotatedImage, side: int) -> list[tuple[int, int]]:
    """Corners of windows that touch neither a box nor each other, chosen from the top left."""
    corners: list[tuple[int, int]] = []
    step = side // 4
    for y in range(0, image.height - side + 1, step):
        for x in range(0, image.width - side + 1, step):
            low, high = np.array([x, y]), np.array([x + side, y + side])
            touched = ((image.boxes[:, :2] < high) & (image.boxes[:, 2:] > low)).all(axis=1).any()
            if not touched and all(abs(x - a) >= side or abs(y - b) >= side for a, b in corners):
                corners.append((x, y))
    return corners


def count_right(
    truth: Sequence[AnnotatedImage], seen: Sequence[AnnotatedImage], labelled: Sequence[AnnotatedImage]
) -> int:
    """Number of dropped boxes on which an added box lies."""
    right = 0
    for whole, before, after in zip(truth, seen, labelled, strict=True):
        dropped = whole.boxes[~is_among(whole.boxes, before.boxes)]
        right += int(matched(dropped, after.boxes[len(before.boxes) :]).sum())
    return right


def is_among(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes are exactly the same as one of the others."""
    known = {tuple(box) for box in others}
    return np.array([tuple(box) in known for box in boxes], np.bool_)


def matched(truth: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes of the truth match one of the other boxes."""
    return np.asarray(iou_matrix(truth, boxes).max(axis=1, initial=0.0) >= MATCH_IOU)

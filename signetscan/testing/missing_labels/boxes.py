"""Boxes that are dropped, found again or missing from a window."""

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


def drop_boxes(images: Sequence[AnnotatedImage], share: float, seed: int) -> tuple[AnnotatedImage, ...]:
    """The same images without a share of all boxes. What is dropped at 30% is dropped at 50% too."""
    total = sum(len(image.boxes) for image in images)
    kept = np.ones(total, np.bool_)
    kept[np.random.default_rng([seed, 9]).permutation(total)[: round(share * total)]] = False
    parts, start = [], 0
    for image in images:
        mine = kept[start : start + len(image.boxes)]
        parts.append(replace(image, boxes=image.boxes[mine], labels=image.labels[mine]))
        start += len(image.boxes)
    return tuple(parts)


def empty_windows(image: AnnotatedImage, side: int) -> list[tuple[int, int]]:
    """Corners of windows that touch no box and not each other, found from the top left."""
    taken: list[tuple[int, int]] = []
    step = side // 4
    for y in range(0, image.height - side + 1, step):
        for x in range(0, image.width - side + 1, step):
            low, high = np.array([x, y]), np.array([x + side, y + side])
            touched = ((image.boxes[:, :2] < high) & (image.boxes[:, 2:] > low)).all(axis=1).any()
            if not touched and all(abs(x - a) >= side or abs(y - b) >= side for a, b in taken):
                taken.append((x, y))
    return taken


def count_right(
    truth: Sequence[AnnotatedImage], seen: Sequence[AnnotatedImage], labelled: Sequence[AnnotatedImage]
) -> int:
    """How many of the added boxes lie on a dropped one, each counted once."""
    right = 0
    for whole, before, after in zip(truth, seen, labelled, strict=True):
        dropped = whole.boxes[~is_among(whole.boxes, before.boxes)]
        right += int(matched(dropped, after.boxes[len(before.boxes) :]).sum())
    return right


def is_among(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes are, number for number, in another list."""
    listed = {tuple(box) for box in others}
    return np.array([tuple(box) in listed for box in boxes], np.bool_)


def matched(truth: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes of the truth have one of the others on them."""
    return np.asarray(iou_matrix(truth, boxes).max(axis=1, initial=0.0) >= MATCH_IOU)

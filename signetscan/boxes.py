"""Boxes as float arrays of shape (N, 4): x0, y0, x1, y1 with x1 > x0 and y1 > y0.

The frame (level-0 pixels, tile pixels, um) is the caller's and is the same for all boxes of a call.
Coordinates are continuous: pixel i covers [i, i + 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Boxes = NDArray[np.floating]


def area(boxes: Boxes) -> NDArray[np.floating]:
    """Area of each box, shape (N,), in square units of the boxes' frame."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def centres(boxes: Boxes) -> NDArray[np.floating]:
    """Centre (x, y) of each box, shape (N, 2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def paired_iou(a: Boxes, b: Boxes) -> NDArray[np.floating]:
    """Intersection over union of a[i] with b[i], shape (N,)."""
    overlap = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(axis=1)
    union = area(a) + area(b) - overlap
    return _ratio(overlap, union)


def iou_matrix(a: Boxes, b: Boxes) -> NDArray[np.floating]:
    """Intersection over union of every a with every b, shape (len(a), len(b))."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return _ratio(overlap, union)


def _ratio(overlap: NDArray[np.floating], union: NDArray[np.floating]) -> NDArray[np.floating]:
    """Overlap / union, 0 for boxes of no area."""
    result: NDArray[np.floating] = overlap / np.maximum(union, np.finfo(union.dtype).tiny)
    return result


def overlapping_pairs(boxes: Boxes, iou_threshold: float) -> NDArray[np.intp]:
    """Index pairs (i < j) of boxes whose IoU exceeds the threshold, shape (P, 2).

    If u is the overlap of two sides w and v on one axis, IoU <= u / (w + v - u), and the centres lie
    (w + v) / 2 - u apart; so IoU above t puts the centres nearer than max(w, v) * (1 - t) / (1 + t). A k-d tree over
    the centres with that reach, in the maximum norm, gives the candidates: the cost follows the number of
    neighbours, not N squared.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    reach = float(sides.max(initial=0)) * (1 - iou_threshold) / (1 + iou_threshold)
    candidates = cKDTree(centres(boxes)).query_pairs(reach, p=np.inf, output_type="ndarray")
    keep = paired_iou(boxes[candidates[:, 0]], boxes[candidates[:, 1]]) > iou_threshold
    pairs: NDArray[np.intp] = np.sort(candidates[keep], axis=1)
    return pairs

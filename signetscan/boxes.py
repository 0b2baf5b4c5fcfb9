"""Boxes as float arrays of shape (N, 4): x0, y0, x1, y1 with x1 > x0 and y1 > y0.

The caller chooses the frame (level-0 pixels, tile pixels, µm), which is the same for all boxes of a call.
Coordinates are continuous: pixel i covers [i, i + 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = np.float32 | np.float64
    """Coordinates of boxes and points. Not `np.floating`, because that contains an `Any`."""
    Boxes = NDArray[Float]

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 of a single box."""


def area(boxes: Boxes) -> NDArray[Float]:
    """Area of each box, shape (N,), in square units of the boxes' frame."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def centres(boxes: Boxes) -> NDArray[Float]:
    """Centre (x, y) of each box, shape (N, 2)."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def centre_in_any(boxes: Boxes, areas: Boxes) -> NDArray[np.bool_]:
    """Whether each box, (N,), has its centre in any of the areas, (M, 4), whose left and top edges count as inside."""
    inside = np.zeros(len(boxes), np.bool_)
    x, y = centres(boxes).T
    # Sorted by x, the centres between the left and right edges of an area are one run, which is found by bisection.
    order = np.argsort(x)
    sorted_x = x[order]
    for x0, y0, x1, y1 in areas.tolist():
        near = order[np.searchsorted(sorted_x, x0) : np.searchsorted(sorted_x, x1)]
        inside[near] |= (y[near] >= y0) & (y[near] < y1)
    return inside


def paired_iou(a: Boxes, b: Boxes) -> NDArray[Float]:
    """Intersection over union of a[i] with b[i], shape (N,)."""
    width, height = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0).T
    overlap = width * height
    union = area(a) + area(b) - overlap
    return _ratio(overlap, union)


def iou_matrix(a: Boxes, b: Boxes) -> NDArray[Float]:
    """Intersection over union of every a with every b, shape (len(a), len(b))."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return _ratio(overlap, union)


def _ratio(overlap: NDArray[Float], union: NDArray[Float]) -> NDArray[Float]:
    """Overlap / union; 0 for boxes without area."""
    result: NDArray[Float] = overlap / np.maximum(union, np.finfo(union.dtype).tiny)
    return result

"""Anchors, the box that each is to predict, and boxes as offsets from anchors. Tile pixels throughout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BASE_SIZES = (16.0, 32.0, 64.0, 128.0, 256.0)
"""Square root of the area of the smallest anchor of each FPN level, P3 to P7.

RetinaNet's are twice as large, for larger objects."""
RATIOS = (0.5, 1.0, 2.0)
"""Height over width."""
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
"""Sizes between one level and the next."""
PER_POSITION = len(RATIOS) * len(SCALES)
"""Anchors at each position of a level."""

POSITIVE_IOU = 0.5
"""An anchor with at least this IoU with a box is to predict it."""
NEGATIVE_IOU = 0.4
"""An anchor whose IoU with every box is below this is background; one in between is ignored."""

MAX_LOG_RATIO = math.log(1000 / 16)
"""A box is at most this much (natural logarithm) larger than its anchor."""


def level_anchors(rows: int, columns: int, stride: int, base_size: float, device: torch.device) -> Tensor:
    """The anchors of one FPN level, (rows * columns * 9, 4) as x0, y0, x1, y1.

    Row by row, and at each position in the order of `RATIOS` by `SCALES`.
    """
    shapes = [
        (base_size * scale / math.sqrt(ratio) / 2, base_size * scale * math.sqrt(ratio) / 2)
        for ratio in RATIOS
        for scale in SCALES
    ]
    around = torch.tensor([[-x, -y, x, y] for x, y in shapes], dtype=torch.float32).to(device, non_blocking=True)
    xs = (torch.arange(columns, dtype=torch.float32, device=device) + 0.5) * stride
    ys = (torch.arange(rows, dtype=torch.float32, device=device) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    centres = torch.stack([grid_x, grid_y, grid_x, grid_y], dim=-1)  # (rows, columns, 4)
    return (centres[:, :, None, :] + around).reshape(-1, 4)


def levels_needed(boxes: NDArray[np.float64]) -> int:
    """Number of FPN levels, counted from P3 and at least 2, whose anchors are nearest in size to these boxes.

    A level without any box to predict learns from background alone. Where a crop is only a few of its positions wide,
    all of them at the border, what the level learns does not hold inside a whole image: in the experiment on missing
    labels, runs with too many levels covered normal images with boxes larger than any cell.

    Args:
        boxes: (N, 4), pixels at the model's mpp.
    """
    sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    # Halfway, in logarithms, between the largest scale of a level (2 ** (2/3)) and the smallest of the next (2).
    next_level = np.array(BASE_SIZES[:-1]) * 2 ** (5 / 6)
    return max(2, 1 + int((sizes.max(initial=0) > next_level).sum()))


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every a with every b, (len(a), len(b))."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (a, b))
    return overlap / (area_a[:, None] + area_b[None] - overlap)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """What each anchor of one image is to predict."""

    matched: Tensor
    """(A,), index of the box to predict; meaningless where not positive."""
    positive: Tensor
    """(A,), whether the anchor is to predict a box."""
    ignored: Tensor
    """(A,), whether the anchor is left out of the classification loss."""


def assign(anchors: Tensor, boxes: Tensor) -> Assignment:
    """Give each anchor its box by RetinaNet's rule; each box gets at least the anchors that fit it best.

    The size of every intermediate result is known beforehand, so the CPU never waits for a GPU.

    Args:
        anchors: (A, 4).
        boxes: (N, 4); N may be 0.
    """
    if len(boxes) == 0:
        nowhere = torch.zeros(len(anchors), dtype=torch.bool, device=anchors.device)
        return Assignment(matched=nowhere.long(), positive=nowhere, ignored=nowhere)
    overlap = box_iou(anchors, boxes)
    best, matched = overlap.max(dim=1)
    positive = best >= POSITIVE_IOU
    # A box of unusual shape may have no anchor above POSITIVE_IOU. Then its best anchors must predict it, even those
    # that fit another box better, or the network would never learn that box.
    best_of_box = overlap.max(dim=0).values
    unmatched = (best_of_box < POSITIVE_IOU) & (best_of_box > 0)
    fits = unmatched & (overlap >= best_of_box - 1e-6)
    # Numbers from 1 on, so that 0 is an anchor with no such box; of several boxes the last one wins.
    forced = (fits * torch.arange(1, len(boxes) + 1, dtype=torch.int32, device=boxes.device)).max(dim=1).values
    matched = torch.where(forced > 0, forced.long() - 1, matched)
    positive |= forced > 0
    ignored = ~positive & (best >= NEGATIVE_IOU)
    return Assignment(matched=matched, positive=positive, ignored=ignored)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes as offsets from anchors, (N, 4): shift of the centre and logarithm of the size, in anchor sizes."""
    size, anchor_size = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    centre, anchor_centre = (boxes[:, 2:] + boxes[:, :2]) / 2, (anchors[:, 2:] + anchors[:, :2]) / 2
    return torch.cat([(centre - anchor_centre) / anchor_size, torch.log(size / anchor_size)], dim=1)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of `encode`, for any leading dimensions (..., 4)."""
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    anchor_centre = (anchors[..., 2:] + anchors[..., :2]) / 2
    centre = offsets[..., :2] * anchor_size + anchor_centre
    half = torch.exp(offsets[..., 2:].clamp(max=MAX_LOG_RATIO)) * anchor_size / 2
    return torch.cat([centre - half, centre + half], dim=-1)

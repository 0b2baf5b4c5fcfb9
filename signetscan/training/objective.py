"""The training objective: a batch of crops, and its classification and box losses.

Once a batch is on its device, the sizes of all intermediate results are known beforehand: the CPU never waits for a GPU
to tell how many anchors are positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from signetscan.training.anchors import assign, encode
from signetscan.training.losses import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from signetscan.training.crops import TrainingCrop

BOX_BETA = 1 / 9
"""Where smooth L1 turns from quadratic to linear, as in RetinaNet."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingBatch:
    """B crops as tensors, with N boxes in all."""

    pixels: Tensor
    """uint8 (B, S, S, 3), RGB."""
    boxes: Tensor
    """float32 (N, 4), crop pixels; the boxes of the first crop, then those of the second, and so on."""
    labels: Tensor
    """int64 (N,)."""
    counts: tuple[int, ...]
    """Number of boxes of each crop."""
    normal: tuple[bool, ...]
    """Whether each crop is from an image without cells."""
    names: tuple[str, ...]
    """Names of the images, for messages."""
    ignored: tuple[Tensor, ...] = ()
    """For each crop float32 (M, 4), rectangles in which nothing is background, crop pixels; none if no crop has any."""


def make_batch(crops: Sequence[TrainingCrop], stride: int, *, pin: bool = False) -> TrainingBatch:
    """Join crops to a batch.

    Args:
        crops: at least one; all of the same size.
        stride: the architecture's; sides are padded to multiples of it.
        pin: whether to use pinned memory, from which a GPU copies while the CPU goes on.
    """
    boxes = np.concatenate([crop.boxes for crop in crops]).astype(np.float32)
    tensors = (
        stack(crops, stride),
        torch.from_numpy(boxes),
        torch.from_numpy(np.concatenate([crop.labels for crop in crops])),
    )
    pixels, box_tensor, labels = (tensor.pin_memory() if pin else tensor for tensor in tensors)
    return TrainingBatch(
        pixels=pixels,
        boxes=box_tensor,
        labels=labels,
        counts=tuple(len(crop.boxes) for crop in crops),
        normal=tuple(crop.normal for crop in crops),
        names=tuple(crop.name for crop in crops),
        ignored=tuple(torch.from_numpy(crop.ignored.astype(np.float32)) for crop in crops)
        if any(len(crop.ignored) for crop in crops)
        else (),
    )


def stack(crops: Sequence[TrainingCrop], stride: int) -> Tensor:
    """The crops' pixels as a batch, uint8 (B, S, S, 3), padded with white to a multiple of the stride."""
    side = crops[0].pixels.shape[0]
    padded = -(-side // stride) * stride
    batch = np.full((len(crops), padded, padded, 3), 255, np.uint8)
    for index, crop in enumerate(crops):
        batch[index, :side, :side] = crop.pixels
    return torch.from_numpy(batch)


def batch_losses(
    loss: nn.Module, logits: Tensor, offsets: Tensor, anchors: Tensor, batch: TrainingBatch
) -> tuple[Tensor, Tensor]:
    """Losses of a batch: the classification loss over all anchors that count, and the mean box loss of positive ones.

    Args:
        loss: the classification loss, called with logits, targets and sources, each (N,), N anchors times classes.
        logits: (B, A, classes).
        offsets: (B, A, 4).
        anchors: (A, 4), crop pixels.
        batch: the B crops, on any device.
    """
    classes = torch.arange(logits.shape[2], device=logits.device)
    all_boxes, all_labels = (tensor.to(logits.device, non_blocking=True) for tensor in (batch.boxes, batch.labels))
    targets, sources = torch.zeros_like(logits), torch.zeros_like(logits, dtype=torch.long)
    # Zero, but part of the graph, so that a batch without boxes has a gradient too.
    loss_box, positives = offsets.sum() * 0, torch.zeros((), device=logits.device)
    counts = list(batch.counts)
    parts = zip(torch.split(all_boxes, counts), torch.split(all_labels, counts), batch.normal, strict=True)
    for index, (boxes, labels, normal) in enumerate(parts):
        sources[index] = Source.NORMAL if normal else Source.NOISY
        if not len(boxes):
            continue
        assigned = assign(anchors, boxes)
        positive, matched = assigned.positive, assigned.matched
        targets[index] = (positive[:, None] & (labels[matched][:, None] == classes)).to(targets)
        sources[index].masked_fill_(positive[:, None], Source.POSITIVE)
        sources[index].masked_fill_(assigned.ignored[:, None], Source.IGNORED)
        # Of all anchors, and then masked: to pick the positive ones would wait for their number.
        target_offsets = encode(boxes[matched], anchors)
        losses = functional.smooth_l1_loss(offsets[index], target_offsets, beta=BOX_BETA, reduction="none").sum(dim=1)
        loss_box = loss_box + torch.where(positive, losses, 0).sum()
        positives = positives + positive.sum()
    # Not strict, because `ignored` is empty if no crop has any such area. Cells in them that have a box stay positive.
    for crop_sources, areas in zip(sources, batch.ignored, strict=False):
        background = (crop_sources == Source.NORMAL) | (crop_sources == Source.NOISY)
        crop_sources.masked_fill_(background & within(anchors, areas.to(anchors.device))[:, None], Source.IGNORED)
    loss_class = loss(logits.flatten(), targets.flatten(), sources.flatten())
    return loss_class, loss_box / positives.clamp(min=1)


def within(anchors: Tensor, areas: Tensor) -> Tensor:
    """Whether each anchor has its centre in any of the areas.

    Args:
        anchors: (A, 4).
        areas: (M, 4), in the same frame.

    Returns:
        bool (A,).
    """
    centres = (anchors[:, None, :2] + anchors[:, None, 2:]) / 2
    return ((centres >= areas[None, :, :2]) & (centres < areas[None, :, 2:])).all(dim=2).any(dim=1)

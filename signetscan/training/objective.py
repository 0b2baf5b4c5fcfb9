"""What the network is asked for: the classification and box losses of a batch of crops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from signetscan.training.anchors import STRIDES, assign, encode
from signetscan.training.losses import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from signetscan.training.crops import Crop

BOX_BETA = 1 / 9
"""Where smooth L1 turns from square to straight, as in RetinaNet."""


def stack(crops: Sequence[Crop]) -> Tensor:
    """The crops' pixels as a batch, uint8 (B, S, S, 3), filled up with white to the coarsest map's grain."""
    side = crops[0].pixels.shape[0]
    full = -(-side // STRIDES[-1]) * STRIDES[-1]
    batch = np.full((len(crops), full, full, 3), 255, np.uint8)
    for index, crop in enumerate(crops):
        batch[index, :side, :side] = crop.pixels
    return torch.from_numpy(batch)


def batch_losses(
    loss: nn.Module, logits: Tensor, offsets: Tensor, anchors: Tensor, crops: Sequence[Crop]
) -> tuple[Tensor, Tensor]:
    """Losses of a batch: of the classes over all anchors that count, and of the boxes, a mean over positive anchors.

    Args:
        loss: called with logits, targets and sources, each (N,), N anchors times classes.
        logits: (B, A, classes).
        offsets: (B, A, 4).
        anchors: (A, 4), crop pixels.
        crops: the B crops.
    """
    targets, sources, counted = torch.zeros_like(logits), torch.zeros_like(logits, dtype=torch.long), []
    loss_box, positives = offsets.sum() * 0, 0
    for index, crop in enumerate(crops):
        boxes = torch.from_numpy(crop.boxes).to(anchors)
        assigned = assign(anchors, boxes)
        counted.append(~assigned.ignored)
        sources[index] = Source.NORMAL if crop.normal else Source.NOISY
        found = assigned.positive.nonzero().flatten()
        if len(found):
            matched = assigned.matched[found]
            labels = torch.from_numpy(crop.labels).to(anchors.device)[matched]
            targets[index, found, labels] = 1
            sources[index, found] = Source.POSITIVE
            wanted = encode(boxes[matched], anchors[found])
            loss_box = loss_box + functional.smooth_l1_loss(
                offsets[index, found], wanted, beta=BOX_BETA, reduction="sum"
            )
            positives += len(found)
    keep = torch.stack(counted)
    loss_class = loss(logits[keep].flatten(), targets[keep].flatten(), sources[keep].flatten())
    return loss_class, loss_box / max(positives, 1)

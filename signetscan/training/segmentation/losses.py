"""Losses of segmentation when some lesions are not outlined: those of detection on pixels, and soft Dice.

A pixel is an example, as an anchor is in detection, and its label is to be trusted in the same way. In an image with
lesions some have no outline, so its background is *noisy*; outlined pixels, and all pixels of images without lesions,
are *clean*.

The losses of detection want a single logit for each example. Of C classes that exclude each other, let p be the softmax
probability of a pixel's own class, and m = log(p / (1 - p)) the margin of that class over all others. Then -log p is
the binary cross-entropy of m with the target 1, and 1 - p its gradient norm. So an outlined pixel is an example with
the logit m and the target 1, and a pixel of the background one with the logit -m and the target 0. With a single class
besides the background, that is DGHM as it is printed.

Soft Dice is that of Milletari, Navab and Ahmadi, "V-Net" (3DV 2016, arXiv 1606.04797), with plain sums below as in
Drozdzal et al. (2016, arXiv 1608.04117): of each class in a batch, 2 * sum(p * y) / (sum(p) + sum(y)). Beside DGHM it
sums over clean pixels only, if there is clean background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from signetscan.dataset.masks.images import BACKGROUND
from signetscan.training.losses import Counting, Source, make_loss
from signetscan.training.segmentation.options import TRUSTS_CLEAN_ONLY

if TYPE_CHECKING:
    from signetscan.training.segmentation.options import SegmentationOptions


class SegmentationLosses(NamedTuple):
    """The two parts of the loss, scalars; their sum is what is made small."""

    pixels: Tensor
    """The loss over pixels one by one."""
    dice: Tensor
    """1 - soft Dice, times its weight."""


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much the logit of each pixel's label exceeds the joint logit of all other classes.

    Args:
        logits: (B, C, h, w).
        labels: int64 (B, h, w).

    Returns:
        log(p / (1 - p)), (B, h, w), where p is the softmax probability of the label.
    """
    own = torch.gather(logits, 1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return own - torch.logsumexp(others, dim=1)


def dice_loss(logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """1 - soft Dice: the mean over the classes that occur, but the background; 0 if none occurs.

    Args:
        logits: (B, C, h, w).
        labels: int64 (B, h, w).
        counts: bool (B, h, w), which pixels count.
    """
    probabilities = torch.softmax(logits.float(), dim=1)[:, BACKGROUND + 1 :]
    truth = torch.zeros_like(logits, dtype=torch.float32).scatter_(1, labels[:, None], 1.0)[:, BACKGROUND + 1 :]
    weights = counts[:, None].float()
    axes = (0, 2, 3)
    both, all_truth = (weights * probabilities * truth).sum(axes), (weights * truth).sum(axes)
    # A class that does not occur has a Dice of 0 whatever is predicted, of which nothing could be learnt.
    occurs = (all_truth > 0).float()
    dice = 2 * both / ((weights * probabilities).sum(axes) + all_truth).clamp(min=1e-6)
    return (occurs * (1 - dice)).sum() / occurs.sum().clamp(min=1)


class SegmentationLoss(nn.Module):
    """The loss of a run: one over pixels, and soft Dice.

    Args:
        options: the options of the run.
        any_normal: whether some training images are known to be background as a whole. Without any, clean pixels are
            all of some class, and a Dice over them alone would call everything one; so it sums over all pixels.
    """

    def __init__(self, options: SegmentationOptions, *, any_normal: bool = True) -> None:
        super().__init__()
        name = options.loss.loss
        counting = Counting(together=options.pixels_per_example, per_positive=False)
        self.of_pixels = None if name == "dice" else make_loss(options.loss, counting)
        self.dice_weight = options.dice_weight
        self.clean_only = any_normal and name in TRUSTS_CLEAN_ONLY

    def forward(self, logits: Tensor, labels: Tensor, sources: Tensor) -> SegmentationLosses:
        """The losses of a batch.

        Args:
            logits: (B, C, h, w).
            labels: int64 (B, h, w).
            sources: int64 (B, h, w), `Source` of each pixel; labels of ignored ones do not matter.
        """
        logits = logits.float()
        nothing = logits.sum() * 0  # part of the graph, so that there is a gradient in any case
        pixels, dice = nothing, nothing
        if self.of_pixels is not None:
            targets = (labels != BACKGROUND).float()
            signed = margins(logits, labels) * (2 * targets - 1)
            pixels = self.of_pixels(signed.flatten(), targets.flatten(), sources.flatten())
        if self.dice_weight > 0:
            counts = sources != Source.IGNORED
            if self.clean_only:
                counts = counts & (sources != Source.NOISY)
            dice = self.dice_weight * dice_loss(logits, labels, counts)
        return SegmentationLosses(pixels=pixels, dice=dice)

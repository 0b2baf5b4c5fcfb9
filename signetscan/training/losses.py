"""Classification losses for partially annotated images; DGHM-C is the one that signetscan is built on.

Every loss gets the same inputs: for each example (an anchor and a class) its logit, its target, and where its label
comes from, which tells how far the label can be trusted. In an image with signet ring cells some have no box, so its
negatives are *noisy*; positives, and negatives of images without cells, are *clean*. Nothing here makes the CPU wait
for a GPU.

Sources: Lin et al., "Decoupled Gradient Harmonized Detector for Partial Annotation" (Neurocomputing 2021, arXiv
2004.04455) for DGHM-C; Li, Liu and Wang, "Gradient Harmonized Single-stage Detector" (AAAI 2019, arXiv 1811.05181) for
GHM-C; Lin et al. (ICCV 2017) for focal loss; Wang et al. (ICCV 2019) for symmetric cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signetscan.training.options import LossName, LossOptions


class Source(IntEnum):
    """Where the label of an example comes from."""

    POSITIVE = 0
    """An anchor on an annotated cell, in an image with cells (AP_P in the paper)."""
    NORMAL = 1
    """A negative of an image without any cell (NP_N)."""
    NOISY = 2
    """A negative of an image with cells, some of which may have no box (AP_N)."""
    IGNORED = 3
    """An anchor too near a cell for a negative and too far for a positive: left out of every sum and count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What counts as one example."""

    together: int = 1
    """Examples that count as one, because they are of the same thing, as neighbouring pixels are. It matters where a
    density has another exponent than 1."""
    per_positive: bool = True
    """Whether a plain sum of losses is divided by the number of positives, or by that of all examples."""


ANCHORS = Counting()
"""Anchors of a detector, of which few are positive."""


class HarmonisedLoss(nn.Module):
    """Gradient harmonising (GHM-C), decoupled (DGHM-C) or not.

    With p the score, p* the target, CE the binary cross-entropy, and g = |p - p*| the gradient norm, sorted into
    unit regions of width 1 / bins:

        GD(g_i) = examples of i's group in i's region                gradient density, eq. 9; `per_width`: times bins
        beta_i  = N / GD(g_i) ** gamma_i                             eq. 10
        gamma_i = the group's mu if g_i >= outlier else 1            eq. 11
        L       = 1 / (M * N) * sum_i beta_i * CE_i                  eq. 12, N examples in M groups

    so example i has the coefficient 1 / (M * GD ** gamma). GHM-C is the case of one group whose mu is 1.

    Args:
        groups: the group (0 to M - 1) of each `Source` but `IGNORED`.
        mus: exponent of each group's outliers.
        options: constants.
        counting: what counts as one example; with u examples `together`, the numbers of the formulas are divided by u,
            and no density is below 1.
    """

    counts: Tensor
    """(M, bins), running counts; used with momentum only."""

    def __init__(
        self, groups: tuple[int, int, int], mus: tuple[float, ...], options: LossOptions, counting: Counting = ANCHORS
    ) -> None:
        super().__init__()
        self.bins, self.outlier, self.momentum = options.bins, options.outlier, options.momentum
        self.together = counting.together
        self.unit = (options.bins if options.per_width else 1) / self.together
        # Ignored examples form a last group, whose counts are dropped: to leave them out by a mask would give tensors
        # of a size that only the GPU knows.
        self.groups, self.mus = (*groups, len(mus)), (*mus, 1.0)
        self.register_buffer("counts", torch.zeros(len(mus), options.bins, dtype=torch.float64))

    def forward(self, logits: Tensor, targets: Tensor, sources: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: (N,), float.
            targets: (N,), 0 or 1.
            sources: (N,), `Source` of each example.
        """
        logits, targets = logits.float(), targets.float()
        if self.training and self.momentum:
            self._update(self._count(*self._regions(logits, targets, sources)))
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (self.coefficients(logits, targets, sources) * losses).sum()

    @torch.no_grad()
    def coefficients(self, logits: Tensor, targets: Tensor, sources: Tensor) -> Tensor:
        """The factor of each example's cross-entropy, (N,): 1 / (M * GD ** gamma), or 0 where it is ignored."""
        group, region = self._regions(logits, targets, sources)
        counts = self.counts.to(logits.device) if self.momentum else self._count(group, region)
        group_count = len(counts)
        # Ignored examples read any group's count, and get 0 below. A running count may come close to 0.
        density = counts[group.clamp(max=group_count - 1), region].clamp(min=1e-3) * self.unit
        if self.together > 1:
            density = density.clamp(min=1)  # below 1, an exponent that is to lower a weight would raise it
        exponent = _constant(self.mus, logits.device)[group]
        gamma = torch.where(self._norms(logits, targets) >= self.outlier, exponent, 1.0)
        return torch.where(group < group_count, 1 / (self.together * group_count * density**gamma), 0).float()

    def _norms(self, logits: Tensor, targets: Tensor) -> Tensor:
        norms = (torch.sigmoid(logits.detach()) - targets).abs()
        return norms.nan_to_num(1.0)  # so that indexing works; the loss itself stays nan, which stops the run

    def _regions(self, logits: Tensor, targets: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Group and unit region of each example; a gradient norm of 1 belongs to the last region."""
        group = _constant(self.groups, logits.device)[sources]
        region = (self._norms(logits, targets) * self.bins).long().clamp(max=self.bins - 1)
        return group, region

    def _count(self, group: Tensor, region: Tensor) -> Tensor:
        """Examples in each region of each group, (M, bins)."""
        # A GPU adds in any order, which sums of whole numbers in float64 do not depend on.
        ones = torch.ones_like(group, dtype=torch.float64)
        counts = ones.new_zeros(len(self.mus) * self.bins).scatter_add_(0, group * self.bins + region, ones)
        return counts.reshape(len(self.mus), self.bins)[:-1]

    @torch.no_grad()
    def _update(self, fresh: Tensor) -> None:
        """Update the running mean of the counts, region by region; the first count is taken as it is."""
        fresh = fresh.to(self.counts.device)
        mixed = self.momentum * self.counts + (1 - self.momentum) * fresh
        self.counts.copy_(torch.where(self.counts > 0, mixed, fresh))


def _constant(values: Sequence[float], device: torch.device) -> Tensor:
    """A few numbers on a device, without waiting for the device."""
    return torch.tensor(values).to(device, non_blocking=True)


class PlainLoss(nn.Module):
    """The sum of a loss over examples, divided by a number of them (at least 1): as in RetinaNet, of the positives.

    Args:
        of_example: the loss of single examples, (logits, targets) to losses, each (N,).
        counting: which examples to divide by.
    """

    def __init__(self, of_example: Callable[[Tensor, Tensor], Tensor], counting: Counting = ANCHORS) -> None:
        super().__init__()
        self.of_example, self.per_positive = of_example, counting.per_positive

    def forward(self, logits: Tensor, targets: Tensor, sources: Tensor) -> Tensor:
        """The loss of a batch, a scalar; see `HarmonisedLoss.forward`."""
        targets, counted = targets.float(), (sources != Source.IGNORED).float()
        divisor = (counted * targets if self.per_positive else counted).sum().clamp(min=1)
        return (counted * self.of_example(logits.float(), targets)).sum() / divisor


def _dghm_c(options: LossOptions, counting: Counting) -> nn.Module:
    return HarmonisedLoss((0, 0, 1), (options.mu_clean, options.mu_noisy), options, counting)


def _dghm_c_star(options: LossOptions, counting: Counting) -> nn.Module:
    return HarmonisedLoss((0, 1, 2), (options.mu_clean, options.mu_clean, options.mu_noisy), options, counting)


def _ghm_c(options: LossOptions, counting: Counting) -> nn.Module:
    return HarmonisedLoss((0, 0, 0), (1.0,), options, counting)


def _ce(options: LossOptions, counting: Counting) -> nn.Module:  # noqa: ARG001 - one signature
    return PlainLoss(
        lambda logits, targets: functional.binary_cross_entropy_with_logits(logits, targets, reduction="none"),
        counting,
    )


def _focal(options: LossOptions, counting: Counting) -> nn.Module:
    def of_example(logits: Tensor, targets: Tensor) -> Tensor:
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        norms = (torch.sigmoid(logits) - targets).abs()
        balance = targets * options.focal_alpha + (1 - targets) * (1 - options.focal_alpha)
        return balance * norms**options.focal_gamma * losses

    return PlainLoss(of_example, counting)


LOG_ZERO = -4.0
"""Stands for the logarithm of 0 in symmetric cross-entropy (A in its paper)."""


def _sce(options: LossOptions, counting: Counting) -> nn.Module:
    def of_example(logits: Tensor, targets: Tensor) -> Tensor:
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        reverse = -LOG_ZERO * (torch.sigmoid(logits) - targets).abs()  # - sum of p * log(target) over both outcomes
        return options.sce_alpha * losses + options.sce_beta * reverse

    return PlainLoss(of_example, counting)


LOSSES: dict[LossName, Callable[[LossOptions, Counting], nn.Module]] = {
    "dghm-c": _dghm_c,
    "dghm-c-star": _dghm_c_star,
    "ghm-c": _ghm_c,
    "focal": _focal,
    "ce": _ce,
    "sce": _sce,
}
"""Makers of the losses by name; dice is no sum over examples, and stands in `segmentation/losses.py`."""


def make_loss(options: LossOptions, counting: Counting = ANCHORS) -> nn.Module:
    """The loss that the options name, called with (logits, targets, sources)."""
    return LOSSES[options.loss](options, counting)

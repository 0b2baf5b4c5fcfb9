"""The steps of an epoch: batches are prepared on threads, each makes one step, and the losses are watched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from signetscan.concurrency import cpu_count, ordered_map
from signetscan.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from signetscan.training.crops import Patch
    from signetscan.training.options import RunOptions

Crop = TypeVar("Crop")
Batch = TypeVar("Batch")

BATCHES_AHEAD = 2
"""Batches that are kept ready for their step."""
STATISTICS_SETTLE = 40
"""Batches after which batch normalisation may begin to average over more of them."""
MOST_HALVINGS = 3
"""How often the weight of the latest batch is halved at most: from 1/10 to 1/80."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learner:
    """What a step changes, and what it needs for that."""

    network: nn.Module
    optimiser: torch.optim.Adam
    loss: nn.Module
    device: torch.device
    bf16: bool
    """Whether the forward pass is in bf16, in the operations that torch considers safe for it."""
    clip_norm: float
    """Gradients longer than this are shortened to it."""


class LossWatch:
    """Collects the losses of one batch after another, and stops the run if one is not a number.

    A gradient whose length is not a number stops it too: clipping would make all of it zero or nan.

    Reading a number from a GPU waits until the GPU has computed it, with nothing queued behind. So with `late` the
    losses of a batch are read after the next step has been queued. Weights that a broken batch has spoilt then make
    one more step before the run stops, so call `finish` before weights are kept.

    Args:
        on_batch: called with the losses of each batch by name, in order, once they are known.
        late: whether to read losses one step later.
    """

    def __init__(self, on_batch: Callable[[Mapping[str, float]], None], *, late: bool) -> None:
        self._on_batch, self._late = on_batch, late
        self._waiting: list[tuple[Tensor, torch.cuda.Event | None, tuple[str, ...], tuple[str, ...]]] = []
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, losses: Mapping[str, Tensor], gradient: Tensor, names: tuple[str, ...]) -> None:
        """Add the losses of the next batch.

        Args:
            losses: the parts of the loss by name, such as `loss_class`: scalars on any device.
            gradient: length of the gradient, such a scalar.
            names: names of the images in the batch, for messages.

        Raises:
            TrainingError: a value of this batch, or with `late` of the batch before, is not a number.
        """
        on_device = torch.stack([value.detach() for value in (*losses.values(), gradient)])
        on_cpu, arrival = on_device.to("cpu", non_blocking=self._late), None
        if on_device.is_cuda and self._late:
            arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrival.record()
        self._waiting.append((on_cpu, arrival, tuple(losses), names))
        while len(self._waiting) > self._late:
            self._read_next()

    def finish(self) -> dict[str, float]:
        """Read the losses that are still waiting, and return the mean of each over all batches.

        Raises:
            TrainingError: a value is not a number.
        """
        while self._waiting:
            self._read_next()
        return {name: value / self._count for name, value in self._sums.items()}

    def _read_next(self) -> None:
        values, arrival, parts, names = self._waiting.pop(0)
        if arrival is not None:
            arrival.synchronize()
        *read, gradient = values.tolist()
        losses = dict(zip(parts, read, strict=True))
        broken = "loss" if not all(map(math.isfinite, read)) else "gradient"
        if broken == "loss" or not math.isfinite(gradient):
            shown = ", ".join(f"{name.removeprefix('loss_')} {value}" for name, value in losses.items())
            images = ", ".join(sorted(set(names)))
            message = f"the {broken} is not a number ({shown}, gradient {gradient}) in a batch of {images}"
            raise TrainingError(message)
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        self._on_batch(losses)


def settle_statistics(network: nn.Module, batch: int) -> None:
    """Let batch normalisation average its statistics over more batches the longer a run has lasted.

    By torch's default, the latest batch weighs a tenth, so that a network is judged and exported with the statistics of
    some 20 batches: of segmentation, 160 crops of a few images. On the glands of EBHI-Seg, the same weights had a mean
    Dice of 0.755 with those of the last batches, which showed some classes more than others, and of 0.831 with those of
    400. The weight is changed in few steps, because a compiled network is compiled anew for each.

    Args:
        network: the network.
        batch: number of the batch, counted over the whole run from 0.
    """
    halvings = min(max(int(math.log2((batch + 1) / STATISTICS_SETTLE)), 0), MOST_HALVINGS)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1 / 2**halvings


def step(learner: Learner, losses: Mapping[str, Tensor], names: tuple[str, ...], watch: LossWatch) -> None:
    """Make one step of gradient descent.

    Args:
        learner: what learns.
        losses: the parts of a batch's loss by name, of which the sum is made small.
        names: names of the images in the batch, for messages.
        watch: collects the losses.

    Raises:
        TrainingError: a loss or the gradient is not a number.
    """
    learner.optimiser.zero_grad(set_to_none=True)
    first, *others = losses.values()
    sum(others, first).backward()  # type: ignore[no-untyped-call]
    gradient = torch.nn.utils.clip_grad_norm_(learner.network.parameters(), learner.clip_norm)
    watch.add(losses, gradient, names)
    learner.optimiser.step()


def load_batches(
    plan: Sequence[Sequence[Patch]],
    cut: Callable[[np.random.Generator, Patch], Crop],
    join: Callable[[list[Crop]], Batch],
    options: RunOptions,
    epoch: int,
) -> Iterator[Batch]:
    """The batches of an epoch in the order of the plan; threads cut, augment and join their crops.

    Args:
        plan: the patches of each batch.
        cut: cuts and augments a random crop of a patch.
        join: joins the crops of a batch.
        options: seed and batch size.
        epoch: number of the epoch, which seeds the random changes.
    """

    def cut_next(job: tuple[int, Patch]) -> Crop:
        number, patch = job
        # A generator for each crop, so that its changes do not depend on which thread cuts it, or when.
        return cut(np.random.default_rng([options.seed, epoch, number]), patch)

    jobs = enumerate(patch for batch in plan for patch in batch)
    # Two batches ahead, and one crop for each thread, so that no thread waits while a batch is joined.
    crops = ordered_map(cut_next, jobs, workers=cpu_count(), ahead=2 * options.batch_size + cpu_count())
    crops_of_batches = ([next(crops) for _ in batch] for batch in plan)
    return ordered_map(join, crops_of_batches, workers=1, ahead=BATCHES_AHEAD)

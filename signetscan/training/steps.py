"""The steps of an epoch: batches made ready on threads, a step down the gradient for each, a watch on the losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.concurrency import cpu_count, ordered_map
from signetscan.errors import TrainingError
from signetscan.training.crops import cut_crop
from signetscan.training.objective import batch_losses, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from signetscan.dataset import AnnotatedImage
    from signetscan.training.crops import ImageCache, Patch, TrainingCrop
    from signetscan.training.devices import Forward
    from signetscan.training.objective import TrainingBatch
    from signetscan.training.options import TrainOptions
    from signetscan.training.retinanet import RetinaNet

BATCHES_AHEAD = 2
"""Batches that wait, put together, for their step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learner:
    """What changes with each step, and how it does."""

    network: RetinaNet
    forward: Forward
    """The network as a function, perhaps compiled."""
    optimiser: torch.optim.Adam
    loss: nn.Module
    device: torch.device
    bf16: bool
    """Whether the forward pass is in bf16 where that does no harm."""
    clip_norm: float
    """Gradients longer than this are shortened."""


class LossWatch:
    """Takes the losses of one batch after another, and stops the run at one that is not a number.

    So does a gradient whose length is none: shortened to what is allowed it would be nothing, and the run stand still.

    To look at a number on a GPU is to wait until it is there, with nothing queued behind it. So `late` lets one step
    begin before the losses of the one before are looked at: weights that a broken batch has spoilt are then stepped
    once more, and thrown away. Call `finish` before weights are kept.

    Args:
        on_batch: called with the losses of classes and of boxes of each batch, in order, once they are known.
        late: whether to look one step later.
    """

    def __init__(self, on_batch: Callable[[float, float], None], *, late: bool) -> None:
        self._on_batch, self._late = on_batch, late
        self._waiting: list[tuple[Tensor, torch.cuda.Event | None, tuple[str, ...]]] = []
        self._sums, self._count = np.zeros(2), 0

    def add(self, loss_class: Tensor, loss_box: Tensor, gradient: Tensor, names: tuple[str, ...]) -> None:
        """Take the losses of the next batch.

        Args:
            loss_class: of the classes, a scalar on any device.
            loss_box: of the boxes.
            gradient: length of the gradient.
            names: of the images in the batch.

        Raises:
            TrainingError: one of them is not a number: of this batch, or `late` of the one before.
        """
        there = torch.stack([loss_class.detach(), loss_box.detach(), gradient.detach()])
        here, arrival = there.to("cpu", non_blocking=self._late), None
        if there.is_cuda and self._late:
            arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrival.record()
        self._waiting.append((here, arrival, names))
        while len(self._waiting) > self._late:
            self._look()

    def finish(self) -> dict[str, float]:
        """Look at what is left, and give the mean `loss_class` and `loss_box` over all batches.

        Raises:
            TrainingError: a loss is not a number.
        """
        while self._waiting:
            self._look()
        loss_class, loss_box = (self._sums / self._count).tolist()
        return {"loss_class": loss_class, "loss_box": loss_box}

    def _look(self) -> None:
        losses, arrival, names = self._waiting.pop(0)
        if arrival is not None:
            arrival.synchronize()
        loss_class, loss_box, gradient = losses.tolist()
        broken = "loss" if not math.isfinite(loss_class + loss_box) else "gradient"
        if broken == "loss" or not math.isfinite(gradient):
            values = f"classes {loss_class}, boxes {loss_box}, gradient {gradient}"
            message = f"the {broken} is not a number ({values}) in a batch of {', '.join(sorted(set(names)))}"
            raise TrainingError(message)
        self._sums += loss_class, loss_box
        self._count += 1
        self._on_batch(loss_class, loss_box)


def step(learner: Learner, batch: TrainingBatch, learning_rate: float, watch: LossWatch) -> None:
    """One step down the gradient.

    Raises:
        TrainingError: a loss or the gradient is not a number.
    """
    for group in learner.optimiser.param_groups:
        group["lr"] = learning_rate
    learner.network.train()
    with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.bf16):
        logits, offsets, anchors = learner.forward(batch.pixels.to(learner.device, non_blocking=True))
    loss_class, loss_box = batch_losses(learner.loss, logits, offsets, anchors, batch)
    learner.optimiser.zero_grad(set_to_none=True)
    (loss_class + loss_box).backward()  # type: ignore[no-untyped-call]
    gradient = torch.nn.utils.clip_grad_norm_(learner.network.parameters(), learner.clip_norm)
    watch.add(loss_class, loss_box, gradient, batch.names)
    learner.optimiser.step()


def load_batches(
    plan: Sequence[Sequence[Patch]],
    images: Sequence[AnnotatedImage],
    cache: ImageCache,
    options: TrainOptions,
    epoch: int,
    *,
    pin: bool,
) -> Iterator[TrainingBatch]:
    """The batches of an epoch in the order of the plan, cut, augmented and put together on threads.

    Args:
        plan: the patches of each batch.
        images: the images to learn from.
        cache: keeps decoded images.
        options: how to cut.
        epoch: number of the epoch; what is random depends on it.
        pin: whether the batches go to a GPU.
    """

    def cut(job: tuple[int, Patch]) -> TrainingCrop:
        number, patch = job
        rng = np.random.default_rng([options.seed, epoch, number])
        return cut_crop(rng, cache, images[patch.image], patch, options)

    def put_together(crops: list[TrainingCrop]) -> TrainingBatch:
        return make_batch(crops, options.architecture.stride, pin=pin)

    jobs = enumerate(patch for batch in plan for patch in batch)
    crops = ordered_map(cut, jobs, workers=cpu_count(), ahead=2 * options.batch_size + cpu_count())
    of_batches = ([next(crops) for _ in batch] for batch in plan)
    return ordered_map(put_together, of_batches, workers=1, ahead=BATCHES_AHEAD)

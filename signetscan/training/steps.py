"""The steps of an epoch: batches are prepared on threads, each makes one step, and the losses are watched."""

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
"""Batches that are kept ready for their step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learner:
    """What a step changes, and what it needs for that."""

    network: RetinaNet
    forward: Forward
    """The network as a function, perhaps compiled."""
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
        on_batch: called with the classification and the box loss of each batch, in order, once they are known.
        late: whether to read losses one step later.
    """

    def __init__(self, on_batch: Callable[[float, float], None], *, late: bool) -> None:
        self._on_batch, self._late = on_batch, late
        self._waiting: list[tuple[Tensor, torch.cuda.Event | None, tuple[str, ...]]] = []
        self._sums, self._count = np.zeros(2), 0

    def add(self, loss_class: Tensor, loss_box: Tensor, gradient: Tensor, names: tuple[str, ...]) -> None:
        """Add the losses of the next batch.

        Args:
            loss_class: classification loss, a scalar on any device.
            loss_box: box loss, such a scalar.
            gradient: length of the gradient, such a scalar.
            names: names of the images in the batch, for messages.

        Raises:
            TrainingError: a value of this batch, or with `late` of the batch before, is not a number.
        """
        on_device = torch.stack([loss_class.detach(), loss_box.detach(), gradient.detach()])
        on_cpu, arrival = on_device.to("cpu", non_blocking=self._late), None
        if on_device.is_cuda and self._late:
            arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrival.record()
        self._waiting.append((on_cpu, arrival, names))
        while len(self._waiting) > self._late:
            self._read_next()

    def finish(self) -> dict[str, float]:
        """Read the losses that are still waiting, and return the mean `loss_class` and `loss_box` over all batches.

        Raises:
            TrainingError: a value is not a number.
        """
        while self._waiting:
            self._read_next()
        loss_class, loss_box = (self._sums / self._count).tolist()
        return {"loss_class": loss_class, "loss_box": loss_box}

    def _read_next(self) -> None:
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
    """Make one step of gradient descent.

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
    """The batches of an epoch in the order of the plan; threads cut, augment and join their crops.

    Args:
        plan: the patches of each batch.
        images: the training images.
        cache: cache of decoded images.
        options: how to cut and augment crops.
        epoch: number of the epoch, which seeds the random changes.
        pin: whether the batches go to a GPU.
    """

    def cut(job: tuple[int, Patch]) -> TrainingCrop:
        number, patch = job
        # A generator for each crop, so that its changes do not depend on which thread cuts it, or when.
        rng = np.random.default_rng([options.seed, epoch, number])
        return cut_crop(rng, cache, images[patch.image], patch, options)

    def join(crops: list[TrainingCrop]) -> TrainingBatch:
        return make_batch(crops, options.architecture.stride, pin=pin)

    jobs = enumerate(patch for batch in plan for patch in batch)
    # Two batches ahead, and one crop for each thread, so that no thread waits while a batch is joined.
    crops = ordered_map(cut, jobs, workers=cpu_count(), ahead=2 * options.batch_size + cpu_count())
    crops_of_batches = ([next(crops) for _ in batch] for batch in plan)
    return ordered_map(join, crops_of_batches, workers=1, ahead=BATCHES_AHEAD)

"""The training loop, which is the same for every task: the steps of each epoch, its figures, and its files.

A run is reproducible: the plan of an epoch and each of its crops depend on the seed and the epoch alone. So on the same
machine a run that was stopped and resumed ends with the same weights as one that was not; an epoch that was under way
is started again.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from signetscan.errors import TrainingError
from signetscan.training.logs import open_log
from signetscan.training.steps import LossWatch, settle_statistics, step
from signetscan.training.tensor_files import not_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from signetscan.training.options import RunOptions
    from signetscan.training.steps import Learner

    Progress = Callable[[int, int], None]

LAST, BEST = "last.pt", "best.pt"
"""Files of a run: the state after the latest epoch, and the state after the best one."""


class NamedBatch(Protocol):
    """A batch of crops."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images, for messages."""


Batch = TypeVar("Batch", bound=NamedBatch)


class Run(Protocol[Batch]):
    """A run under way: what differs between the tasks."""

    @property
    def learner(self) -> Learner:
        """The network and what trains it."""

    @property
    def options(self) -> RunOptions:
        """The options of the run."""

    @property
    def epoch(self) -> int:
        """Epochs finished."""

    @property
    def batches(self) -> int:
        """Batches in an epoch."""

    def load(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0."""

    def losses(self, batch: Batch) -> Mapping[str, Tensor]:
        """The parts of a batch's loss by name."""

    def validate(self) -> Mapping[str, float]:
        """Figures of the network, in evaluation mode, on held-out images; none if nothing is held out."""

    def finish_epoch(self, row: Mapping[str, float]) -> Sequence[dict[str, float]]:
        """Keep the metrics of an epoch, and write the checkpoint if it is the best.

        Returns:
            The metrics of all epochs.
        """

    def save(self) -> None:
        """Write the checkpoint of the latest epoch."""


def run_epochs(
    run: Run[Batch],
    out: Path,
    *,
    on_progress: Progress | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    before_writing: Callable[[], None] | None = None,
) -> Path:
    """Train until all epochs are done.

    Args:
        run: the run.
        out: its folder.
        on_progress: called with (batches done, batches in all) after each batch.
        on_epoch: called with the metrics of each epoch.
        before_writing: called before the files of an epoch are written; an error that it raises ends the run.

    Returns:
        The best checkpoint's path.

    Raises:
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
        TrainingError: a loss or a weight is not a finite number.
        OutputError: a file cannot be written.
    """
    options, learner, batches = run.options, run.learner, run.batches
    if run.epoch >= options.epochs:
        return out / BEST
    with open_log(out, run.epoch * batches) as log:
        for epoch in range(run.epoch, options.epochs):
            started = time.perf_counter()
            watch, learning_rate = LossWatch(log.batch, late=learner.device.type == "cuda"), 0.0
            for number, batch in enumerate(run.load(epoch), start=epoch * batches):
                learning_rate = learning_rate_at(options, number, batches)
                for group in learner.optimiser.param_groups:
                    group["lr"] = learning_rate
                learner.network.train()
                settle_statistics(learner.network, number)
                step(learner, run.losses(batch), batch.names, watch)
                if on_progress is not None:
                    on_progress(number + 1, batches * options.epochs)
            row = {"epoch": epoch + 1.0, **watch.finish(), "rate": learning_rate}
            check_weights(learner.network.eval(), epoch + 1, out)
            row |= run.validate()
            if before_writing is not None:
                before_writing()
            history = run.finish_epoch(row | {"seconds": time.perf_counter() - started})
            log.epoch(history)
            # Last of all: a run that is stopped before this repeats the epoch, and writes the other files anew.
            run.save()
            if on_epoch is not None:
                on_epoch(history[-1])
    return out / BEST


def learning_rate_at(options: RunOptions, batch: int, batches: int) -> float:
    """Learning rate of a batch, counted over the whole run from 0, where each epoch has `batches` batches."""
    warm = min(1.0, (batch + 1) / max(options.warm_up, 1))
    if options.schedule == "cosine":
        return options.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * batch / (batches * options.epochs)))
    steps_passed = sum(batch >= step * batches for step in options.learning_rate_steps)
    return options.learning_rate * warm / 10.0**steps_passed


def check_weights(network: nn.Module, epoch: int, out: Path) -> None:
    """Check that all weights are finite, which losses do not show if only the last step broke them.

    Raises:
        TrainingError: some are not.
    """
    broken = not_finite(network.state_dict())
    if broken:
        message = (
            f"{out}: training has diverged: in epoch {epoch} weights are no longer finite numbers ({broken[0]}). The "
            "files of earlier epochs stay; train anew with a lower learning rate"
        )
        raise TrainingError(message, options=("learning_rate",))

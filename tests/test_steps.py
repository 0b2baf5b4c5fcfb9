"""The steps of training: the watch on the losses, what a GPU must not be kept waiting for, and the compiler."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch._dynamo.exc import TorchDynamoException
from torch.utils._python_dispatch import TorchDispatchMode
from toy_images import TINY

from signetscan.errors import OptionError, TrainingError
from signetscan.training import devices
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.crops import TrainingCrop
from signetscan.training.devices import forward_of
from signetscan.training.engine import train
from signetscan.training.losses import LOSSES, make_loss
from signetscan.training.objective import batch_losses, make_batch
from signetscan.training.options import Architecture, LossName, LossOptions, TrainOptions
from signetscan.training.retinanet import RetinaNet
from signetscan.training.steps import LossWatch, settle_statistics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.dataset import Dataset

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SLIM = Architecture(width=8, fpn_channels=8, head_depth=1)


# ---- the watch ------------------------------------------------------------------------------------------------------


def watched(losses: list[float], *, late: bool) -> tuple[list[float], LossWatch]:
    """A watch that saw so many batches, each named by its number, and what it handed on."""
    seen: list[float] = []
    watch = LossWatch(lambda losses: seen.append(losses["loss_class"]), late=late)
    for number, loss in enumerate(losses):
        parts = {"loss_class": torch.tensor(loss), "loss_box": torch.tensor(2 * loss)}
        watch.add(parts, torch.tensor(1.0), (f"{number}.png",))
    return seen, watch


@pytest.mark.parametrize("late", [False, True])
def test_losses_are_handed_on_in_order_and_their_mean_is_kept(late: bool) -> None:
    seen, watch = watched([1.0, 2.0, 6.0], late=late)
    assert seen == ([1.0, 2.0] if late else [1.0, 2.0, 6.0]), "a GPU's last losses are not waited for"
    assert watch.finish() == {"loss_class": 3.0, "loss_box": 6.0}
    assert seen == [1.0, 2.0, 6.0]


def test_a_broken_batch_is_named_at_once_on_a_cpu() -> None:
    with pytest.raises(TrainingError, match=r"in a batch of 1\.png$"):
        watched([1.0, math.inf], late=False)


def test_a_broken_batch_is_named_one_step_later_on_a_gpu_and_never_kept() -> None:
    """Once weights are broken every later loss is too: the first one is named."""
    with pytest.raises(TrainingError, match=r"in a batch of 1\.png$"):
        watched([1.0, math.nan, math.nan], late=True)
    _, watch = watched([1.0, 1.0, math.nan], late=True)
    with pytest.raises(TrainingError, match=r"in a batch of 2\.png$"):
        watch.finish()


def test_a_gradient_too_long_for_a_number_stops_the_run() -> None:
    _, watch = watched([], late=False)
    with pytest.raises(TrainingError, match=r"^the gradient is not a number \(.*\) in a batch of 7\.png$"):
        watch.add({"loss_class": torch.tensor(1.0)}, torch.tensor(math.inf), ("7.png",))


# ---- work that a GPU does alone -------------------------------------------------------------------------------------


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operations that make the processor wait for a GPU: their result, or its size, depends on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "bincount", "masked_select", "unique", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count, self.waiting = 0, set[str]()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own kind of function
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(one, torch.Tensor) and one.dtype == torch.bool for one in (args[1] if len(args) > 1 else ())
        )
        self.count += 1
        if by_mask or any(name.startswith(word) for word in self.WAITING):
            self.waiting.add(name)
        return func(*args, **(kwargs or {}))


def crops() -> list[TrainingCrop]:
    """One with boxes, of which one is too thin for any anchor; one without; two of a normal image.

    Not three in all: oneDNN 3.12 crashes on two threads in the gradient of 8 channels for 3 images or 5.
    """
    boxes = np.array([[10, 10, 60, 60], [30, 40, 90, 110], [5, 100, 125, 104]], np.float64)
    nothing = np.empty((0, 4))
    some = [(boxes, False), (nothing, False), (nothing, True), (nothing, True)]
    return [
        TrainingCrop(
            pixels=np.zeros((128, 128, 3), np.uint8),
            boxes=of_crop,
            labels=np.zeros(len(of_crop), np.int64),
            normal=normal,
            name="a",
        )
        for of_crop, normal in some
    ]


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_between_two_looks_at_the_losses_waits_for_a_gpu(name: LossName) -> None:
    network, batch = RetinaNet(SLIM), make_batch(crops(), 128)
    loss = make_loss(LossOptions(loss=name, momentum=0.5))
    with Recorder() as recorder:
        logits, offsets, anchors = network(batch.pixels)
        loss_class, loss_box = batch_losses(loss, logits, offsets, anchors, batch)
        (loss_class + loss_box).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    assert recorder.count > 100
    assert recorder.waiting == set()


def test_the_recorder_would_notice() -> None:
    values = torch.arange(4)
    for look in (
        lambda: values.sum().item(),
        lambda: values[values > 1],
        values.nonzero,
        lambda: torch.bincount(values),
    ):
        with Recorder() as recorder:
            look()
        assert recorder.waiting, look


# ---- torch.compile --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_compiled_run_is_kept_resumed_and_exported_like_any_other(
    toy_set: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the compiler's own bookkeeping but without code of its own, the weights are those of a plain run."""
    monkeypatch.setattr(devices, "BACKEND", "eager")
    options = replace(TINY, batches=2, batch_size=2, epochs=2, compile="off", validation_split=0.1)
    train(toy_set, options, tmp_path / "off", device="cpu")
    compiled = replace(options, compile="on")

    class StopTrainingError(Exception):
        """Stands for a kill."""

    def stop(_row: dict[str, float]) -> None:
        raise StopTrainingError

    with pytest.raises(StopTrainingError):
        train(toy_set, compiled, tmp_path / "on", device="cpu", on_epoch=stop)
    train(toy_set, compiled, tmp_path / "on", device="cpu", resume=True)
    off, on = (load_checkpoint(tmp_path / name / "last.pt") for name in ("off", "on"))
    assert on.network.keys() == off.network.keys()
    for name, value in off.network.items():
        assert torch.equal(value, on.network[name]), name
    assert [row["froc"] for row in on.history] == [row["froc"] for row in off.history]
    assert on.make_network()(torch.zeros(1, 128, 128, 3, dtype=torch.uint8))[0].shape[0] == 1


def test_a_network_is_compiled_for_a_gpu_only_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "BACKEND", "eager")
    network = RetinaNet(SLIM)
    assert forward_of(network, "auto", CPU) is network
    assert forward_of(network, "off", GPU) is network
    assert forward_of(network, "auto", GPU) is not network
    assert forward_of(network, "on", CPU) is not network


def test_what_cannot_be_compiled_runs_as_it_is_unless_compiling_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def compile_nothing(*_args: object, **_options: object) -> object:
        def fail(_tiles: torch.Tensor) -> None:
            calls.append(1)
            message = "no C compiler\n\nand a long story"
            raise TorchDynamoException(message)

        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    network, tiles = RetinaNet(SLIM).eval(), torch.zeros(1, 128, 128, 3, dtype=torch.uint8)
    forward = forward_of(network, "auto", GPU)
    for _ in range(2):
        assert torch.equal(forward(tiles)[0], network(tiles)[0])
    assert len(calls) == 1, "it is tried once"
    with pytest.raises(TrainingError, match=r"^torch\.compile: no C compiler; train without compiling$"):
        forward_of(network, "on", CPU)(tiles)


def test_choices_that_are_none_are_refused() -> None:
    with pytest.raises(OptionError, match="compile must be one of auto, on, off"):
        TrainOptions(compile="maybe")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="precision"):
        TrainOptions(precision="fp8")  # type: ignore[arg-type]
    old = TrainOptions().as_dict()
    del old["compile"]
    assert TrainOptions.from_dict(old) == TrainOptions(), "checkpoints from before the option can be resumed"


# ---- batch normalisation --------------------------------------------------------------------------------------------


def mean_after(batches: int) -> float:
    """The running mean of a normalisation that saw 0 in one batch and 2 in the next, so many times."""
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(1)).train()
    for batch in range(batches):
        settle_statistics(network, batch)
        network(torch.full((1, 1, 2, 2), 2.0 * (batch % 2)))
    norm = network[0]
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.running_mean is not None
    return float(norm.running_mean)


def test_a_long_run_averages_statistics_over_more_batches_than_a_short_one() -> None:
    assert abs(mean_after(50) - 1) == pytest.approx(0.1 / (2 - 0.1), abs=0.01), "torch's default at first"
    assert abs(mean_after(1000) - 1) == pytest.approx(0.0125 / (2 - 0.0125), abs=0.001)

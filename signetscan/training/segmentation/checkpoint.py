"""The state of a training run for segmentation on disk."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, cast

from signetscan.errors import OptionError, TrainingError
from signetscan.json_values import JsonError, JsonTable
from signetscan.models.held_out import HeldOutRegions
from signetscan.models.spec import Task
from signetscan.training.checkpoint_checks import problems_of_classes, problems_of_weights
from signetscan.training.segmentation.network import SegmentationNet
from signetscan.training.segmentation.options import SegmentationOptions
from signetscan.training.tensor_files import (
    check_packing,
    load_tensors,
    metrics_of,
    not_finite,
    save_tensors,
    tensors_of,
    typed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

    from signetscan.json_values import Json

FORMAT = 1
"""Version of the file's layout; another one is refused."""
ALWAYS = ("epoch", "loss_pixels", "loss_dice", "rate", "seconds")
"""Metrics of every epoch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentationCheckpoint:
    """All that is needed to resume a run, or to export its network."""

    options: SegmentationOptions
    """Options of the run."""
    class_names: tuple[str, ...]
    """Name of each label; the first is the background."""
    scored: tuple[int, ...]
    """Labels of the classes by which an image gets its score."""
    mpp: float
    """Size of the pixels that the network works at, µm/px."""
    data: str
    """What the network learnt from, in plain words."""
    data_digest: str
    """SHA-256 over the images' names, sizes and masks."""
    weights: str = ""
    """Name and SHA-256 of the file of weights that the backbone started from; empty if it started from random ones."""
    epoch: int
    """Epochs finished."""
    held_out_slides: tuple[str, ...]
    """Slides whose images were held out."""
    held_out: HeldOutRegions | None = None
    """Figures of an epoch that was the best so far; None if nothing was held out."""
    network: dict[str, torch.Tensor]
    """The network's parameters and buffers."""
    optimiser: dict[str, object] = field(default_factory=dict)
    """The optimiser's state; empty in a checkpoint that is only for export."""
    loss: dict[str, torch.Tensor] = field(default_factory=dict)
    """The loss's buffers."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One row of metrics for each epoch."""

    def make_network(self) -> SegmentationNet:
        """The network with these weights, in evaluation mode."""
        network = SegmentationNet(self.options.architecture)
        network.load_state_dict(self.network)
        return network.eval()

    @property
    def broken_weights(self) -> list[str]:
        """Names of the weights that are not finite numbers, with which a network cannot tell classes."""
        return not_finite(self.network)


def save_segmentation_checkpoint(path: Path, checkpoint: SegmentationCheckpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    values = {entry.name: getattr(checkpoint, entry.name) for entry in fields(checkpoint)}
    plain = {
        "format": FORMAT,
        "task": Task.SEGMENTATION.value,
        "options": checkpoint.options.as_dict(),
        "held_out": checkpoint.held_out and asdict(checkpoint.held_out),
    }
    lists = {name: list(values[name]) for name in ("class_names", "scored", "held_out_slides")}
    save_tensors(path, values | lists | plain)


def is_for_segmentation(path: Path) -> bool:
    """Whether a checkpoint is of a run for segmentation.

    Raises:
        TrainingError: it is missing or damaged, or holds more than tensors and plain values.
    """
    check_packing(path)
    return load_tensors(path).get("task") == Task.SEGMENTATION.value


def load_segmentation_checkpoint(path: Path) -> SegmentationCheckpoint:
    """Read a checkpoint, on the CPU.

    Raises:
        TrainingError: it is missing, damaged, of another version or task, or holds more than tensors and plain values;
            or its values are out of range or do not fit together.
    """
    check_packing(path)
    values = load_tensors(path)
    if (values.pop("format", None), values.pop("task", None)) != (FORMAT, Task.SEGMENTATION.value):
        message = f"{path}: not a checkpoint of this version of signetscan for segmentation"
        raise TrainingError(message)
    if values.keys() != {entry.name for entry in fields(SegmentationCheckpoint)}:
        message = f"{path}: has other entries than a checkpoint of this version of signetscan"
        raise TrainingError(message)
    try:
        checkpoint = _checkpoint(values)
    except (JsonError, TypeError, OptionError) as error:
        message = f"{path}: not a checkpoint of this version of signetscan: {error}"
        raise TrainingError(message) from error
    for problem in _problems(checkpoint):
        message = f"{path}: damaged, or not written by signetscan: {problem}; take another checkpoint"
        raise TrainingError(message)
    return checkpoint


def _checkpoint(values: Mapping[str, object]) -> SegmentationCheckpoint:
    """A checkpoint from the values in its file.

    Raises:
        JsonError: a plain value is missing or of the wrong type.
        TypeError: tensors or metrics are of the wrong type.
        OptionError: an option is unknown or out of range.
    """
    table = JsonTable(cast("dict[str, Json]", values))
    return SegmentationCheckpoint(
        options=SegmentationOptions.from_dict(table.values.get("options")),
        class_names=table.texts("class_names"),
        scored=table.wholes("scored"),
        mpp=table.number("mpp"),
        data=table.text("data"),
        data_digest=table.text("data_digest"),
        weights=table.text("weights"),
        epoch=table.whole("epoch"),
        held_out_slides=table.texts("held_out_slides"),
        held_out=None if values["held_out"] is None else HeldOutRegions.from_json(table.table("held_out")),
        network=tensors_of(values["network"]),
        optimiser=typed(values["optimiser"], dict),
        loss=tensors_of(values["loss"]),
        history=[metrics_of(row) for row in typed(values["history"], list)],
    )


def _problems(checkpoint: SegmentationCheckpoint) -> Iterator[str]:
    """What is out of range or does not fit together; the weights are looked at last, because that takes longest."""
    count = len(checkpoint.class_names)
    yield from problems_of_classes(checkpoint.mpp, checkpoint.class_names, checkpoint.options.architecture.classes)
    if not checkpoint.scored or not all(0 < label < count for label in checkpoint.scored):
        yield f"its scored classes have the labels {list(checkpoint.scored)}"
    complete = all(row.keys() >= set(ALWAYS) for row in checkpoint.history)
    if not complete or len(checkpoint.history) != checkpoint.epoch:
        yield "the metrics of its epochs are not complete"
    yield from problems_of_weights(checkpoint.network, lambda: SegmentationNet(checkpoint.options.architecture))

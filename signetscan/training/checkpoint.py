"""The state of a training run on disk: tensors and plain values only, read without running code from the file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, cast

from signetscan.errors import OptionError, TrainingError
from signetscan.json_values import JsonError, JsonTable
from signetscan.models.held_out import HeldOut
from signetscan.training.checkpoint_checks import problems_of_classes, problems_of_weights
from signetscan.training.history import is_row
from signetscan.training.options import TrainOptions
from signetscan.training.retinanet import RetinaNet
from signetscan.training.tensor_files import (
    check_packing,
    load_tensors,
    metrics_of,
    not_finite,
    save_tensors,
    tensors_of,
    typed,
)
from signetscan.training.thresholds import ThresholdBasis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

    from signetscan.json_values import Json

FORMAT = 1
"""Version of the file's layout; another one is refused."""
MAX_EPOCHS = 10**6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """All that is needed to resume a run, or to export its network."""

    options: TrainOptions
    """Options of the run."""
    class_names: tuple[str, ...]
    """Name of each label."""
    mpp: float
    """Size of the training images' pixels, µm/px."""
    data: str
    """What the network learnt from, in plain words."""
    data_digest: str
    """SHA-256 over the images' names, sizes and boxes."""
    weights: str = ""
    """Name and SHA-256 of the file of weights that the backbone started from; empty if it started from random ones."""
    epoch: int
    """Epochs finished."""
    threshold: float
    """Score threshold chosen on the validation images."""
    threshold_basis: ThresholdBasis | None = None
    """On what the threshold rests; None if an earlier version did not say."""
    held_out_slides: tuple[str, ...] | None = None
    """Slides whose images were held out; None if an earlier version did not say."""
    held_out: HeldOut | None = None
    """Figures at that threshold, of an epoch that was the best so far; None if an earlier version did not keep any."""
    network: dict[str, torch.Tensor]
    """The network's parameters and buffers."""
    optimiser: dict[str, object] = field(default_factory=dict)
    """The optimiser's state; empty in a checkpoint that is only for export."""
    loss: dict[str, torch.Tensor] = field(default_factory=dict)
    """The loss's buffers."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One row of metrics for each epoch."""

    def make_network(self) -> RetinaNet:
        """The network with these weights, in evaluation mode."""
        network = RetinaNet(self.options.architecture)
        network.load_state_dict(self.network)
        return network.eval()

    @property
    def broken_weights(self) -> list[str]:
        """Names of the weights that are not finite numbers, with which a network cannot score."""
        return not_finite(self.network)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    values = {"format": FORMAT} | {
        name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__ if name != "options"
    }
    values["options"] = checkpoint.options.as_dict()
    values["threshold_basis"] = checkpoint.threshold_basis and checkpoint.threshold_basis.value
    values["held_out"] = checkpoint.held_out and asdict(checkpoint.held_out)
    values["held_out_slides"] = None if checkpoint.held_out_slides is None else list(checkpoint.held_out_slides)
    save_tensors(path, values)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, on the CPU.

    Raises:
        TrainingError: it is missing, damaged, of another version, or holds more than tensors and plain values; or its
            values are out of range or do not fit together.
    """
    check_packing(path)
    values = load_tensors(path)
    if "task" in values:  # checkpoints of detectors have none
        message = f"{path}: of a run for segmentation, not of a detector"
        raise TrainingError(message)
    if values.pop("format", None) != FORMAT:
        message = f"{path}: not a checkpoint of this version of signetscan"
        raise TrainingError(message)
    if values.keys() - {entry.name for entry in fields(Checkpoint)}:
        message = f"{path}: has entries that a checkpoint of this version of signetscan does not have"
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


def _problems(checkpoint: Checkpoint) -> Iterator[str]:
    """What is out of range or does not fit together; the weights are looked at last, because that takes longest."""
    if not 0 <= checkpoint.threshold <= 1:
        yield f"its score threshold is {checkpoint.threshold:g}, not from 0 to 1"
    if not 0 <= checkpoint.epoch <= MAX_EPOCHS:
        yield f"it has had {checkpoint.epoch} epochs"
    yield from problems_of_classes(checkpoint.mpp, checkpoint.class_names, checkpoint.options.architecture.classes)
    if not all(is_row(row) for row in checkpoint.history) or len(checkpoint.history) not in (0, checkpoint.epoch):
        yield "the metrics of its epochs are not complete"
    yield from problems_of_weights(checkpoint.network, lambda: RetinaNet(checkpoint.options.architecture))


def _checkpoint(values: Mapping[str, object]) -> Checkpoint:
    """A checkpoint from the values in its file.

    Raises:
        JsonError: a plain value is missing or of the wrong type.
        TypeError: tensors or metrics are of the wrong type.
        OptionError: an option is unknown or out of range.
    """
    # JSON has no tuples, but the file stores the class names as one.
    plain = {**values, "class_names": [*typed(values.get("class_names"), tuple)]}
    table = JsonTable(cast("dict[str, Json]", plain))
    return Checkpoint(
        options=TrainOptions.from_dict(table.values.get("options")),
        class_names=table.texts("class_names"),
        mpp=table.number("mpp"),
        data=table.text("data"),
        data_digest=table.text("data_digest"),
        weights=table.text("weights") if "weights" in values else "",
        epoch=table.whole("epoch"),
        threshold=table.number("threshold"),
        threshold_basis=_basis(table.text("threshold_basis")) if values.get("threshold_basis") is not None else None,
        held_out_slides=table.texts("held_out_slides") if values.get("held_out_slides") is not None else None,
        held_out=HeldOut.from_json(table.table("held_out")) if values.get("held_out") is not None else None,
        network=tensors_of(values.get("network")),
        optimiser=typed(values.get("optimiser", {}), dict),
        loss=tensors_of(values.get("loss", {})),
        history=[metrics_of(row) for row in typed(values.get("history", []), list)],
    )


def _basis(text: str) -> ThresholdBasis:
    try:
        return ThresholdBasis(text)
    except ValueError as error:
        message = f"its threshold rests on {text!r:.60}, which is not known"
        raise TypeError(message) from error

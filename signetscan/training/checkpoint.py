"""A training run's state on disk: tensors and plain values only, read without running anything in the file."""

from __future__ import annotations

import io
import pickle  # for the name of its error; nothing is unpickled here
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from signetscan.atomic import part_path
from signetscan.errors import OptionError, TrainingError
from signetscan.training.options import TrainOptions
from signetscan.training.retinanet import RetinaNet

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
MAX_BYTES = 4 << 30

DAMAGED = (RuntimeError, ValueError, EOFError, LookupError, TypeError, AttributeError, struct.error)
"""What torch's reader of tensors raises on bytes that are no checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """All that is needed to go on with a run, or to export its network."""

    options: TrainOptions
    """Options of the run."""
    class_names: tuple[str, ...]
    """Name of each label."""
    mpp: float
    """Size of the training images' pixels, um/px."""
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
    network: dict[str, torch.Tensor]
    """The network's parameters and buffers."""
    optimiser: dict[str, Any] = field(default_factory=dict)
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


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; it appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    values = {"format": FORMAT} | {
        name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__ if name != "options"
    }
    values["options"] = checkpoint.options.as_dict()
    whole = io.BytesIO()  # torch's own way to a file reports a full disk as a fault of its own
    torch.save(values, whole)
    with part_path(path) as part:
        part.write_bytes(whole.getbuffer())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, on the CPU.

    Raises:
        TrainingError: it is missing, damaged, of another version, or holds more than tensors and plain values.
    """
    values = load_tensors(path)
    if values.pop("format", None) != FORMAT:
        message = f"{path}: not a checkpoint of this version of signetscan"
        raise TrainingError(message)
    try:
        values["options"] = TrainOptions.from_dict(values["options"])
        values["class_names"] = tuple(values["class_names"])
        return Checkpoint(**values)
    except (KeyError, TypeError, OptionError) as error:
        message = f"{path}: not a checkpoint of this version of signetscan: {error}"
        raise TrainingError(message) from error


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors and plain values.

    Raises:
        TrainingError: it is missing, damaged, too large, or would run code when read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            message = f"{path}: over {MAX_BYTES >> 30} GiB, too large for a checkpoint"
            raise TrainingError(message)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise TrainingError(message) from error
    except (pickle.UnpicklingError, *DAMAGED) as error:
        message = f"{path}: not a file of weights, or one that holds more than weights; it was not loaded"
        raise TrainingError(message) from error
    if not isinstance(values, dict):
        message = f"{path}: holds {type(values).__name__}, not named weights"
        raise TrainingError(message)
    return values

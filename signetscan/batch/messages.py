"""The messages of workers, on this machine or on a cluster. Nothing here imports anything heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.errors import DeviceError, ModelError, OptionError
    from signetscan.models.placement import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A worker has loaded the model."""

    model: str
    """Name of the model."""
    precision: str
    """Arithmetic of its convolutions: fp32, fp16 or int8."""
    runs_on: Placement
    """What the model runs on."""
    cautions: tuple[str, ...] = ()
    """Why to doubt the model, as ends of sentences about it."""
    megapixels_per_s: float | None = None
    """Its speed; None if it was not measured."""
    learnt_from: str = ""
    """What it says that it learnt from, in one line; empty if this is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress on a slide."""

    done: int
    """Tiles scanned."""
    total: int
    """Tiles to scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A slide is scanned, was scanned before, or is planned."""

    outcome: SlideOutcome
    """What became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A slide has failed; another try may succeed."""

    reason: str
    """Why."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A slide has failed and would fail again."""

    reason: str
    """Why."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTaken:
    """A slide was not scanned, because results of another slide have its name; nothing may be written over them."""

    reason: str
    """Why."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """No more results can be written."""

    reason: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """No slide can be scanned with this model, device or options."""

    error: DeviceError | ModelError | OptionError
    """Why; the process that runs the batch raises it."""


Answer: TypeAlias = Done | Failed | Refused | NameTaken | Full | Unusable
"""A worker's last message about a slide."""

WorkerMessage: TypeAlias = Ready | Progress | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAnswer:
    """What a worker of a cluster returns for a slide."""

    answer: Answer
    """What became of the slide."""
    ready: Ready | None = None
    """The worker's model; None if it could not be loaded."""

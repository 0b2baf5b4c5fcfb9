"""What workers say, whether processes of this machine or of a cluster. Nothing here imports anything heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.errors import DeviceError, ModelError, OptionError
    from signetscan.models.placement import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model is loaded."""

    model: str
    """Its name."""
    precision: str
    """Arithmetic of its convolutions: fp32, fp16 or int8."""
    runs_on: Placement
    """What runs it."""
    megapixels_per_s: float | None = None
    """Its speed, where that is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a slide is."""

    done: int
    """Tiles that are done."""
    total: int
    """Tiles to scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A slide is done, was done before, or was looked at."""

    outcome: SlideOutcome
    """What became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A slide has failed; another try may go better."""

    reason: str
    """Why."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A slide has failed, and would fail again."""

    reason: str
    """Why."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """Results cannot be written any more."""

    reason: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """No slide can be scanned like this."""

    error: DeviceError | ModelError | OptionError
    """Why; raised where the batch runs."""


Answer: TypeAlias = Done | Failed | Refused | Full | Unusable
"""What a worker says of a slide at its end."""

WorkerMessage: TypeAlias = Ready | Progress | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAnswer:
    """What a worker of a cluster says of a slide."""

    answer: Answer
    """What became of it."""
    ready: Ready | None = None
    """The worker's model, where it could be loaded."""

"""The events of a batch, which its caller receives. Nothing here imports anything heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from signetscan.batch.messages import Ready

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.batch.find import SlideTask
    from signetscan.batch.outcome import SlideOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A batch has begun."""

    tasks: tuple[SlideTask, ...]
    """Its slides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that the user should know of the batch as a whole, such as which files are left out."""

    text: str
    """A sentence without its full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker has started on a slide."""

    name: str
    """Name of the slide's results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """The scan of a slide has progressed."""

    name: str
    """Name of the slide's results."""
    done: int
    """Tiles scanned."""
    total: int
    """Tiles to scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A slide failed and will be tried again."""

    name: str
    """Name of the slide's results."""
    reason: str
    """Why it failed."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """A slide must wait, because another run is working on it."""

    name: str
    """Name of the slide's results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLost:
    """The log file cannot be written any more; the batch goes on without it."""

    path: Path
    """The log file."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The work on a slide has ended, with or without success."""

    outcome: SlideOutcome
    """What became of the slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A batch has ended."""

    done: int
    """Slides scanned, or planned."""
    skipped: int
    """Slides that were already done."""
    failed: int
    """Slides that failed."""
    index: Path | None = None
    """The page that lists all reports; None if none were asked for."""


SlideEvent: TypeAlias = Ready | Started | Progressed | Retried | Awaited | Ended
"""An event between the beginning and the end of a batch."""

Event: TypeAlias = Begun | Noted | SlideEvent | LogLost | Finished

"""What happens in a batch, as whoever runs it is told. Nothing here imports anything heavy."""

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
    """A batch begins."""

    tasks: tuple[SlideTask, ...]
    """Its slides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker starts on a slide."""

    name: str
    """The slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """A slide is further than before."""

    name: str
    """The slide."""
    done: int
    """Tiles that are done."""
    total: int
    """Tiles to scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """A slide failed, and is to be tried again."""

    name: str
    """The slide."""
    reason: str
    """Why it failed."""
    options: tuple[str, ...] = ()
    """Names of the options that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Another run works on a slide."""

    name: str
    """The slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A slide has ended, well or not."""

    outcome: SlideOutcome
    """What became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A batch has ended."""

    done: int
    """Slides scanned, or planned."""
    skipped: int
    """Slides that were done before."""
    failed: int
    """Slides that failed."""
    index: Path | None = None
    """The list of all reports, where reports are wanted."""


SlideEvent: TypeAlias = Ready | Started | Progressed | Retried | Awaited | Ended
"""What happens between beginning and end."""

Event: TypeAlias = Begun | SlideEvent | Finished

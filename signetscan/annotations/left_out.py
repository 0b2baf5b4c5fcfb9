"""What a parser leaves out of a file, by reason, with the first few objects by name."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from signetscan.annotations.bounds import check_number
from signetscan.texts import printable

if TYPE_CHECKING:
    from pathlib import Path

NAMED = 3
"""Most objects of a reason that are named; the rest are counted."""
LONGEST = 140
"""Longest name of an object, characters."""


class Reason(Enum):
    """Why objects are left out; the value is the end of a sentence that begins with "Left out,"."""

    LINES = "being lines"
    POINTS = "being points"
    TILES = "being tile objects"
    CORES = "being TMA cores"
    MISSING_CORES = "being TMA cores marked as missing"
    ROOT = "being the root of the hierarchy"
    OF_MODELS = "being detections or cells, not annotations"
    OTHER_TYPES = "being objects of an unknown type"
    NO_AREA = "having no area"
    OTHER_PLANE = "being in another plane than the first, which is the one that is scanned"
    UNREADABLE = "because they cannot be understood"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Objects of a file that were left out for one reason."""

    reason: Reason
    """Why they were left out."""
    count: int
    """How many there are."""
    named: tuple[str, ...] = ()
    """The first few: number, id and class of each, and what is wrong; printable."""

    def __str__(self) -> str:
        """The end of a sentence, with the count and the names."""
        return f"{self.reason.value}: {self.count}" + (f", namely {'; '.join(self.named)}" if self.named else "")


class Unreadable(Exception):  # noqa: N818 - no error of the file: it leaves the parser as a count
    """An object cannot be understood; the message says why, after its name."""


@dataclass(slots=True)
class LeftOutObjects:
    """Counts what a parser reads and leaves out of a file."""

    path: Path
    _seen: int = 0
    _counts: Counter[Reason] = field(default_factory=Counter)
    _named: defaultdict[Reason, list[str]] = field(default_factory=lambda: defaultdict(list))

    def see(self, count: int = 1) -> None:
        """Count objects, or parts of one, whatever becomes of them: their number bounds the time that a file takes.

        Raises:
            AnnotationError: there are too many.
        """
        self._seen += count
        check_number(self.path, self._seen)

    def add(self, reason: Reason, name: str = "", *, count: int = 1) -> None:
        """Count an object, or several.

        Args:
            reason: why it is left out.
            name: its number, id and class, and what is wrong with it; empty if a count is enough.
            count: how many there are; 0 adds nothing.
        """
        if not count:
            return
        self._counts[reason] += count
        if name and len(self._named[reason]) < NAMED:
            self._named[reason].append(printable(name, LONGEST))

    def by_reason(self) -> tuple[LeftOut, ...]:
        """One entry for each reason, in the order of their first objects."""
        return tuple(
            LeftOut(reason=reason, count=count, named=tuple(self._named[reason]))
            for reason, count in self._counts.items()
        )

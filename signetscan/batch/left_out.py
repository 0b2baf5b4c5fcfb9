"""What was named or found, and is not scanned: it is counted and said, so that nothing is left out in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan.plurals import counted
from signetscan.texts import printable

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.slides.addresses import SlidePlace

MOST_KINDS = 6
"""Most suffixes that a line names."""
MOST_NAMED = 5
"""Most slides that a line names."""
MOST_LETTERS = 20
"""Longest suffix that a line names."""


@dataclass(slots=True)
class LeftOut:
    """Counts files that are left out."""

    suffixes: Counter[str] = field(default_factory=Counter)
    """Files in folders that are no slides, by suffix."""
    again: list[tuple[SlidePlace, SlidePlace]] = field(default_factory=list)
    """Names of slides that were named before, each with the first name."""

    def add_file(self, path: Path) -> None:
        """A file in a folder that is not taken for a slide."""
        suffix = path.suffix.lower()
        self.suffixes[suffix if 1 < len(suffix) <= MOST_LETTERS else ""] += 1

    def add_again(self, place: SlidePlace, first: SlidePlace) -> None:
        """Another name of a slide: the same path, a link, or the same file in another folder."""
        self.again.append((place, first))

    def lines(self, *, private: bool) -> tuple[str, ...]:
        """A sentence for each kind of what is left out.

        Args:
            private: whether they must not name slides.
        """
        lines = []
        if self.suffixes:
            files = _left_out(self.suffixes.total(), "file")
            lines.append(f"{files}, because suffix and content are not those of a slide: {self.kinds}")
        if self.again:
            named = [f"{path} is {first}" for path, first in self.again[:MOST_NAMED]]
            more = f"; and {len(self.again) - MOST_NAMED} more" if len(self.again) > MOST_NAMED else ""
            which = "" if private else f": {'; '.join(map(printable, named))}{more}"
            lines.append(f"{_left_out(len(self.again), 'slide')}, because the same file was named before{which}")
        return tuple(lines)

    @property
    def kinds(self) -> str:
        """How many files of which suffix, the most common first."""
        common = self.suffixes.most_common(MOST_KINDS)
        parts = [f"{count} {printable(suffix) or 'without one'}" for suffix, count in common]
        rest = len(self.suffixes) - MOST_KINDS
        return ", ".join([*parts, *([f"and {counted(rest, 'suffix', 'suffixes')} more"] if rest > 0 else [])])


def _left_out(count: int, noun: str) -> str:
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'} left out"

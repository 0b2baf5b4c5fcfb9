"""What was left out or looks odd, counted and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LISTED = 5
"""Names in a line; the rest is a number."""


class Remarks:
    """Gathers warnings while a data set is read; one line for each kind."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, what: str, where: str, count: int = 1) -> None:
        """Count something.

        Args:
            what: what was left out or looks odd, as the start of a line; things of one kind share a line.
            where: name of the file; empty where there is but one that can be meant.
            count: how many.
        """
        if count:
            of_kind = self._counts.setdefault(what, {})
            of_kind[where] = of_kind.get(where, 0) + count

    def lines(self) -> tuple[str, ...]:
        """One line for each kind, in the order in which they were met."""
        lines = []
        for what, counts in self._counts.items():
            names = [where if count == 1 else f"{where} ({count})" for where, count in counts.items() if where]
            lines.append(f"{what}: {sum(counts.values())}" + (f", namely {listed(names)}" if names else ""))
        return tuple(lines)


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many there are besides."""
    shown = ", ".join(names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown

"""Remarks on what was left out or looks odd, with counts and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.annotations import Annotations
    from signetscan.annotations.left_out import LeftOut
    from signetscan.slides import Slide

LISTED = 5
"""Most names in a line; the rest are counted."""
LONGEST = 200
"""Longest name in a line, characters."""


class Remarks:
    """Collects remarks while files are read; one line for each kind."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, kind: str, name: str, count: int = 1) -> None:
        """Add to the count of a kind.

        Args:
            kind: what was left out or looks odd, as the start of a line.
            name: name of the file, class or slide, which lines escape and cut; empty if that needs no name.
            count: number to add; 0 adds no line.
        """
        if count:
            counts = self._counts.setdefault(kind, {})
            counts[name] = counts.get(name, 0) + count

    def lines(self) -> tuple[str, ...]:
        """One line for each kind, in the order of their first remarks."""
        lines: list[str] = []
        for kind, counts in self._counts.items():
            names = [
                printable(name, LONGEST) + ("" if count == 1 else f" ({count})")
                for name, count in counts.items()
                if name
            ]
            lines.append(f"{kind}: {sum(counts.values())}" + (f", namely {listed(names)}" if names else ""))
        return tuple(lines)


def remark_reading(annotations: Annotations, file: str, remarks: Remarks) -> None:
    """Remark on what a parser left out of a file, or understood in another way than it stands there.

    Args:
        annotations: what was read.
        file: name of the file.
        remarks: collects the remarks.
    """
    remark_left_out(annotations.left_out, file, remarks)
    remarks.add("Objects of several distant parts, each part taken for an object of its own", file, annotations.split)


def remark_left_out(left_out: Sequence[LeftOut], file: str, remarks: Remarks) -> None:
    """Remark on the objects of a file that its parser left out; see `remark_reading`."""
    for left in left_out:
        kind = f"Left out, {left.reason.value}"
        for name in left.named:
            remarks.add(kind, f"{file} {name}")
        remarks.add(kind, file, left.count - len(left.named))


def remark_concerns(slide: Slide, file: str, remarks: Remarks) -> None:
    """Remark on what is suspicious about a slide.

    Args:
        slide: the slide.
        file: name of its file.
        remarks: collects the remarks.
    """
    for concern in slide.concerns:
        remarks.add(f"Slides in doubt, because {concern.message}", file)


def listed(names: Sequence[str]) -> str:
    """The first few names, and the number of the others."""
    shown = ", ".join(names[:LISTED])
    return f"{shown} and {len(names) - LISTED} more" if len(names) > LISTED else shown

"""Bringing together what two people say of one slide: three-way, mark by mark."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from signetscan.boxes import Box
    from signetscan.viewer.marks import Mark, Outline, Verdict

    Said: TypeAlias = "tuple[Box, int, Verdict, Outline]"
    Key: TypeAlias = "int | tuple[Said | None, int]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The marks of both sides."""

    marks: dict[int, Mark]
    """All marks, by our numbers."""
    theirs: dict[int, Mark]
    """The other side's marks, by our numbers."""
    numbers: dict[int, int]
    """Our number of each of the other side's marks, by theirs."""
    changed: frozenset[int]
    """Numbers of our marks that the other side changed, removed or added."""
    disputed: frozenset[int]
    """Numbers of the marks that both sides changed, each in another way: the other side's stand, or those of the side
    that has one."""


def said(mark: Mark | None) -> Said | None:
    """What a mark says. Its score is the model's, and may be missing."""
    return None if mark is None else (mark.box, mark.label, mark.verdict, mark.outline)


def merge(
    base: Mapping[int, Mark], ours: Mapping[int, Mark], theirs: Mapping[int, Mark], *, detections: int, next_number: int
) -> Merged:
    """Merge marks that were the same before.

    Args:
        base: the marks that both sides began with, by our numbers.
        ours: our marks.
        theirs: the other side's, by numbers that agree with ours for marks of detections only.
        detections: number of detections; marks of higher numbers are the same if they say the same.
        next_number: the first number that we have not used.
    """
    numbers = {key: number for number, key in _keys({**base, **ours}, detections).items()}
    renumbered: dict[int, Mark] = {}
    our_numbers: dict[int, int] = {}
    for number, key in _keys(theirs, detections).items():
        if key not in numbers:
            numbers[key] = number if number < detections else next_number
            next_number += number >= detections
        our_numbers[number] = numbers[key]
        renumbered[numbers[key]] = theirs[number]
    marks: dict[int, Mark] = {}
    changed: list[int] = []
    disputed: list[int] = []
    for number in sorted({*base, *ours, *renumbered}):
        before, our, their = (side.get(number) for side in (base, ours, renumbered))
        kept = our
        if said(their) not in (said(before), said(our)):
            if said(our) == said(before):
                kept = their
            else:
                kept = their or our
                disputed.append(number)
        if kept is not None:
            marks[number] = kept
        if said(kept) != said(our):
            changed.append(number)
    return Merged(
        marks=marks, theirs=renumbered, numbers=our_numbers, changed=frozenset(changed), disputed=frozenset(disputed)
    )


def _keys(marks: Mapping[int, Mark], detections: int) -> dict[int, Key]:
    """What tells a mark from others on both sides, by number; of marks that say the same, also which one it is."""
    seen: Counter[Said | None] = Counter()
    keys: dict[int, Key] = {}
    for number in sorted(marks):
        if number < detections:
            keys[number] = number
            continue
        words = said(marks[number])
        seen[words] += 1
        keys[number] = words, seen[words]
    return keys

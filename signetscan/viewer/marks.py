"""The verdicts of a reviewer on detections, and the boxes and regions that the reviewer drew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from signetscan.annotations.objects import Region
from signetscan.annotations.outlines import box_around
from signetscan.errors import OptionError
from signetscan.formats.drawn_outlines import drawn_outline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.detections import Detections

    Outline: TypeAlias = "tuple[tuple[float, float], ...]"

MIN_SIDE_PX = 1.0
"""Shortest side of a drawn box, level-0 pixels; a thinner one is a slip of the hand."""


class Verdict(StrEnum):
    """What a reviewer says of a box."""

    ACCEPTED = "accepted"
    """It is a cell."""
    REJECTED = "rejected"
    """It is no cell."""
    REVIEWED = "reviewed"
    """It is a region that was looked through."""
    NORMAL = "normal"
    """It is a region without cells."""
    POSITIVE = "positive"
    """It is a region in which every cell is marked; detections left in it count as cells."""

    @property
    def is_of_region(self) -> bool:
        """Whether the box is a region rather than a cell."""
        return self in {Verdict.REVIEWED, Verdict.NORMAL, Verdict.POSITIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A box and the verdict on it."""

    box: Box
    """Level-0 pixels, rounded to two decimals."""
    label: int
    """Index into the model's class names; 0 for a region."""
    verdict: Verdict
    """The verdict; a drawn cell is accepted."""
    score: float = math.nan
    """The model's score; nan for a drawn box."""
    outline: Outline = ()
    """Corners of a region in order, level-0 pixels, the first not repeated; empty for a region that fills its box."""


@dataclass(slots=True, kw_only=True)
class Marks:
    """All marks of a slide by number, and the history of changes. Not safe to use from several threads.

    A mark of a detection has the detection's number. Higher numbers are those of cells and regions that were drawn, or
    of boxes that an earlier model detected.
    """

    detections: Detections
    """Boxes in level-0 pixels."""
    classes: int
    """Number of classes."""
    dimensions: tuple[int, int]
    """Width and height of the slide, level-0 pixels."""
    by_number: dict[int, Mark] = field(default_factory=dict)
    """The marks."""
    _past: list[tuple[tuple[int, Mark | None], ...]] = field(default_factory=list)
    """Of each step, the numbers that were changed, and the marks that they had before."""
    _next: int = field(init=False)

    def __post_init__(self) -> None:
        self._next = max([len(self.detections), *(number + 1 for number in self.by_number)])

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to undo."""
        return bool(self._past)

    def accept(self, number: int) -> int:
        """Mark a box as a cell.

        Raises:
            OptionError: there is no such box, or it is a region.
        """
        mark = self._mark_of(number)
        if mark.verdict.is_of_region:
            message = "a region is no cell"
            raise OptionError(message)
        return self._set(number, replace(mark, verdict=Verdict.ACCEPTED))

    def reject(self, number: int) -> int:
        """Mark a detection as no cell; a box beyond the detections is removed.

        Raises:
            OptionError: there is no such box.
        """
        mark = replace(self._mark_of(number), verdict=Verdict.REJECTED)
        return self._set(number, mark if number < len(self.detections) else None)

    def clear(self, number: int) -> int:
        """Remove the verdict on a box, whenever it was given; a box beyond the detections is removed.

        Raises:
            OptionError: there is no such box.
        """
        self._mark_of(number)
        return self._set(number, None)

    def judge_all(self, numbers: Sequence[int], verdict: Verdict) -> int:
        """Accept or reject several detections in one step, which is undone as one.

        Args:
            numbers: numbers of detections.
            verdict: a verdict on a cell.

        Returns:
            The last of the numbers.

        Raises:
            OptionError: one is no detection, there are none, or the verdict is one on regions. Nothing is changed.
        """
        if not numbers or not all(0 <= number < len(self.detections) for number in numbers):
            message = "all of several boxes must be detections"
            raise OptionError(message)
        if verdict.is_of_region:
            message = "a cell is no region"
            raise OptionError(message)
        self._set_all([(number, replace(self._mark_of(number), verdict=verdict)) for number in dict.fromkeys(numbers)])
        return numbers[-1]

    def add(self, box: Sequence[float], label: int) -> int:
        """Add a cell that the model missed.

        Args:
            box: x0, y0, x1, y1 of any two opposite corners, level-0 pixels; cut off at the slide's edges.
            label: its class.

        Returns:
            Its number.

        Raises:
            OptionError: the box is too small or off the slide, or there is no such class.
        """
        if not 0 <= label < self.classes:
            message = f"there is no class {label}"
            raise OptionError(message)
        return self._add(Mark(box=self._on_slide(box), label=label, verdict=Verdict.ACCEPTED))

    def add_region(self, box: Sequence[float], verdict: Verdict) -> int:
        """Say that a part of the slide was looked through, or has no cell.

        Args:
            box: x0, y0, x1, y1 of any two opposite corners, level-0 pixels; cut off at the slide's edges.
            verdict: a verdict on a region.

        Returns:
            Its number.

        Raises:
            OptionError: the region is too small or off the slide, or it is already there.
        """
        return self._add_region(Mark(box=self._on_slide(box), label=0, verdict=verdict))

    def add_outlined(self, corners: NDArray[np.float64], verdict: Verdict) -> int:
        """The same of a part of any shape.

        Args:
            corners: (N, 2), corners of its outline in order, level-0 pixels; cut off at the slide's edges.
            verdict: a verdict on a region.

        Returns:
            Its number.

        Raises:
            OptionError: it is too small or off the slide, falls into parts, or is already there.
        """
        ring = drawn_outline(corners, self.dimensions)
        mark = Mark(box=self._on_slide(box_around([ring])), label=0, verdict=verdict)
        if Region(rings=(ring,), normal=False).is_rectangle:
            return self._add_region(mark)  # as it is read back
        return self._add_region(replace(mark, outline=tuple((x, y) for x, y in ring.tolist())))

    def undo(self) -> int | None:
        """Undo the last step. Returns the number of its box, or of the last of several; None if there is no step."""
        if not self._past:
            return None
        step = self._past.pop()
        for number, previous in step:
            self._put(number, previous)
        return step[-1][0]

    def state(self) -> tuple[dict[int, Mark], tuple[tuple[tuple[int, Mark | None], ...], ...]]:
        """All marks and steps as they are now, for `restore`."""
        return dict(self.by_number), tuple(self._past)

    def restore(self, state: tuple[dict[int, Mark], tuple[tuple[tuple[int, Mark | None], ...], ...]]) -> None:
        """Take all back that was changed since `state`; numbers that were given since are not given again."""
        by_number, past = state
        self.by_number, self._past = dict(by_number), [*past]

    @property
    def next_number(self) -> int:
        """The first number that was never used."""
        return self._next

    def adopt(self, marks: Mapping[int, Mark], changed: Set[int]) -> None:
        """Take over all marks, as they are after somebody else changed some, which cannot be undone here.

        Args:
            marks: all marks, by our numbers.
            changed: the numbers of those that the other one changed.
        """
        self.by_number = dict(marks)
        self._next = max([self._next, *(number + 1 for number in marks)])
        ours = [tuple(change for change in step if change[0] not in changed) for step in self._past]
        self._past = [step for step in ours if step]

    def box_of(self, number: int) -> Box | None:
        """The box of a detection or of a mark, level-0 pixels; None if there is none of this number."""
        if number in self.by_number:
            return self.by_number[number].box
        if not 0 <= number < len(self.detections):
            return None
        return mark_of_detection(self.detections, number, Verdict.ACCEPTED).box

    def _add_region(self, mark: Mark) -> int:
        if mark in self.by_number.values():
            message = "this region is already there"
            raise OptionError(message)
        return self._add(mark)

    def _add(self, mark: Mark) -> int:
        self._next += 1
        return self._set(self._next - 1, mark)

    def _on_slide(self, box: Sequence[float]) -> Box:
        """The part of a box that lies on the slide, rounded to two decimals."""
        x0, y0, x1, y1 = box
        width, height = self.dimensions
        left, right = (round(min(max(x, 0), width), 2) for x in sorted((x0, x1)))
        top, bottom = (round(min(max(y, 0), height), 2) for y in sorted((y0, y1)))
        if not (right - left >= MIN_SIDE_PX and bottom - top >= MIN_SIDE_PX):  # `not >=` is true for nan too
            message = "the box is too small, or not on the slide"
            raise OptionError(message)
        return left, top, right, bottom

    def _mark_of(self, number: int) -> Mark:
        """The mark with a number, or the one that a detection without a mark would get."""
        if number in self.by_number:
            return self.by_number[number]
        if not 0 <= number < len(self.detections):
            message = f"there is no box {number}"
            raise OptionError(message)
        return mark_of_detection(self.detections, number, Verdict.ACCEPTED)

    def _set(self, number: int, mark: Mark | None) -> int:
        self._set_all([(number, mark)])
        return number

    def _set_all(self, changes: Sequence[tuple[int, Mark | None]]) -> None:
        self._past.append(tuple((number, self.by_number.get(number)) for number, _ in changes))
        for number, mark in changes:
            self._put(number, mark)

    def _put(self, number: int, mark: Mark | None) -> None:
        if mark is None:
            self.by_number.pop(number, None)
        else:
            self.by_number[number] = mark


def mark_of_detection(detections: Detections, number: int, verdict: Verdict) -> Mark:
    """Make the mark of a detection."""
    x0, y0, x1, y1 = (round(edge, 2) for edge in detections.boxes[number].tolist())
    return Mark(
        box=(x0, y0, x1, y1),
        label=int(detections.labels[number]),
        verdict=verdict,
        score=float(detections.scores[number]),
    )

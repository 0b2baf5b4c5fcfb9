"""What a foreign file says of itself in its metadata: class names, sizes and licence, in the form of Ultralytics."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.errors import ModelError
from signetscan.models.spec import LARGEST_SIDE, is_whole
from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 100_000
"""Longest entry that is looked at, characters."""
DETECTION, CLASSIFICATION = "detect", "classify"
"""The tasks of networks that give boxes, and of those that classify pictures, in the words of Ultralytics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidOfItself:
    """What a file says of itself; what it does not say is empty or None."""

    task: str | None = None
    """`DETECTION` or `CLASSIFICATION`."""
    class_names: tuple[str, ...] = ()
    """Names of its classes in the order of labels."""
    side: int | None = None
    """Side of the pictures that it learnt from, pixels."""
    stride: int | None = None
    """Stride of its coarsest feature map, pixels."""
    description: str = ""
    """What it is."""
    licence: str = ""
    """Licence of its weights."""


def read_metadata(metadata: Mapping[str, str]) -> SaidOfItself:
    """Read the metadata of a foreign file.

    Raises:
        ModelError: the network has a task that signetscan does not know, or learnt from pictures that are not square.
    """
    task = metadata.get("task")
    if task not in {None, DETECTION, CLASSIFICATION}:
        known = f"{DETECTION!r} or {CLASSIFICATION!r}"
        message = f"it says that its task is {short_repr(task)}; signetscan takes networks whose task is {known}"
        raise ModelError(message)
    sides = _literal(metadata.get("imgsz", ""))
    sides = sides if isinstance(sides, list | tuple) else [sides]
    if any(side != sides[0] for side in sides):
        message = f"it learnt from pictures of {short_repr(metadata['imgsz'])} px; signetscan scans square tiles"
        raise ModelError(message)
    return SaidOfItself(
        task=task,
        class_names=_names(_literal(metadata.get("names", ""))),
        side=_size(sides[0]) if sides else None,
        stride=_size(_literal(metadata.get("stride", ""))),
        description=metadata.get("description", ""),
        licence=metadata.get("license", ""),
    )


def _literal(text: str) -> object:
    """The value of a text that Python, or JSON but for its constants, writes; None if it is none."""
    try:
        return ast.literal_eval(text) if len(text) <= LONGEST else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _size(value: object) -> int | None:
    """A number of pixels; None if it is none."""
    return value if is_whole(value) and 1 <= value <= LARGEST_SIDE else None


def _names(value: object) -> tuple[str, ...]:
    """The names of classes, which stand in a list, or in a table by their labels from 0 on; none if it is neither."""
    if isinstance(value, dict):
        value = [value.get(label) for label in range(len(value))]
    return tuple(value) if isinstance(value, list) and all(isinstance(name, str) for name in value) else ()

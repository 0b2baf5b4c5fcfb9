"""Parser of YOLO's labels: a text file for each image, with a line for each object.

A line is the number of a class and four parts of the image's width and height (centre, width, height), or the corners
of a polygon. The names of the classes are in `classes.txt` or `obj.names`, a line each, or in `data.yaml`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.bounds import read_bounded
from signetscan.annotations.outlines import box_around
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_LABEL_BYTES = 20_000_000
"""Largest file of labels: one of a hundred thousand boxes is smaller."""
MAX_NAMES_BYTES = 1_000_000
"""Largest file of names or settings."""
HEAD_BYTES = 4096
"""Bytes of a text file that show whether it has labels."""
SLACK = 1e-3
"""Parts may lie outside of 0 to 1 by so much, from rounding."""

NO_LABEL_LINE = "lines that are no labels (a class number, then four numbers or the corners of a polygon)"
OUTSIDE = "boxes with numbers outside 0 to 1, which must be parts of the image's width and height"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class YoloLabels:
    """The objects of one image."""

    boxes: NDArray[np.float64]
    """(N, 4), x0, y0, x1, y1, parts of the image's width and height."""
    classes: tuple[int, ...]
    """Number of each box's class, from 0."""
    left_out: dict[str, int]
    """Number of lines that were left out, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YoloSettings:
    """What a file like `data.yaml` says of a data set."""

    names: dict[int, str] = field(default_factory=dict)
    """Names of the classes by number."""
    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Folders or lists of images by `train`, `val` and `test`."""
    has_keypoints: bool = False
    """Whether labels have key points, which look like polygons."""


def has_labels(path: Path) -> bool:
    """Whether the first line of a text file is a label; an empty file does not show it."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    for line in head.decode("utf-8-sig", errors="replace").splitlines():
        if line.strip():
            return isinstance(_label(line), _Label)
    return False


def read_labels(path: Path) -> YoloLabels:
    """Read the labels of an image.

    Raises:
        AnnotationError: the file cannot be read or is too large.
    """
    boxes: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    left_out: dict[str, int] = {}
    for line in _lines(path, MAX_LABEL_BYTES):
        label = _label(line)
        if isinstance(label, _Label):
            boxes.append(label.box)
            classes.append(label.number)
        else:
            left_out[label] = left_out.get(label, 0) + 1
    return YoloLabels(boxes=np.array(boxes, np.float64).reshape(-1, 4), classes=tuple(classes), left_out=left_out)


@dataclass(frozen=True, slots=True)
class _Label:
    number: int
    box: tuple[float, float, float, float]


def _label(line: str) -> _Label | str:
    """The label in a line, or why it is none."""
    try:
        first, *numbers = [float(word) for word in line.split()]
    except ValueError:
        return NO_LABEL_LINE
    is_polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
    if not (first.is_integer() and 0 <= first < 1e6 and (len(numbers) == 4 or is_polygon)):
        return NO_LABEL_LINE
    if not all(-SLACK <= number <= 1 + SLACK for number in numbers):
        return OUTSIDE
    if is_polygon:
        return _Label(int(first), box_around([np.array(numbers).reshape(-1, 2)]))
    x, y, width, height = numbers
    return _Label(int(first), (x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def read_names(path: Path) -> dict[int, str]:
    """Read a file with the name of a class in each line.

    Raises:
        AnnotationError: the file cannot be read or is too large.
    """
    return dict(enumerate(line.strip() for line in _lines(path, MAX_NAMES_BYTES)))


def _lines(path: Path, limit: int) -> Iterator[str]:
    """The lines of a text file that are not empty."""
    text = read_bounded(path, limit).decode("utf-8-sig", errors="replace")
    return (line for line in text.splitlines() if line.strip())


# ---- data.yaml ------------------------------------------------------------------------------------------------------

ENTRY = re.compile(r"""(?P<indent>\s*)(?:(?P<dash>-)\s+|(?P<key>[\w'"]+)\s*:(?:\s+|$))(?P<value>.*)""")
"""A line of the part of YAML that such files use: an element of a list, or a key with its value."""
BEFORE_COMMENT = re.compile(r"""(?:[^'"#]|(?<=\S)#|'[^']*'|"[^"]*")*""")
PARTS = ("train", "val", "test")


def read_settings(path: Path) -> YoloSettings:
    """Read the names and paths of a `data.yaml`, of the part of YAML in which such files are written.

    Raises:
        AnnotationError: the file cannot be read, is too large, or has its names in a form that is not understood.
    """
    values: dict[str, list[tuple[str, str]]] = {}
    block = ""
    for line in _lines(path, MAX_NAMES_BYTES):
        match = ENTRY.fullmatch(_without_comment(line))
        if match is None:
            if block == "names" or line.lstrip().startswith("names"):
                raise _not_understood(path)
            continue
        key, value = _plain(match["key"] or ""), match["value"].strip()
        if match["indent"] or match["dash"]:
            if block:
                values[block].append((key, _plain(value)))
        else:
            block = key
            values[block] = _inline(value)
            if key == "names" and value and value[:1] + value[-1:] not in ("[]", "{}"):
                raise _not_understood(path)  # such as a list that goes on in the next line
    names: dict[int, str] = {}
    for position, (key, name) in enumerate(values.get("names", [])):
        if (key and not key.isdecimal()) or not name:
            raise _not_understood(path)
        names[int(key) if key else position] = name
    paths = {part: tuple(value for _, value in values.get(part, []) if value) for part in PARTS}
    return YoloSettings(
        names=names,
        paths={part: given for part, given in paths.items() if given},
        has_keypoints="kpt_shape" in values,
    )


def _not_understood(path: Path) -> AnnotationError:
    return AnnotationError(
        f"{path}: the names of the classes are in a form that is not understood; write them as a list, such as "
        "names: [ring, other], or into classes.txt, a line each"
    )


def _inline(value: str) -> list[tuple[str, str]]:
    """The keys and values of a list or a table in one line; or the one value, without a key."""
    if value[:1] + value[-1:] == "[]":
        return [("", _plain(item)) for item in _items(value[1:-1])]
    if value[:1] + value[-1:] == "{}":
        pairs = [item.partition(":") for item in _items(value[1:-1])]
        return [(_plain(key), _plain(item)) for key, _, item in pairs]
    return [("", _plain(value))] if value else []


def _items(text: str) -> list[str]:
    """The items of a list in one line; a comma between quotes is part of an item."""
    return [item for item in re.findall(r"""(?:'[^']*'|"[^"]*"|[^,])+""", text) if item.strip()]


def _without_comment(line: str) -> str:
    """A line without the comment at its end: from a # after a space, outside of quotes."""
    before = BEFORE_COMMENT.match(line)
    if before is None or line[before.end() : before.end() + 1] != "#":
        return line.rstrip()  # no comment, or a quote that is an apostrophe
    return before.group().rstrip()


def _plain(text: str) -> str:
    """A scalar without its quotes."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text

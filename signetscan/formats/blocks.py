"""Rows of results as text, a block at a time, so that memory does not grow with their number."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.detections import Detections

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://signetscan/detection")
"""Root of the detections' ids."""

ROWS_AT_ONCE = 4096
"""Rows of a block: enough that work on whole blocks pays, a megabyte or two of text."""

VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit of a UUID that RFC 9562 gives two fixed bits, by what it was."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowBlock:
    """Some rows of the results."""

    detections: Detections
    """Boxes in level-0 pixels."""
    ids: list[str]
    """A UUID for each, the same in every run that finds the same box."""
    edges: str
    """Its box as a line of text, x0,y0,x1,y1 with two decimals."""


def blocks(detections: Detections, class_names: Sequence[str], source: str) -> Iterator[RowBlock]:
    """Detections in blocks of rows, in their order.

    Args:
        detections: boxes in level-0 pixels.
        class_names: name of each label.
        source: what slide and model the detections come from (their fingerprints), for stable ids.
    """
    base = uuid.uuid5(NAMESPACE, source)
    started = {
        label: hashlib.sha1(base.bytes + f"{class_names[label]}:".encode(), usedforsecurity=False)
        for label in np.unique(detections.labels).tolist()
    }
    for start in range(0, len(detections), ROWS_AT_ONCE):
        part = detections.select(np.arange(start, min(start + ROWS_AT_ONCE, len(detections))))
        edges = edges_as_text(part.boxes)
        rows = zip(part.labels.tolist(), edges.splitlines(), strict=True)
        ids = [_uuid5(started[label], row) for label, row in rows]
        yield RowBlock(detections=part, ids=ids, edges=edges)


def edges_as_text(boxes: NDArray[np.float64]) -> str:
    """Boxes (N, 4) as N lines x0,y0,x1,y1 with two decimals."""
    return "%.2f,%.2f,%.2f,%.2f\n" * len(boxes) % tuple(boxes.ravel().tolist())


def edges_of(block: RowBlock) -> tuple[list[str], list[str], list[str], list[str]]:
    """The left, top, right and bottom edges of a block's boxes, as text with two decimals."""
    numbers = block.edges.replace("\n", ",").split(",")
    x0, y0, x1, y1 = (numbers[edge:-1:4] for edge in range(4))
    return x0, y0, x1, y1


def filled(templates: Sequence[str], columns: Sequence[Sequence[object]], separator: str) -> str:
    """Rows of text: the template of each (printf style), with the row's value of every column filled in.

    All rows are filled at once, which is several times quicker than one by one.
    """
    values: list[object] = [None] * (len(columns) * len(templates))
    for index, column in enumerate(columns):
        values[index :: len(columns)] = column
    return separator.join(templates) % tuple(values)


def _uuid5(started: hashlib._Hash, name: str) -> str:
    """What `uuid.uuid5` gives for a name, where its hash has been started with the namespace and the name's beginning.

    It is written out because `uuid` makes an object of each, which takes longer than all else in a row.
    """
    whole = started.copy()
    whole.update(name.encode())
    digits = whole.hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"

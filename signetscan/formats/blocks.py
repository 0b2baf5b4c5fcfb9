"""Rows of results as text, a block at a time, so that memory does not grow with the number of detections."""

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
"""Namespace of the detections' ids."""

ROWS_AT_ONCE = 4096
"""Rows of a block: enough that array operations pay off, and no more than a megabyte or two of text."""

VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The variant digit of a UUID by the digit of the hash: RFC 9562 fixes two of its bits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowBlock:
    """Consecutive rows of the results."""

    detections: Detections
    """Boxes in level-0 pixels."""
    ids: list[str]
    """A UUID for each detection, the same in every run that finds the same box."""
    edges: str
    """A line of text for each detection: x0,y0,x1,y1 with two decimals."""


def blocks(detections: Detections, class_names: Sequence[str], source: str) -> Iterator[RowBlock]:
    """Split detections into blocks of rows, in their order.

    Args:
        detections: boxes in level-0 pixels.
        class_names: name of each label.
        source: fingerprints of the slide and the model that the detections come from, for stable ids.
    """
    base = uuid.uuid5(NAMESPACE, source)
    # An id is the UUID of the name "CLASS:x0,y0,x1,y1". All ids of a class share the hash of its beginning.
    class_hashes = {
        label: hashlib.sha1(base.bytes + f"{class_names[label]}:".encode(), usedforsecurity=False)
        for label in np.unique(detections.labels).tolist()
    }
    for start in range(0, len(detections), ROWS_AT_ONCE):
        part = detections.select(np.arange(start, min(start + ROWS_AT_ONCE, len(detections))))
        edges = edges_as_text(part.boxes)
        rows = zip(part.labels.tolist(), edges.splitlines(), strict=True)
        ids = [_uuid5(class_hashes[label], row) for label, row in rows]
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
    """Fill the templates (printf style) of all rows with the values of the columns, and join the rows.

    One formatting of all rows is several times faster than one for each row.
    """
    # Row by row, as the joined template reads them: each column goes to every len(columns)-th position.
    values: list[object] = [None] * (len(columns) * len(templates))
    for index, column in enumerate(columns):
        values[index :: len(columns)] = column
    return separator.join(templates) % tuple(values)


def _uuid5(prefix_hash: hashlib._Hash, name: str) -> str:
    """The same as `uuid.uuid5`, from a hash that holds the namespace and the beginning of the name already.

    It is written out because `uuid` makes an object for each id, which takes longer than the rest of a row.
    """
    full_hash = prefix_hash.copy()
    full_hash.update(name.encode())
    digits = full_hash.hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"

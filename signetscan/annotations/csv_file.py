"""Parser of CSV tables of boxes: those of `signetscan detect`, and any others with four columns for the edges."""

from __future__ import annotations

import csv
import io
import sys
from array import array
from typing import TYPE_CHECKING

from signetscan.annotations.objects import LARGEST_COORDINATE, Annotations, make_annotations, read_bounded
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_CSV_BYTES = 500_000_000
"""Largest file that is read: `signetscan detect` fits more than two million detections into it."""

EDGE_COLUMNS = (
    ("x0_px", "y0_px", "x1_px", "y1_px"),
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
)
"""Names of the columns of the left, top, right and bottom edge, pixels; the first set that a table has is read."""
SCORE_COLUMNS, CLASS_COLUMNS = ("score", "confidence"), ("class", "name", "label")
"""Names of the columns of the score and of the class; the first that a table has is read."""


def read_boxes_csv(path: Path) -> Annotations:
    """Read a table with a line of column names and one row for each box; columns may be in any case and order.

    Args:
        path: the file, UTF-8, with commas. Its columns are `x0_px`, `y0_px`, `x1_px`, `y1_px` (or `x0`... or
            `xmin`...), and may be `score` and `class`; others are ignored.

    Raises:
        AnnotationError: the file is missing, too large, not CSV, lacks a column, or has a value that is not a number.
    """
    try:
        content = io.BytesIO(read_bounded(path, MAX_CSV_BYTES))
        rows = csv.reader(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""), strict=True)
        columns = [name.strip().casefold() for name in next(rows, [])]
        edges, score, label = _columns(path, columns)
        boxes, scores, names = array("d"), array("d"), []  # a million rows as lists would take a gigabyte
        for row in rows:
            if not row:
                continue
            line = rows.line_num
            if len(row) != len(columns):
                message = f"{path}: line {line} has {len(row)} fields, the first line {len(columns)}"
                raise AnnotationError(message)
            boxes.extend([_number(path, line, columns[index], row[index]) for index in edges])
            score_text = "" if score is None else row[score].strip()
            scores.append(_number(path, line, "score", score_text) if score_text else float("nan"))
            names.append("" if label is None else sys.intern(row[label].strip()))
    except (csv.Error, UnicodeDecodeError) as error:
        message = f"{path}: not a CSV table: {error}"
        raise AnnotationError(message) from error
    return make_annotations(boxes, names, scores)


def _columns(path: Path, columns: Sequence[str]) -> tuple[list[int], int | None, int | None]:
    """Positions in a row of the four edges, of the score and of the class."""
    names = next((names for names in EDGE_COLUMNS if set(names) <= set(columns)), None)
    if names is None:
        message = f"{path}: its first line does not name the columns of a box: {', '.join(EDGE_COLUMNS[1])}"
        raise AnnotationError(message)
    used = [*names, *(name for name in SCORE_COLUMNS + CLASS_COLUMNS if name in columns)]
    repeated = [name for name in used if columns.count(name) > 1]
    if repeated:
        message = f"{path}: more than one column is named {repeated[0]}"
        raise AnnotationError(message)
    score = next((columns.index(name) for name in SCORE_COLUMNS if name in columns), None)
    label = next((columns.index(name) for name in CLASS_COLUMNS if name in columns), None)
    return [columns.index(name) for name in names], score, label


def _number(path: Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= LARGEST_COORDINATE:  # also catches nan
        message = f"{path}: line {line}: {column} is not a number: {text[:40]!r}"
        raise AnnotationError(message)
    return value

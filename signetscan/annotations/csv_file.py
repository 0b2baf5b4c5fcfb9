"""Parser of CSV tables of boxes: those of `signetscan detect`, and any others with four columns for the edges."""

from __future__ import annotations

import csv
import io
import sys
from array import array
from typing import TYPE_CHECKING, TextIO

from signetscan.annotations.bounds import check_number, open_bounded
from signetscan.annotations.objects import LARGEST_COORDINATE, Annotations, make_annotations
from signetscan.annotations.packed import check_is_no_project
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_CSV_BYTES = 500_000_000
"""Largest file that is read: `signetscan detect` fits more than two million detections into it."""
MAX_ROW = 1 << 20
"""Longest row that is read, characters."""

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
    check_is_no_project(path)
    try:
        with io.TextIOWrapper(open_bounded(path, MAX_CSV_BYTES), encoding="utf-8-sig", newline="") as text:
            return _read_table(path, _Lines(path, text))
    except (csv.Error, UnicodeDecodeError) as error:
        message = f"{path}: not a CSV table: {error}"
        raise AnnotationError(message) from error
    except OSError as error:
        message = f"{path}: cannot read the annotations: {error.strerror}"
        raise AnnotationError(message) from error


def _read_table(path: Path, lines: _Lines) -> Annotations:
    rows = csv.reader(lines, strict=True)
    columns = [name.strip().casefold() for name in next(rows, [])]
    edges, score, label = _columns(path, columns)
    names: list[str] = []
    boxes, scores = array("d"), array("d")  # a million rows as lists would take a gigabyte
    for row in rows:
        lines.row_is_read()
        line = rows.line_num
        check_number(path, line)
        if not row:
            continue
        if len(row) != len(columns):
            message = f"{path}: line {line} has {len(row)} fields, the first line {len(columns)}"
            raise AnnotationError(message)
        boxes.extend([_number(path, line, columns[index], row[index]) for index in edges])
        score_text = "" if score is None else row[score].strip()
        scores.append(_number(path, line, "score", score_text) if score_text else float("nan"))
        names.append("" if label is None else sys.intern(row[label].strip()))
    return make_annotations(boxes, names, scores)


class _Lines:
    """The lines of a table, of which a row may have several; one row of millions of fields would take gigabytes."""

    def __init__(self, path: Path, text: TextIO) -> None:
        self._path, self._text, self._length = path, text, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW + 1)
        self._length += len(line)
        if self._length > MAX_ROW:
            message = f"{self._path}: not a CSV table: a row of over {MAX_ROW} characters"
            raise AnnotationError(message)
        if not line:
            raise StopIteration
        return line

    def row_is_read(self) -> None:
        """Another row may begin."""
        self._length = 0


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

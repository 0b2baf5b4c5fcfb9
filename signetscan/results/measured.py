"""Reading back what was measured of cells, from files that we wrote."""

from __future__ import annotations

import csv
import io
import math
from array import array
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.bounds import open_bounded
from signetscan.annotations.csv_file import MAX_CSV_BYTES
from signetscan.annotations.features import read_features
from signetscan.errors import ResultError
from signetscan.formats.csv_file import FORMULA
from signetscan.json_values import is_number
from signetscan.measurements import MEASURES, NO_TISSUE, TISSUE_COLUMN, TISSUE_TITLE, Measurements, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.json_values import Json

    Row = tuple[list[float], str | None]
    """The values of a cell, and its tissue; None where the file has no such column."""


def read_measurements(files: Sequence[Path], *, from_csv: bool) -> Measurements:
    """Read what was measured of each cell, in the order of the files.

    Args:
        files: the files of one format.
        from_csv: whether they are CSV, not GeoJSON.

    Raises:
        ResultError: a file holds no measurements, or others than its run wrote.
        AnnotationError: a file is missing, too large or malformed.
    """
    values, tissue = array("d"), bytearray()  # a million rows as lists would take a gigabyte
    index: dict[str, int] = {}
    has_tissue = False
    for file in files:
        for row, name in _of_csv(file) if from_csv else _of_geojson(file):
            values.extend(row)
            has_tissue |= name is not None
            tissue.append(index.setdefault(name, len(index)) if name else NO_TISSUE)
            if len(index) >= NO_TISSUE:
                raise _wrong(file)
    return Measurements(
        values=rounded(np.array(values, np.float64).reshape(-1, len(MEASURES))),
        tissue=np.frombuffer(bytes(tissue), np.uint8) if has_tissue else None,
        tissues=tuple(index),
    )


def _of_csv(path: Path) -> Iterator[Row]:
    with io.TextIOWrapper(open_bounded(path, MAX_CSV_BYTES), encoding="utf-8", newline="") as text:
        try:
            for row in csv.DictReader(text, strict=True):
                values = [_from_text(path, row.get(measure.column)) for measure in MEASURES]
                yield values, _tissue(row[TISSUE_COLUMN]) if TISSUE_COLUMN in row else None
        except (csv.Error, UnicodeDecodeError) as error:
            raise _wrong(path) from error


def _tissue(text: str | None) -> str:
    """The tissue of a field, in which a name that a spreadsheet takes for a formula has an apostrophe before it."""
    name = text or ""
    return name[1:] if name.startswith("'") and name[1:].startswith(FORMULA) else name


def _from_text(path: Path, text: str | None) -> float:
    """The value of a field; nan if it is empty.

    Raises:
        ResultError: there is no such field, or it is no number.
    """
    try:
        value = float(text or "nan") if text is not None else math.inf
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise _wrong(path)
    return value


def _of_geojson(path: Path) -> Iterator[Row]:
    for feature in read_features(path):
        match feature:
            case {"properties": {"measurements": dict(measurements), "metadata": dict(metadata)}}:
                yield _values(path, measurements), str(metadata.get(TISSUE_TITLE, ""))
            case {"properties": {"measurements": dict(measurements)}}:
                yield _values(path, measurements), None
            case _:
                raise _wrong(path)


def _values(path: Path, measurements: dict[str, Json]) -> list[float]:
    """The value of each measure; nan for none.

    Raises:
        ResultError: one is no number.
    """
    numbers = []
    for measure in MEASURES:
        value = measurements.get(measure.title)
        if value is not None and not is_number(value):
            raise _wrong(path)
        numbers.append(math.nan if value is None else float(value))
    return numbers


def _wrong(path: Path) -> ResultError:
    return ResultError(f"{path}: does not hold the measurements that its run wrote; scan the slide again")

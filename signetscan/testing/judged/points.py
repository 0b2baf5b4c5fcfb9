"""Cells of which only the centre is known: reading such points, and which detections hit them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.errors import AnnotationError
from signetscan.json_values import JsonError, JsonTable, is_number, parse_json
from signetscan.scan.merge import best_first
from signetscan.suffixes import IMAGE_SUFFIXES, without_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.detections import Detections
    from signetscan.json_values import Json

MOST_BYTES = 1 << 28
"""Largest file of points that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRule:
    """A detection hits a point in its box, or if `within` is given, one at most so far from its centre.

    One detection hits one point: in order of falling score, each takes of the points that no better one has taken the
    one nearest to its centre.
    """

    within: float | None = None
    """Longest distance from a detection's centre, pixels; None where the box decides."""

    def __call__(self, detections: Detections, truth: NDArray[Float], iou: float = 0.0) -> NDArray[np.bool_]:  # noqa: ARG002 - a rule of matching
        """Which detections hit a point, (len(detections),).

        Args:
            detections: boxes in pixels.
            truth: (N, 4), x, y, x, y of each point, as `as_boxes` makes them.
            iou: not used.
        """
        hits = np.zeros(len(detections), np.bool_)
        points, free = truth[:, :2], np.ones(len(truth), np.bool_)
        middles = centres(detections.boxes)
        for index in best_first(detections).tolist():
            box, distances = detections.boxes[index], np.hypot(*(points - middles[index]).T)
            inside = ((points >= box[:2]) & (points <= box[2:])).all(axis=1)
            candidates = np.flatnonzero(free & (inside if self.within is None else distances <= self.within))
            if len(candidates):
                free[candidates[distances[candidates].argmin()]] = False
                hits[index] = True
        return hits


def as_boxes(points: Iterable[tuple[float, float]]) -> NDArray[np.float64]:
    """Points as boxes without an area, (N, 4)."""
    return np.array([(x, y, x, y) for x, y in points], np.float64).reshape(-1, 4)


def read_points(path: Path, *, per_pixel: float = 1.0) -> dict[str, NDArray[np.float64]]:
    """The points of each image, by its name without suffix, as boxes without an area in pixels.

    Args:
        path: a CSV with the columns `image`, `x` and `y`; or a folder with a file for each image: NAME.csv with `x` and
            `y`, or NAME.json with a list of [x, y] or the `Multiple points` of grand-challenge.org. An image whose file
            holds no point is normal.
        per_pixel: size of a pixel in the unit of the points.

    Raises:
        AnnotationError: a file cannot be read, or has no such points; the message names it.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in {".csv", ".json"})
        if not files:
            message = f"{path}: no file of points (.csv or .json)"
            raise AnnotationError(message)
        found = {file.stem: [point for _, *point in _rows(file)] for file in files}
    else:
        found = {}
        for name, x, y in _rows(path):
            found.setdefault(without_suffix(name, IMAGE_SUFFIXES), []).append([x, y])
    return {name: as_boxes((x, y) for x, y in points) / per_pixel for name, points in found.items()}


def _rows(file: Path) -> list[tuple[str, float, float]]:
    """Image (empty if the file does not say), x and y of each point of a file."""
    try:
        if file.stat().st_size > MOST_BYTES:
            message = "it is far too long"
            raise JsonError(message)
        text = file.read_text(encoding="utf-8-sig")
        return _of_json(parse_json(text)) if file.suffix == ".json" else _of_csv(text)
    except (OSError, ValueError, csv.Error) as error:  # a JsonError and a UnicodeDecodeError are ValueErrors
        message = f"{file}: cannot be read as points: {error}"
        raise AnnotationError(message) from error


def _of_csv(text: str) -> list[tuple[str, float, float]]:
    rows = csv.DictReader(text.splitlines(), strict=True)
    if not {"x", "y"} <= set(rows.fieldnames or ()):
        message = f"its first line must name the columns x and y, and image if it is of several, not {rows.fieldnames}"
        raise JsonError(message)
    return [(row.get("image") or "", _finite(row["x"]), _finite(row["y"])) for row in rows]


def _finite(text: str | None) -> float:
    number = float(text or "nan")
    if not is_number(number):
        message = f"a coordinate must be a number, not {text!r}"
        raise JsonError(message)
    return number


def _of_json(value: Json) -> list[tuple[str, float, float]]:
    listed = value if isinstance(value, list) else JsonTable.of(value).array("points")
    points: list[tuple[str, float, float]] = []
    for number, each in enumerate(listed):
        point = each if isinstance(each, list) else JsonTable.of(each, f"points[{number}]").array("point")
        match point:
            case [x, y, *_] if is_number(x) and is_number(y):
                points.append(("", float(x), float(y)))
            case _:
                message = f"points[{number}] must be two or three numbers"
                raise JsonError(message)
    return points

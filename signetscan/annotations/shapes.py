"""Geometries of GeoJSON as polygons, points and lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.left_out import Unreadable
from signetscan.annotations.objects import LARGEST_COORDINATE
from signetscan.annotations.outlines import box_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.json_values import Json

    Positions = NDArray[np.float64]

COLLECTION = "GeometryCollection"
KINDS = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", COLLECTION})
"""Types of geometries."""
NUMBERS = frozenset({int, float})
"""Types of coordinates; `bool` is none of them."""
ALL_CHANNELS = -1
CLOSE = 0.25
"""Largest distance of parts of one cell, as a share of the longer side of the largest part."""


@dataclass(slots=True)
class Shape:
    """What a geometry consists of, in the file's frame."""

    polygons: list[tuple[Positions, ...]] = field(default_factory=list)
    """The rings of each polygon, (K, 2) each; those after the first are holes."""
    points: list[Positions] = field(default_factory=list)
    """The points, (K, 2) each."""
    lines: int = 0
    """Number of lines."""

    @property
    def rings(self) -> tuple[Positions, ...]:
        """The rings of all polygons."""
        return tuple(chain.from_iterable(self.polygons))

    @property
    def boxes(self) -> Positions:
        """The box around each polygon, (P, 4)."""
        return np.array([box_around(rings) for rings in self.polygons], np.float64).reshape(-1, 4)


def is_geometry(value: object) -> bool:
    """Whether a value looks like a geometry."""
    return isinstance(value, dict) and isinstance(kind := value.get("type"), str) and kind in KINDS


def shape_of(geometry: dict[str, Json]) -> Shape:
    """The parts of a geometry, also of a collection of geometries.

    Raises:
        Unreadable: the geometry, or one in the collection, is malformed.
    """
    shape, waiting = Shape(), [geometry]
    while waiting:
        one = waiting.pop()
        kind, members = one.get("type"), one.get("geometries")
        if kind == COLLECTION and isinstance(members, list):
            tables = [member for member in members if isinstance(member, dict)]
            if len(tables) < len(members):
                message = "has a collection of geometries in which something is no geometry"
                raise Unreadable(message)
            waiting += reversed(tables)
        else:
            _add(shape, kind, one.get("coordinates"))
    if not (shape.polygons or shape.points or shape.lines):
        message = "has no coordinates"
        raise Unreadable(message)
    return shape


def _add(shape: Shape, kind: Json, coordinates: Json) -> None:
    match kind:
        case "Polygon":
            shape.polygons.append(_rings(coordinates))
        case "MultiPolygon":
            shape.polygons += [_rings(polygon) for polygon in _list(coordinates)]
        case "Point":
            shape.points.append(_positions([coordinates]))
        case "MultiPoint":
            shape.points.append(_positions(coordinates))
        case "LineString":
            _positions(coordinates)
            shape.lines += 1
        case "MultiLineString":
            shape.lines += len([_positions(line) for line in _list(coordinates)])
        case None:
            message = "has no geometry"
            raise Unreadable(message)
        case _:
            message = "has a geometry of unknown type"
            raise Unreadable(message)


def _rings(polygon: Json) -> tuple[Positions, ...]:
    return tuple(_positions(ring) for ring in _list(polygon))


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        message = "has coordinates that are not nested as its type requires"
        raise Unreadable(message)
    if not value:
        message = "has no coordinates"
        raise Unreadable(message)
    return value


def _positions(part: Json) -> Positions:
    """Positions, (K, 2); further numbers of each, such as a height, are passed over."""
    given = _list(part)
    numbers = list(chain.from_iterable([position[:2] for position in given if isinstance(position, list)]))
    # NumPy would take texts and truth values for numbers, and one long text for a size of all.
    if len(numbers) < 2 * len(given) or not NUMBERS.issuperset(map(type, numbers)):
        message = "has coordinates that are not a list of x, y"
        raise Unreadable(message)
    try:
        positions = np.array(numbers, np.float64).reshape(-1, 2)
    except OverflowError:
        positions = np.full((1, 2), np.nan)
    if not np.abs(positions).max() <= LARGEST_COORDINATE:  # also catches nan
        message = f"has a coordinate that is not a number up to {LARGEST_COORDINATE:g}"
        raise Unreadable(message)
    return positions


def is_in_first_plane(geometry: dict[str, Json]) -> bool:
    """Whether a geometry lies in the plane that is scanned, the first; it does if nothing is said.

    Raises:
        Unreadable: its plane is malformed.
    """
    plane = geometry.get("plane")
    if plane is None:
        return True
    z, t, c = (plane.get(axis, 0) for axis in "ztc") if isinstance(plane, dict) else (None, None, None)
    if {type(z), type(t), type(c)} - NUMBERS:
        message = "has a plane that is not made of the numbers c, z and t"
        raise Unreadable(message)
    return z == 0 and t == 0 and c in {0, ALL_CHANNELS}


def is_one_cell(boxes: Positions) -> bool:
    """Whether parts (P, 4) can be of one cell: all lie close to the largest.

    A brush cuts a cell in two, or leaves a speck beside it. Other programs write all cells of a class as one object.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    x0, y0, x1, y1 = boxes[sides.prod(axis=1).argmax()].tolist()
    gaps = np.maximum(np.maximum(boxes[:, :2] - (x1, y1), (x0, y0) - boxes[:, 2:]), 0)
    return bool((np.hypot(gaps[:, 0], gaps[:, 1]) <= CLOSE * max(x1 - x0, y1 - y0)).all())

"""Parser of QuPath's GeoJSON.

It reads what QuPath 0.2 to 0.7 writes: a FeatureCollection, a bare array of features, or one feature; plain or gzipped;
objects nested in `childObjects`; classifications as text, as an object with `name` or `names`, or null; measurements as
an object or as a list of name and value.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.features import read_features
from signetscan.annotations.marks import AREAS, PEOPLE, meaning_of_class
from signetscan.annotations.objects import (
    LARGEST_COORDINATE,
    NORMAL_REGION,
    POSITIVE_REGION,
    Annotations,
    Region,
    make_annotations,
)
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.json_values import Json

SCORE_NAMES = ("score", "confidence", "probability", "detection probability")
"""Names, in upper or lower case, of the measurement that is the score; the first one that an object has counts."""

OBJECT_KINDS = ("annotation", "detection", "cell")
"""Types of objects that may be a cell; tiles, TMA cores and the root are left out."""

REGIONS = {POSITIVE_REGION.casefold(): False, NORMAL_REGION.casefold(): True}
"""Classes of the annotations that are regions, and whether they are normal."""

DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
"""Number of lists in which the positions of a geometry are nested."""


def read_geojson(path: Path) -> Annotations:
    """Read the objects that QuPath exported, or that `signetscan detect` wrote.

    A polygon gives the box around it, a point a box of no size. Annotations of the class `Positive region` or `Normal
    region` become regions; lines, tiles, TMA cores and the root are left out, and counted.

    Args:
        path: the file; one with the suffix `.gz` is unpacked.

    Returns:
        The objects in the file's frame: QuPath counts from the bounds that some slides declare.

    Raises:
        AnnotationError: the file is missing, too large, not GeoJSON, or one of its objects is malformed.
    """
    parser = _Parser(path)
    for number, feature in enumerate(read_features(path), start=1):
        parser.add(feature, number)
    return make_annotations(
        parser.boxes,
        parser.names,
        parser.scores,
        parser.kinds,
        regions=parser.regions,
        polygons=parser.polygons,
        left_out=dict(parser.left_out),
    )


def read_areas(path: Path) -> tuple[Region, ...]:
    """The annotations with an area, of any class, and the TMA cores that are not missing; as regions, file's frame.

    Raises:
        AnnotationError: as `read_geojson`.
    """
    parser = _AreaParser(path)
    for number, feature in enumerate(read_features(path), start=1):
        parser.add(feature, number)
    return tuple(parser.regions)


@dataclass(slots=True)
class _Parser:
    """Collects the objects of one file."""

    path: Path
    boxes: array[float] = field(default_factory=lambda: array("d"))
    names: list[str] = field(default_factory=list)
    scores: array[float] = field(default_factory=lambda: array("d"))
    kinds: list[str] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    polygons: dict[int, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, top: object, number: int) -> None:
        """Add a feature of the file's list, counted from 1, and all objects nested in it."""
        waiting = [top]
        while waiting:
            match waiting.pop():
                case {"type": "Feature", "geometry": dict(geometry), "properties": dict(properties)}:
                    pass
                case {"type": "Feature", "geometry": dict(geometry), **rest} if rest.get("properties") is None:
                    properties = {}
                case _:
                    raise self._error(number, "is not a Feature with a geometry and an object of properties")
            self._add_one(geometry, properties, number)
            nested = properties.get("childObjects", properties.get("children")) or []
            if not isinstance(nested, list):
                raise self._error(number, "has childObjects that are not a list")
            waiting += reversed(nested)  # so that they are taken from the end in the order of the file

    def _add_one(self, geometry: dict[str, Json], properties: dict[str, Json], number: int) -> None:
        kind = _kind(properties)
        name = self._name(properties.get("classification"), number)
        shape, parts = self._parts(geometry, number)
        folded = name.casefold()
        if kind not in OBJECT_KINDS:
            self.left_out[f"{kind} objects"] += 1
        elif "Line" in shape:
            self.left_out["lines"] += 1
        elif kind == PEOPLE and folded in REGIONS and "Polygon" in shape:
            self.regions.append(Region(rings=tuple(parts), normal=REGIONS[folded]))
        else:
            score = self._score(properties, number)
            may_be_area = not name or meaning_of_class(name) in AREAS
            if kind == PEOPLE and "Polygon" in shape and may_be_area:
                self.polygons[len(self.names)] = tuple(parts)
            # Each point is an object of its own; all rings of a polygon together are one.
            points = shape in {"Point", "MultiPoint"}
            for corners in np.concatenate(parts)[:, None] if points else [np.concatenate(parts)]:
                self.boxes.extend([*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()])
                self.names.append(sys.intern(name))
                self.scores.append(score)
                self.kinds.append(sys.intern(kind))

    def _parts(self, geometry: dict[str, Json], number: int) -> tuple[str, list[NDArray[np.float64]]]:
        """The type of a geometry, and its rings, lines or points, each (K, 2)."""
        shape = geometry.get("type")
        if not isinstance(shape, str) or shape not in DEPTH:
            raise self._error(number, f"has a geometry of unknown type ({str(shape)[:40]})")
        parts = [geometry.get("coordinates")]
        if DEPTH[shape] == 0:
            parts = [parts]
        for _ in range(DEPTH[shape] - 1):
            inner: list[Json] = []
            for part in parts:
                if not isinstance(part, list):
                    raise self._error(number, "has coordinates that are not nested as its type requires")
                inner += part
            parts = inner
        if not parts:
            raise self._error(number, "has no coordinates")
        return shape, [self._positions(part, number) for part in parts]

    def _positions(self, part: object, number: int) -> NDArray[np.float64]:
        try:
            values = np.asarray(part)
        except ValueError:  # rows of different lengths
            values = np.empty(0)
        if values.ndim != 2 or values.shape[1] < 2 or not len(values) or values.dtype.kind not in "iuf":
            raise self._error(number, "has coordinates that are not a list of x, y")
        positions = values[:, :2].astype(np.float64)
        if not (np.abs(positions) <= LARGEST_COORDINATE).all():  # also catches nan
            raise self._error(number, f"has a coordinate that is not a number up to {LARGEST_COORDINATE:g}")
        return positions

    def _name(self, classification: object, number: int) -> str:
        match classification:
            case None:
                return ""
            case str(name) | {"name": str(name)}:
                return name.strip()
            case {"names": list(names)} if all(isinstance(name, str) for name in names):
                # A derived class, written as QuPath shows it.
                return ": ".join(name.strip() for name in names)
            case {**keys} if not (keys.get("name") or keys.get("names")):
                return ""
        raise self._error(number, "has a classification that is neither a name nor an object with a name")

    def _score(self, properties: dict[str, Json], number: int) -> float:
        """The score; nan for none."""
        measured = properties.get("measurements") or {}
        if isinstance(measured, list):  # QuPath before 0.4
            entries = [entry for entry in measured if isinstance(entry, dict)]
            if len(entries) < len(measured):
                raise self._error(number, "has measurements that are not pairs of name and value")
            measured = {str(entry.get("name")): entry.get("value") for entry in entries}
        if not isinstance(measured, dict):
            raise self._error(number, "has measurements that are not an object")
        # Some programs write the score beside the measurements.
        values = {str(name).strip().casefold(): value for name, value in (properties | measured).items()}
        value = next((values[name] for name in SCORE_NAMES if values.get(name) is not None), "nan")
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._error(number, "has a score that is not a number")
        try:
            return float(value)  # QuPath writes "NaN" as text
        except (ValueError, OverflowError) as error:
            raise self._error(number, "has a score that is not a number") from error

    def _error(self, number: int, problem: str) -> AnnotationError:
        return AnnotationError(f"{self.path}: feature {number} {problem}")


@dataclass(slots=True)
class _AreaParser(_Parser):
    """Collects the annotations and TMA cores that have an area instead."""

    def _add_one(self, geometry: dict[str, Json], properties: dict[str, Json], number: int) -> None:
        shape, rings = self._parts(geometry, number)
        kind, missing = _kind(properties), properties.get("isMissing") is True
        if (kind == "annotation" or (kind == "tmaCore" and not missing)) and "Polygon" in shape:
            self.regions.append(Region(rings=tuple(rings), normal=False))


def _kind(properties: dict[str, Json]) -> str:
    """The type of an object; an annotation if there is none, as in QuPath."""
    kind = properties.get("objectType", properties.get("object_type"))
    return kind[:40] if isinstance(kind, str) and kind else "annotation"

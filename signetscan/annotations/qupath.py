"""Parser of QuPath's GeoJSON.

It reads what QuPath 0.2 to 0.8 writes: a FeatureCollection, a bare array of features, or one feature; plain, gzipped or
in a ZIP; objects nested in `childObjects`; classifications as text, as an object with `name` or `names`, or null;
measurements as an object or as a list of name and value. An object that cannot be understood is left out, and counted.
"""

from __future__ import annotations

import sys
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.features import read_features
from signetscan.annotations.left_out import LeftOut, LeftOutObjects, Reason, Unreadable
from signetscan.annotations.marks import AREAS, PEOPLE, meaning_of_class
from signetscan.annotations.objects import (
    NORMAL_REGION,
    POSITIVE_REGION,
    Annotations,
    Region,
    make_annotations,
)
from signetscan.annotations.outlines import area_of
from signetscan.annotations.shapes import is_geometry, is_in_first_plane, is_one_cell, shape_of
from signetscan.errors import AnnotationError
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations.shapes import Shape
    from signetscan.json_values import Json

    Rings = tuple[NDArray[np.float64], ...]

SCORE_NAMES = ("score", "confidence", "probability", "detection probability")
"""Names, in upper or lower case, of the measurement that is the score; the first one that an object has counts."""

CORE = "tmaCore"
OBJECT_KINDS = (PEOPLE, "detection", "cell")
"""Types of objects that may be a cell."""
OTHER_KINDS = {"tile": Reason.TILES, CORE: Reason.CORES, "root": Reason.ROOT}
"""Types of objects that are none."""

NOT_UNDERSTOOD = frozenset({Reason.UNREADABLE, Reason.OTHER_PLANE})
NOT_READ = NOT_UNDERSTOOD | {Reason.LINES, Reason.NO_AREA}
"""Reasons for which a file is refused if nothing in it is read."""

REGIONS = {POSITIVE_REGION.casefold(): False, NORMAL_REGION.casefold(): True}
"""Classes of the annotations that are regions, and whether they are normal."""


def read_geojson(path: Path) -> Annotations:
    """Read the objects that QuPath exported, or that `signetscan detect` wrote.

    A polygon gives the box around it, a point a box of no size. An object of several polygons gives the box around all
    of them if they lie close together, as those of a cell that a brush cut in two; otherwise each is an object of its
    own. Annotations of the class `Positive region` or `Normal region` become regions.

    Lines, tiles, TMA cores, the root, objects in another plane than the first, and objects that cannot be understood
    are left out, and counted.

    Args:
        path: the file; one packed by gzip or in a ZIP is unpacked.

    Returns:
        The objects in the file's frame: QuPath counts from the bounds that some slides declare.

    Raises:
        AnnotationError: the file is missing, too large, or not GeoJSON; or it has objects, none of which can be read.
    """
    read = parse_features(path, read_features(path))
    if not len(read) and not read.regions:
        _check_was_empty(path, read.left_out, NOT_READ)
    return read


def parse_features(path: Path, features: Iterable[Json], *, first: int = 1) -> Annotations:
    """The objects of some features of a file, as `read_geojson` reads them.

    Args:
        path: the file, for messages.
        features: what `read_features` returned.
        first: number of the first of them in the file, from 1, for messages.
    """
    objects = _Objects(LeftOutObjects(path))
    for one in _every_object(objects.left_out, features, first):
        try:
            objects.add(one)
        except Unreadable as problem:
            objects.left_out.add(Reason.UNREADABLE, f"{one.name}: {problem}")
    return objects.annotations()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Areas:
    """The areas that a person drew, in the file's frame."""

    regions: tuple[Region, ...]
    """One for each annotation; none is normal."""
    names: tuple[str, ...]
    """Class name of each; empty for none, and for a TMA core."""
    left_out: tuple[LeftOut, ...]
    """What else is in the file."""


def read_areas(path: Path) -> Areas:
    """The annotations with an area, of any class, and the TMA cores that are not missing; as regions, file's frame.

    Raises:
        AnnotationError: as `read_geojson`.
    """
    regions: list[Region] = []
    names: list[str] = []
    left_out = LeftOutObjects(path)
    for one in _every_object(left_out, read_features(path)):
        try:
            rings, name = _area(one, left_out), _class_name(one.properties.get("classification"))
        except Unreadable as problem:
            left_out.add(Reason.UNREADABLE, f"{one.name}: {problem}")
            continue
        if rings:
            regions.append(Region(rings=rings, normal=False))
            names.append("" if one.kind == CORE else name)
    if not regions:
        _check_was_empty(path, left_out.by_reason(), NOT_UNDERSTOOD)
    return Areas(regions=tuple(regions), names=tuple(names), left_out=left_out.by_reason())


def _check_was_empty(path: Path, left_out: tuple[LeftOut, ...], reasons: frozenset[Reason]) -> None:
    """Check that a file of which nothing was read has nothing that somebody drew: it would look like a normal image."""
    for left in left_out:
        if left.reason in reasons:
            message = f"{path}: nothing in it can be used; left out, {left}"
            raise AnnotationError(message)


@dataclass(slots=True)
class _Object:
    """An object of a file, unchecked."""

    number: int
    """Number of the feature that it is, or in which it is nested, from 1."""
    geometry: Json
    properties: dict[str, Json]
    identity: Json

    @property
    def kind(self) -> str:
        """Its type; an annotation if there is none, as in QuPath."""
        kind = self.properties.get("objectType", self.properties.get("object_type"))
        return kind[:40] if isinstance(kind, str) and kind else PEOPLE

    @property
    def name(self) -> str:
        """Its number, class and id, for messages."""
        facts = [f"id {printable(self.identity, 36)}"] if isinstance(self.identity, str) else []
        with suppress(Unreadable):
            facts = [printable(_class_name(self.properties.get("classification")), 30), *facts]
        shown = ", ".join(fact for fact in facts if fact)
        return f"feature {self.number} ({shown})" if shown else f"feature {self.number}"

    def shape(self, left_out: LeftOutObjects) -> Shape | None:
        """Its geometry; None if it lies in another plane. Lines are counted as left out.

        Raises:
            Unreadable: it has none, or it is malformed.
        """
        if not isinstance(self.geometry, dict):
            message = "has no geometry"
            raise Unreadable(message)
        if not is_in_first_plane(self.geometry):
            left_out.add(Reason.OTHER_PLANE, self.name)
            return None
        shape = shape_of(self.geometry)
        left_out.see(len(shape.polygons) + sum(map(len, shape.points)) + shape.lines)
        left_out.add(Reason.LINES, count=shape.lines)
        return shape


def _every_object(left_out: LeftOutObjects, features: Iterable[Json], first: int = 1) -> Iterator[_Object]:
    """All objects of some features, those nested in others too, in the order of the file."""
    for number, feature in enumerate(features, start=first):
        waiting = [feature]
        while waiting:
            left_out.see()
            one = _object(waiting.pop(), number)
            if one is None:
                left_out.add(Reason.UNREADABLE, f"feature {number}: is not a Feature with an object of properties")
                continue
            yield one
            nested = one.properties.get("childObjects", one.properties.get("children")) or []
            if isinstance(nested, list):
                waiting += reversed(nested)  # so that they are taken from the end in the order of the file
            else:
                left_out.add(Reason.UNREADABLE, f"{one.name}: has childObjects that are not a list")


def _object(value: Json, number: int) -> _Object | None:
    if not isinstance(value, dict):
        return None
    if is_geometry(value):  # as in QuPath, which makes an annotation of it
        return _Object(number, value, {}, None)
    properties = value.get("properties")
    if value.get("type") != "Feature" or not isinstance(properties, dict | None):
        return None
    return _Object(number, value.get("geometry"), properties or {}, value.get("id"))


@dataclass(slots=True)
class _Objects:
    """Collects the objects of one file."""

    left_out: LeftOutObjects
    boxes: array[float] = field(default_factory=lambda: array("d"))
    names: list[str] = field(default_factory=list)
    scores: array[float] = field(default_factory=lambda: array("d"))
    kinds: list[str] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    polygons: dict[int, Rings] = field(default_factory=dict)
    split: int = 0

    def add(self, one: _Object) -> None:
        """Add an object.

        Raises:
            Unreadable: it is malformed.
        """
        kind = one.kind
        if kind not in OBJECT_KINDS:
            self.left_out.add(OTHER_KINDS.get(kind, Reason.OTHER_TYPES))
            return
        name = _class_name(one.properties.get("classification"))
        shape = one.shape(self.left_out)
        if shape is None or not (shape.polygons or shape.points):
            return
        if kind == PEOPLE and shape.polygons and name.casefold() in REGIONS:
            self._add_region(shape, normal=REGIONS[name.casefold()])
            return
        score = _score(one.properties)
        if shape.polygons:
            self._add_polygons(shape, name, kind, score)
        for points in shape.points:  # each point is an object of its own
            self._add_boxes(np.concatenate([points, points], axis=1), name, kind, score)

    def _add_region(self, shape: Shape, *, normal: bool) -> None:
        if any(area_of(rings[0]) for rings in shape.polygons):
            self.regions.append(Region(rings=shape.rings, normal=normal))
        else:
            self.left_out.add(Reason.NO_AREA)

    def _add_polygons(self, shape: Shape, name: str, kind: str, score: float) -> None:
        boxes = shape.boxes
        may_be_area = kind == PEOPLE and (not name or meaning_of_class(name) in AREAS)
        objects = shape.polygons
        if len(boxes) > 1 and ((may_be_area and name) or is_one_cell(boxes)):
            objects = [shape.rings]
            boxes = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]
        self.split += len(objects) > 1
        if may_be_area:
            first = len(self.names)
            self.polygons |= {first + index: rings for index, rings in enumerate(objects) if not _is_rectangle(rings)}
        self._add_boxes(boxes, name, kind, score)

    def _add_boxes(self, boxes: NDArray[np.float64], name: str, kind: str, score: float) -> None:
        self.boxes.frombytes(boxes.tobytes())
        self.names += [sys.intern(name)] * len(boxes)
        self.scores.extend([score] * len(boxes))
        self.kinds += [sys.intern(kind)] * len(boxes)

    def annotations(self) -> Annotations:
        """All that was collected."""
        return make_annotations(
            self.boxes,
            self.names,
            self.scores,
            self.kinds,
            regions=self.regions,
            polygons=self.polygons,
            left_out=self.left_out.by_reason(),
            split=self.split,
        )


def _is_rectangle(rings: Rings) -> bool:
    return Region(rings=rings, normal=False).is_rectangle


def _area(one: _Object, left_out: LeftOutObjects) -> Rings:
    """The rings of an annotation or of a TMA core; none, and a reason counted, of anything else.

    Raises:
        Unreadable: it is malformed.
    """
    kind, missing = one.kind, one.properties.get("isMissing") is True
    if kind not in {PEOPLE, CORE} or (kind == CORE and missing):
        reason = Reason.MISSING_CORES if kind == CORE else OTHER_KINDS.get(kind, Reason.OTHER_TYPES)
        left_out.add(Reason.OF_MODELS if kind in OBJECT_KINDS else reason)
        return ()
    shape = one.shape(left_out)
    if shape is None:
        return ()
    left_out.add(Reason.POINTS, count=sum(map(len, shape.points)))
    if shape.polygons and not any(area_of(rings[0]) for rings in shape.polygons):
        left_out.add(Reason.NO_AREA, one.name)
        return ()
    return shape.rings


def _class_name(classification: Json) -> str:
    """The name of a class; empty for none.

    Raises:
        Unreadable: the classification is malformed.
    """
    match classification:
        case None:
            return ""
        case str(name) | {"name": str(name)}:
            return _text(name)
        case {"names": list(names)} if names and all(isinstance(name, str) for name in names):
            # A derived class, written as QuPath shows it.
            return ": ".join(_text(str(name)) for name in names)
        case {**keys} if not (keys.get("name") or keys.get("names")):
            return ""
    message = "has a classification that is neither a name nor an object with a name"
    raise Unreadable(message)


def _text(name: str) -> str:
    """A name without white space around it, and without half characters, which no file can hold."""
    return name.strip().encode(errors="replace").decode()


def _score(properties: dict[str, Json]) -> float:
    """The score; nan for none.

    Raises:
        Unreadable: the measurements are malformed, or the score is no number.
    """
    measured = properties.get("measurements") or {}
    if isinstance(measured, list):  # QuPath before 0.4
        entries = [entry for entry in measured if isinstance(entry, dict)]
        if len(entries) < len(measured):
            message = "has measurements that are not pairs of name and value"
            raise Unreadable(message)
        measured = {str(entry.get("name")): entry.get("value") for entry in entries}
    if not isinstance(measured, dict):
        message = "has measurements that are not an object"
        raise Unreadable(message)
    value = measured.get(SCORE_NAMES[0])
    if value is None:  # it may be spelt otherwise, and some programs write it beside the measurements
        values = {str(name).strip().casefold(): value for name, value in (properties | measured).items()}
        value = next((values[name] for name in SCORE_NAMES if values.get(name) is not None), "nan")
    try:
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            return float(value)  # QuPath writes "NaN" as text
    except (ValueError, OverflowError):
        pass
    message = "has a score that is not a number"
    raise Unreadable(message)

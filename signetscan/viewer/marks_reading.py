"""Reading of files of marks, whether the viewer or QuPath wrote them last."""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Meaning, interpret
from signetscan.annotations.features import read_features
from signetscan.annotations.marked_slide import check_marked_slide
from signetscan.annotations.marks import by_people
from signetscan.annotations.qupath import parse_features
from signetscan.viewer.marks import Mark, Verdict, mark_of_detection
from signetscan.viewer.marks_file import SavedMarks, Stored

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations, Region
    from signetscan.boxes import Box
    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.json_values import Json

MOST_CORNERS = 200_000
"""Most corners of all outlines that are shown, some megabytes for the page."""
CHILDREN = ("childObjects", "children")
"""Keys under which QuPath nests objects in others."""
MIXING = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5, 1], np.uint64)
"""Odd numbers by which the edges and the label of a detection are mixed into one number."""


def read_marks(path: Path, scanned: ScannedSlide, detections: Detections) -> SavedMarks:
    """Read marks back, by number: a mark of a detection has the detection's number.

    Annotations are marks; detections are nobody's, unless somebody gave them another class. Marks that belong to no
    detection (drawn, changed in QuPath, or made on another model's results) get higher numbers. The mark of a cell
    is the box around it, that of a region has its outline.

    Args:
        path: the file; without it there are no marks.
        scanned: their slide.
        detections: its detections in the order of their numbers, boxes in level-0 pixels.

    Raises:
        AnnotationError: the file cannot be read, or holds marks of another slide.
    """
    if not path.exists():
        return SavedMarks()
    check_marked_slide(path, scanned.fingerprint, options=("out",))
    reader = _Reader(path, scanned, detections)
    plain = parse_features(path, reader.plain_detections(read_features(path)))
    further_numbers = count(len(detections))
    marks: dict[int, Mark] = {}
    stored: dict[int, Stored] = {}
    others: list[Json] = []
    numbers = _numbers_by_edges(detections, reader.boxes_of_marks())
    for mark, feature in reader.objects:
        if mark is None:
            others.append(feature)
            continue
        number = _number_of(mark, numbers, marks, detections)
        number = next(further_numbers) if number is None else number
        marks[number] = mark_of_detection(detections, number, mark.verdict) if number < len(detections) else mark
        stored[number] = Stored(mark=marks[number], feature=feature)
    changed, outdated = _changed_classes(plain, scanned, detections, reader.labels)
    for number, mark in changed.items():
        marks.setdefault(number, mark)
    return SavedMarks(
        marks=marks,
        stored=stored,
        others=tuple(others),
        lists_detections=reader.plain > 0,
        outdated=outdated + reader.plain - len(plain),
        unshown=reader.unshown,
    )


class _Reader:
    """Sorts the features of a file into detections as a model writes them, marks, and others."""

    def __init__(self, path: Path, scanned: ScannedSlide, detections: Detections) -> None:
        self._path = path
        self._scanned = scanned
        self._detections = detections
        self.labels = {name.strip(): label for label, name in enumerate(scanned.class_names)}
        self.objects: list[tuple[Mark | None, Json]] = []
        """The features that are no plain detections, with their marks; None for those that are none."""
        self.plain = 0
        """Number of plain detections."""
        self.corners = 0
        """Corners of all outlines so far."""
        self.unshown = 0
        """Number of regions that no mark can show."""

    def plain_detections(self, features: Iterable[Json]) -> Iterator[Json]:
        """The detections of the model's classes; all other features are collected."""
        for number, top in enumerate(features, start=1):
            for feature in _flat(top):
                if _is_plain(feature, self.labels):
                    self.plain += 1
                    yield feature
                else:
                    parsed = parse_features(self._path, [feature], first=number)
                    self.objects.append((self._mark(parsed), feature))

    def boxes_of_marks(self) -> NDArray[np.float64]:
        """Boxes of the marks, (N, 4), level-0 pixels."""
        return np.array([mark.box for mark, _ in self.objects if mark is not None], np.float64).reshape(-1, 4)

    def _mark(self, parsed: Annotations) -> Mark | None:
        """The mark of a single feature; None if the viewer cannot show it as one."""
        if len(parsed) + len(parsed.regions) != 1:
            return None
        marked = interpret(parsed, (self._scanned.mpp.x, self._scanned.mpp.y))
        for regions, verdict in ((marked.regions, Verdict.POSITIVE), (marked.reviewed, Verdict.REVIEWED)):
            for region in regions:
                return self._region(region, Verdict.NORMAL if region.normal else verdict)
        box = self._box(parsed.boxes[0])
        if not (box[0] < box[2] and box[1] < box[3]):
            return None
        score = float(parsed.scores[0]) if math.isfinite(parsed.scores[0]) else math.nan
        if marked.meaning[0] == Meaning.REJECTED:
            return Mark(box=box, label=0, verdict=Verdict.REJECTED, score=score)
        label = self.labels.get(parsed.names[0])
        if marked.meaning[0] != Meaning.CELL or label is None or not by_people(parsed)[0]:
            return None
        return Mark(box=box, label=label, verdict=Verdict.ACCEPTED, score=score)

    def _region(self, region: Region, verdict: Verdict) -> Mark | None:
        """The mark of a region; None of one with holes, of several parts, or of very many corners."""
        box = self._box(np.array(region.box))
        if region.is_rectangle:
            return Mark(box=box, label=0, verdict=verdict)
        ring = region.rings[0]
        if len(region.rings) > 1 or self.corners + len(ring) > MOST_CORNERS:
            self.unshown += 1
            return None
        self.corners += len(ring)
        closed = len(ring) > 1 and bool((ring[0] == ring[-1]).all())
        moved = (ring + self._scanned.origin).round(2).tolist()
        outline = tuple((x, y) for x, y in (moved[:-1] if closed else moved))
        return Mark(box=box, label=0, verdict=verdict, outline=outline)

    def _box(self, box: NDArray[np.float64]) -> Box:
        x0, y0, x1, y1 = (box + self._scanned.origin * 2).round(2).tolist()
        return x0, y0, x1, y1


def _flat(top: Json) -> Iterator[Json]:
    """A feature and those nested in it, each by itself: QuPath nests them by their place anyway."""
    waiting = [top]
    while waiting:
        feature = waiting.pop()
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(feature, dict) or not isinstance(properties, dict):
            yield feature
            continue
        nested = [children for key in CHILDREN if isinstance(children := properties.get(key), list)]
        if nested:
            own: Json = {
                key: value for key, value in properties.items() if not isinstance(value, list) or key not in CHILDREN
            }
            yield {**feature, "properties": own}
        else:
            yield feature
        waiting += [child for children in reversed(nested) for child in reversed(children)]


def _is_plain(feature: Json, classes: Container[str]) -> bool:
    """Whether a feature is a detection of one of the model's classes."""
    match feature:
        case {
            "type": "Feature",
            "geometry": {"type": "Polygon", **place},
            "properties": {"objectType": "detection", "classification": {"name": str(name)}},
        } if "plane" not in place:
            return name.strip() in classes
    return False


def _number_of(
    mark: Mark, numbers: Mapping[bytes, list[int]], taken: Container[int], detections: Detections
) -> int | None:
    """The number of the detection that a mark belongs to. Equal boxes are taken in turn."""
    if mark.verdict.is_of_region:
        return None
    # A rejected object has lost its class, so it fits a detection of any.
    is_rejected = mark.verdict is Verdict.REJECTED
    candidates = (
        number
        for number in numbers.get(_edges_key(np.array(mark.box)), ())
        if number not in taken and (is_rejected or detections.labels[number] == mark.label)
    )
    return next(candidates, None)


def _changed_classes(
    plain: Annotations, scanned: ScannedSlide, detections: Detections, labels: Mapping[str, int]
) -> tuple[dict[int, Mark], int]:
    """Marks of detections to which somebody gave another of the model's classes, and the number of outdated ones."""
    boxes = (plain.boxes + scanned.origin * 2).round(2)
    of_class = np.array([labels[name] for name in plain.names], np.int64)
    known = np.isin(_mixed(boxes, of_class), _mixed(detections.boxes, detections.labels))
    unknown = np.flatnonzero(~known).tolist()
    numbers = _numbers_by_edges(detections, boxes[~known])
    marks: dict[int, Mark] = {}
    for index in unknown:
        number = next(iter(numbers.get(_edges_key(boxes[index]), ())), None)
        if number is not None:
            detected = mark_of_detection(detections, number, Verdict.ACCEPTED)
            marks[number] = Mark(
                box=detected.box, label=int(of_class[index]), verdict=Verdict.ACCEPTED, score=detected.score
            )
    return marks, len(unknown) - len(marks)


def _mixed(boxes: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A number for each box and label, (N,), by which they can be compared at once."""
    rows = np.concatenate([_hundredths(boxes), labels[:, None]], axis=1).astype(np.uint64)
    mixed = np.zeros(len(rows), np.uint64)
    for column, factor in zip(rows.T, MIXING, strict=True):
        mixed = (mixed ^ column) * factor
    return mixed


def _numbers_by_edges(detections: Detections, boxes: NDArray[np.float64]) -> dict[bytes, list[int]]:
    """Numbers of detections by their edges. Only detections that can equal one of the boxes (N, 4) are in it."""
    # The left edge alone rules out nearly all of a million detections, before the loop in Python.
    candidates = np.flatnonzero(np.isin(_hundredths(detections.boxes[:, 0]), _hundredths(boxes[:, 0])))
    numbers: dict[bytes, list[int]] = {}
    for number in candidates.tolist():
        numbers.setdefault(_edges_key(detections.boxes[number]), []).append(number)
    return numbers


def _edges_key(box: NDArray[np.float64]) -> bytes:
    return _hundredths(box).tobytes()


def _hundredths(edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(edges * 100).astype(np.int64)

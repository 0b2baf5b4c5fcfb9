"""Write marks as GeoJSON that QuPath opens, and read them back.

Cells, detected or drawn, are annotations of the model's class; rejected detections have the class `Ignore*`, QuPath's
name for objects that do not count. Detections without a verdict are left out. Coordinates count from the point that
QuPath takes as (0, 0), as in the GeoJSON file of detections. The file says which slide it is of, whatever its name
(`signetscan.annotations.marked_slide`).
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import IGNORED_CLASS, Meaning, interpret, read_geojson
from signetscan.annotations.marked_slide import check_marked_slide, mark_id, member_of
from signetscan.atomic import atomic_text
from signetscan.errors import AnnotationError
from signetscan.formats.annotations import classification
from signetscan.formats.colours import IGNORED_COLOUR, colour_of
from signetscan.viewer.marks import Mark, Verdict, mark_of_detection

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import MarkedObjects
    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide


def write_marks(path: Path, marks: Mapping[int, Mark], scanned: ScannedSlide) -> None:
    """Write marks in the order of their numbers, the whole file or nothing.

    Args:
        path: the file.
        marks: marks by number, boxes in level-0 pixels.
        scanned: their slide.

    Raises:
        OutputError: the file cannot be written.
    """
    features = [_feature(marks[number], scanned) for number in sorted(marks)]
    with atomic_text(path) as file:
        file.write('{"type":"FeatureCollection","features":[\n')
        file.write(",\n".join(json.dumps(feature, separators=(",", ":"), allow_nan=False) for feature in features))
        file.write(f"\n],{member_of(scanned.fingerprint, scanned.content)}}}\n")


def _feature(mark: Mark, scanned: ScannedSlide) -> dict[str, object]:
    name, colour = scanned.class_names[mark.label], colour_of(mark.label)
    if mark.verdict is Verdict.REJECTED:
        name, colour = IGNORED_CLASS, IGNORED_COLOUR
    left, top = scanned.origin
    x0, y0, x1, y1 = (round(edge - start, 2) for edge, start in zip(mark.box, (left, top, left, top), strict=True))
    # Not the detection's id: QuPath refuses two objects with the same id, and may show the detections as well.
    identity = f"{scanned.model_sha256}:mark:{mark.label}:{name}:{mark.box}"
    return {
        "type": "Feature",
        "id": mark_id(scanned.fingerprint, identity),
        "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
        "properties": {
            "objectType": "annotation",
            "classification": classification(name, colour),
            "measurements": {} if math.isnan(mark.score) else {"Score": round(mark.score, 4)},
        },
    }


def read_marks(path: Path, scanned: ScannedSlide, detections: Detections) -> dict[int, Mark]:
    """Read marks back, by number: a mark of a detection has the detection's number.

    Marks that belong to no detection (drawn, changed in QuPath, or made on another model's results) get higher numbers.
    A polygon becomes the box around it.

    Args:
        path: the file; without it there are no marks.
        scanned: their slide.
        detections: its detections in the order of their numbers, boxes in level-0 pixels.

    Raises:
        AnnotationError: the file cannot be read, holds marks of another slide, or holds objects that would be lost when
            it is written again.
    """
    if not path.exists():
        return {}
    check_marked_slide(path, scanned.fingerprint, options=("out",))
    read = read_geojson(path)
    labels = {name.strip(): label for label, name in enumerate(scanned.class_names)}
    marked = interpret(read, (scanned.mpp.x, scanned.mpp.y))
    _check_all_can_be_kept(path, marked, labels)
    boxes = (read.boxes + scanned.origin * 2).round(2)
    numbers = _numbers_by_edges(detections, boxes)
    marks: dict[int, Mark] = {}
    further_numbers = count(len(detections))
    objects = zip(boxes.tolist(), read.names, read.scores.tolist(), marked.meaning.tolist(), strict=True)
    for box, name, score, meaning in objects:
        verdict = Verdict.REJECTED if meaning == Meaning.REJECTED else Verdict.ACCEPTED
        label = labels.get(name, 0)
        # Equal boxes are taken in turn. A rejected object has lost its class, so it fits a detection of any.
        candidates = (
            number
            for number in numbers.get(_edges_key(np.array(box)), ())
            if number not in marks and (verdict is Verdict.REJECTED or detections.labels[number] == label)
        )
        number = next(candidates, None)
        if number is not None:
            marks[number] = mark_of_detection(detections, number, verdict)
        else:
            marks[next(further_numbers)] = Mark(box=tuple(box), label=label, verdict=verdict, score=score)
    return marks


def _check_all_can_be_kept(path: Path, marked: MarkedObjects, classes: Container[str]) -> None:
    """Check that the file holds only cells of the model's classes and rejected objects."""
    read = marked.annotations
    named = zip(read.names, marked.meaning.tolist(), strict=True)
    unknown = sorted({name for name, meaning in named if meaning != Meaning.REJECTED and name not in classes})
    points = (read.boxes[:, 2:] <= read.boxes[:, :2]).any()
    if read.regions or read.left_out or unknown or points:
        what = f"objects of the class {unknown[0]!r}" if unknown else "regions, lines, points or other objects"
        message = f"{path}: holds {what}, which the viewer would lose when it saves marks; name another file"
        raise AnnotationError(message, options=("out",))


def _numbers_by_edges(detections: Detections, boxes: NDArray[np.float64]) -> dict[bytes, list[int]]:
    """Numbers of detections by their edges. Only detections that can equal one of the boxes (N, 4) are in it."""
    # The left edge alone rules out nearly all of a million detections, before the loop in Python.
    candidates = np.flatnonzero(np.isin(_hundredths(detections.boxes[:, 0]), _hundredths(boxes[:, 0])))
    numbers: dict[bytes, list[int]] = defaultdict(list)
    for number in candidates.tolist():
        numbers[_edges_key(detections.boxes[number])].append(number)
    return numbers


def _edges_key(box: NDArray[np.float64]) -> bytes:
    return _hundredths(box).tobytes()


def _hundredths(edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(edges * 100).astype(np.int64)

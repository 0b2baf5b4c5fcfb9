"""Write marks as GeoJSON that QuPath opens, and read them back.

Cells, detected or drawn, are annotations of the model's class; rejected detections have the class `Ignore*`, QuPath's
name for objects that do not count; regions have the classes `Reviewed region`, `Normal region` and `Positive region`.
Detections without a verdict are detection objects with their id and score, as in the GeoJSON file of detections, so
that the file says which were looked at and which were not; they are left out as long as nobody gave a verdict, and
boxes were only added. Everything else that stands in the file, such as other regions and classes of QuPath, is kept as
it is. Coordinates count from the point that QuPath takes as (0, 0). The file says which slide it is of, whatever its
name, and at its end how many marks it has (`signetscan.annotations.marked_slide`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import IGNORED_CLASS, NORMAL_REGION, POSITIVE_REGION, REVIEWED_REGION
from signetscan.annotations.marked_slide import MarkTally, mark_id, member_of
from signetscan.atomic import part_path
from signetscan.formats.colours import IGNORED_COLOUR, REGION_COLOURS, colour_of
from signetscan.formats.geojson import detection_features
from signetscan.viewer.marks import Mark, Verdict
from signetscan.viewer.merging import said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from signetscan.boxes import Box
    from signetscan.detections import Detections
    from signetscan.formats.colours import Colour
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.json_values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object of a file that is a mark."""

    mark: Mark
    """What it says."""
    feature: Json
    """The object as it stands there, with all that the mark does not tell: its outline, name and measurements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedMarks:
    """What a file of marks holds."""

    marks: dict[int, Mark] = field(default_factory=dict)
    """The marks by number. Boxes in level-0 pixels."""
    stored: dict[int, Stored] = field(default_factory=dict)
    """The objects of the file that are marks, by number. It is kept as it is until its mark changes."""
    others: tuple[Json, ...] = ()
    """All other objects that somebody may have drawn."""
    lists_detections: bool = False
    """Whether it has detections without a verdict."""
    outdated: int = 0
    """Number of detections without a verdict that are of another run. They are not kept."""
    unshown: int = 0
    """Number of regions among `others`, which have holes, several parts or very many corners."""

    def tally(self, detections: int, whole: Box | None) -> MarkTally:
        """The numbers of marks.

        Args:
            detections: number of detections, which have the lowest numbers.
            whole: the part of the slide that has pixels, level-0 pixels; None if it is not known.
        """
        cells = [(number, mark.verdict) for number, mark in self.marks.items() if not mark.verdict.is_of_region]
        regions = [mark for mark in self.marks.values() if mark.verdict.is_of_region]
        accepted = [number for number, verdict in cells if verdict is Verdict.ACCEPTED]
        return MarkTally(
            accepted=sum(number < detections for number in accepted),
            rejected=len(cells) - len(accepted),
            added=sum(number >= detections for number in accepted),
            regions=len(regions),
            done=any(mark.verdict is Verdict.REVIEWED and mark.box == whole and not mark.outline for mark in regions),
        )


def write_marks(
    path: Path,
    saved: SavedMarks,
    scanned: ScannedSlide,
    detections: Detections,
    *,
    whole: Box | None = None,
    when_complete: Callable[[Path], None] = lambda _: None,
) -> None:
    """Write marks in the order of their numbers, the whole file or nothing.

    Args:
        path: the file.
        saved: what to write.
        scanned: their slide.
        detections: its detections in the order of their numbers, boxes in level-0 pixels.
        whole: the part of the slide that has pixels, level-0 pixels; None if it is not known.
        when_complete: called with the path of the complete file before it is renamed; what it raises prevents that.

    Raises:
        OutputError: the file cannot be written.
    """
    with part_path(path) as part:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.write('{"type":"FeatureCollection","features":[')
            separator = "\n"
            for text in _features(saved, scanned, detections):
                file.write(separator + text)
                separator = ",\n"
            tally = saved.tally(len(detections), whole)
            file.write(f"\n],{member_of(scanned.fingerprint, scanned.content, tally)}}}\n")
        when_complete(part)


def _features(saved: SavedMarks, scanned: ScannedSlide, detections: Detections) -> Iterator[str]:
    """The text of all objects, some with commas between them."""
    for number in sorted(saved.marks):
        mark, stored = saved.marks[number], saved.stored.get(number)
        is_same = stored is not None and said(stored.mark) == said(mark)
        yield _json(stored.feature if stored is not None and is_same else _feature(mark, scanned))
    yield from map(_json, saved.others)
    verdicts = any(number < len(detections) or mark.verdict.is_of_region for number, mark in saved.marks.items())
    if verdicts or saved.others or saved.lists_detections:
        undecided = np.ones(len(detections), np.bool_)
        undecided[[number for number in saved.marks if number < len(detections)]] = False
        yield from detection_features(
            detections.select(undecided), scanned.class_names, source=scanned.source, origin=scanned.origin
        )


def _feature(mark: Mark, scanned: ScannedSlide) -> dict[str, Json]:
    name, colour = _class_of(mark, scanned)
    left, top = scanned.origin
    x0, y0, x1, y1 = mark.box
    corners = mark.outline or ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    ring: list[Json] = [[round(x - left, 2), round(y - top, 2)] for x, y in (*corners, corners[0])]
    # Not the detection's id: QuPath refuses two objects with the same id, and may show the detections as well.
    identity = f"{scanned.model_sha256}:mark:{mark.label}:{name}:{mark.outline or mark.box}"
    return {
        "type": "Feature",
        "id": mark_id(scanned.fingerprint, identity),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": list(colour)},
            "measurements": {} if math.isnan(mark.score) else {"Score": round(mark.score, 4)},
        },
    }


def _class_of(mark: Mark, scanned: ScannedSlide) -> tuple[str, Colour]:
    """The name and the colour of a mark's class."""
    match mark.verdict:
        case Verdict.ACCEPTED:
            return scanned.class_names[mark.label], colour_of(mark.label)
        case Verdict.REJECTED:
            return IGNORED_CLASS, IGNORED_COLOUR
        case Verdict.REVIEWED:
            return REVIEWED_REGION, REGION_COLOURS[REVIEWED_REGION]
        case Verdict.NORMAL:
            return NORMAL_REGION, REGION_COLOURS[NORMAL_REGION]
        case Verdict.POSITIVE:
            return POSITIVE_REGION, REGION_COLOURS[POSITIVE_REGION]


def _json(value: Json) -> str:
    return json.dumps(_as_strict(value), separators=(",", ":"), allow_nan=False)


def _as_strict(value: Json) -> Json:
    """The same value with texts in place of infinite numbers and of nan, which JSON has not; QuPath reads both."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: _as_strict(part) for key, part in value.items()}
        case list():
            return [_as_strict(part) for part in value]
    return value

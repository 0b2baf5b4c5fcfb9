"""Detections as GeoJSON for QuPath.

The file follows QuPath's own reader (0.4 to 0.7), so that it imports without a warning: one flat FeatureCollection
of `detection` objects (annotations slow QuPath down by the thousand), a classification with both name and colour
(a name alone aborts the import), the score as a measurement, closed rings of positive size, at most two decimals,
compact. Coordinates are level-0 pixels minus the origin of the slide's bounds, because QuPath crops to them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import geojson

from signetscan.outputs.atomic import atomic_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from signetscan.detections import Detections

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://signetscan/detection")
"""Root of the detections' ids."""

COLOURS = ((227, 26, 28), (31, 120, 180), (51, 160, 44), (255, 127, 0), (106, 61, 154), (177, 89, 40))
"""Colour of each label, [r, g, b]; they repeat after the sixth."""


def detection_ids(detections: Detections, class_names: Sequence[str], source: str) -> Iterator[str]:
    """An id for each detection, the same in every run that finds the same box.

    Args:
        detections: boxes in level-0 pixels.
        class_names: name of each label.
        source: what slide and model the detections come from (their fingerprints).
    """
    base = uuid.uuid5(NAMESPACE, source)
    for box, label in zip(detections.boxes.tolist(), detections.labels.tolist(), strict=True):
        place = ",".join(f"{edge:.2f}" for edge in box)
        yield str(uuid.uuid5(base, f"{class_names[label]}:{place}"))


def features(
    detections: Detections, class_names: Sequence[str], ids: Iterator[str], origin: tuple[int, int]
) -> Iterator[geojson.Feature]:
    """One QuPath detection object after another.

    Args:
        detections: boxes in level-0 pixels.
        class_names: name of each label.
        ids: an id for each detection.
        origin: the point that QuPath takes as (0, 0), level-0 pixels.
    """
    classifications = [
        {"name": name, "color": list(COLOURS[label % len(COLOURS)])} for label, name in enumerate(class_names)
    ]
    left, top = origin
    rows = zip(detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), ids, strict=True)
    for (x0, y0, x1, y1), score, label, identity in rows:
        x0, y0, x1, y1 = x0 - left, y0 - top, x1 - left, y1 - top  # noqa: PLW2901 - the same box, moved
        ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        yield geojson.Feature(
            id=identity,
            geometry=geojson.Polygon([ring], precision=2),
            properties={
                "objectType": "detection",
                "classification": classifications[label],
                "measurements": {"Score": round(score, 4)},
            },
        )


def write_geojson(
    path: Path,
    detections: Detections,
    class_names: Sequence[str],
    *,
    source: str,
    origin: tuple[int, int] = (0, 0),
) -> None:
    """Write detections for QuPath, feature by feature, so that memory does not grow with their number.

    Args:
        path: the file to write.
        detections: boxes in level-0 pixels, in the order of the file.
        class_names: name of each label.
        source: what slide and model the detections come from (their fingerprints), for stable ids.
        origin: the point that QuPath takes as (0, 0), level-0 pixels.

    Raises:
        OutputError: the file cannot be written.
    """
    ids = detection_ids(detections, class_names, source)
    with atomic_text(path) as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = "\n"
        for feature in features(detections, class_names, ids, origin):
            file.write(separator + geojson.dumps(feature, separators=(",", ":"), allow_nan=False))
            separator = ",\n"
        file.write("\n]}\n")

"""Detections as GeoJSON for QuPath.

The file follows QuPath's importer (0.4 to 0.7), so that it imports without a warning: one flat FeatureCollection
of `detection` objects (annotations slow QuPath down by the thousand), a classification with both name and colour
(a name alone aborts the import), the score as a measurement, closed rings of positive size, at most two decimals,
compact. Coordinates are level-0 pixels minus the origin of the slide's bounds, because QuPath crops to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import geojson

from signetscan.atomic import atomic_gzip, atomic_text
from signetscan.formats.annotations import classification
from signetscan.formats.blocks import blocks, edges_as_text, filled
from signetscan.formats.colours import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.formats.blocks import RowBlock


def write_geojson(
    path: Path,
    detections: Detections,
    class_names: Sequence[str],
    *,
    source: str,
    origin: tuple[int, int] = (0, 0),
) -> None:
    """Write detections for QuPath, block by block, so that memory does not grow with their number.

    Args:
        path: the file to write; one that ends in `.gz` is gzipped.
        detections: boxes in level-0 pixels, in the order of the file.
        class_names: name of each label.
        source: what slide and model the detections come from (their fingerprints), for stable ids.
        origin: the point that QuPath takes as (0, 0), level-0 pixels.

    Raises:
        OutputError: the file cannot be written.
    """
    templates = [_template(name, label) for label, name in enumerate(class_names)]
    with (atomic_gzip if path.suffix == ".gz" else atomic_text)(path) as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = "\n"
        for block in blocks(detections, class_names, source):
            file.write(separator + _features(block, templates, origin))
            separator = ",\n"
        file.write("\n]}\n")


def _template(name: str, label: int) -> str:
    """The text of a class's detections, with %s for id, the ring's ten numbers and the score.

    It is made by `geojson` from one feature whose values are marks. A name cannot be taken for a mark, because the
    classification comes in last.
    """
    feature = geojson.Feature(
        id="<id>",
        geometry=geojson.Polygon([[(0.0, 0.0)] * 5]),
        properties={
            "objectType": "detection",
            "classification": "<classification>",
            "measurements": {"Score": "<score>"},
        },
    )
    feature["geometry"]["coordinates"] = [[["<x>", "<y>"]] * 5]
    text = _json(feature).replace('"<id>"', '"%s"')
    for mark in ("<x>", "<y>", "<score>"):
        text = text.replace(f'"{mark}"', "%s")
    of_class = _json(classification(name, colour_of(label)))
    return text.replace('"<classification>"', of_class.replace("%", "%%"))


def _json(value: object) -> str:
    text: str = geojson.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def _features(block: RowBlock, templates: Sequence[str], origin: tuple[int, int]) -> str:
    """The QuPath detection objects of a block, with coordinates that count from the origin."""
    detections = block.detections
    edges = edges_as_text(detections.boxes - (origin * 2)) if any(origin) else block.edges
    numbers = _short(edges.replace("\n", ","), 2)
    x0, y0, x1, y1 = (numbers[edge::4] for edge in range(4))
    scores = _short("%.4f," * len(detections) % tuple(detections.scores.tolist()), 4)
    columns = (block.ids, x0, y0, x1, y0, x1, y1, x0, y1, x0, y0, scores)
    return filled([templates[label] for label in detections.labels.tolist()], columns, ",\n")


def _short(numbers: str, decimals: int) -> list[str]:
    """Numbers of so many decimals, each with a comma behind it, as JSON has them: without zeros after the first."""
    for _ in range(decimals - 1):
        numbers = numbers.replace("0,", ",")
    return numbers.split(",")[:-1]

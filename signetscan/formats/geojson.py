"""Detections as GeoJSON for QuPath.

QuPath 0.4 to 0.7 imports the file without a warning: it is one flat FeatureCollection of `detection` objects (thousands
of annotations would slow QuPath down), each with a classification of name and colour (a name alone aborts the import),
the score as a measurement, and a closed ring of positive size with at most two decimals; no spaces. Coordinates are
level-0 pixels minus the origin of the slide's bounds, because QuPath crops to the bounds. What the file says of the
model stands last, so that readers that go line by line know the first line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import geojson

from signetscan.atomic import atomic_gzip, atomic_text
from signetscan.formats.annotations import classification
from signetscan.formats.blocks import blocks, edges_as_text, filled
from signetscan.formats.colours import colour_of
from signetscan.measurements import MEASURES, TISSUE_TITLE, as_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.formats.blocks import RowBlock
    from signetscan.json_values import Json
    from signetscan.slides import Mpp

SIZES = ("Width µm", "Height µm")
"""QuPath's names of the size of a measured cell's box."""


def write_geojson(
    path: Path,
    detections: Detections,
    class_names: Sequence[str],
    *,
    source: str,
    origin: tuple[int, int] = (0, 0),
    about: Mapping[str, Json] | None = None,
    mpp: Mpp | None = None,
) -> None:
    """Write detections for QuPath, block by block, so that memory does not grow with their number.

    Args:
        path: the file to write; one that ends in `.gz` is gzipped.
        detections: boxes in level-0 pixels, in the order of the file.
        class_names: name of each label.
        source: fingerprints of the slide and the model that the detections come from, for stable ids.
        origin: the point that QuPath takes as (0, 0), level-0 pixels.
        about: what the file says of the model, as the member `signetscan`, which QuPath passes over.
        mpp: size of a level-0 pixel, by which the sizes of measured cells are given; without it they are not.

    Raises:
        OutputError: the file cannot be written.
    """
    with (atomic_gzip if path.suffix == ".gz" else atomic_text)(path) as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = "\n"
        for features in detection_features(detections, class_names, source=source, origin=origin, mpp=mpp):
            file.write(separator + features)
            separator = ",\n"
        file.write("\n]}\n" if not about else f'\n],"signetscan":{_json(about)}}}\n')


def detection_features(
    detections: Detections,
    class_names: Sequence[str],
    *,
    source: str,
    origin: tuple[int, int] = (0, 0),
    mpp: Mpp | None = None,
) -> Iterator[str]:
    """The text of detections as QuPath objects, with commas between them, a block at a time. As `write_geojson`."""
    for block in blocks(detections, class_names, source):
        measured = measured_texts(block.detections, mpp)
        has_tissue = block.detections.measured is not None and block.detections.measured.tissue is not None
        templates = [
            _template(name, label, [*measured], has_tissue=has_tissue) for label, name in enumerate(class_names)
        ]
        yield _features(block, templates, origin, list(measured.values()))


def measured_texts(detections: Detections, mpp: Mpp | None) -> dict[str, list[str]]:
    """The measurements of each detection as texts, by QuPath's names; those without a value of some are left out."""
    measured = detections.measured
    if measured is None:
        return {}
    texts: dict[str, list[str]] = {}
    if mpp is not None:
        size = (detections.boxes[:, 2:] - detections.boxes[:, :2]) * (mpp.x, mpp.y)
        texts = {title: [f"{side:.3f}" for side in sides] for title, sides in zip(SIZES, size.T.tolist(), strict=True)}
    values = zip(MEASURES, as_texts(measured.values), strict=True)
    return texts | {measure.title: column for measure, column in values if "" not in column}


def _template(name: str, label: int, measured: Sequence[str] = (), *, has_tissue: bool = False) -> str:
    """The text of a detection of a class, with %s for the id, the ring's ten numbers, the score and measurements.

    The library `geojson` makes it from a feature whose values are markers. The classification is filled in last, so
    that no class name can be taken for a marker.
    """
    feature = geojson.Feature(
        id="<id>",
        geometry=geojson.Polygon([[(0.0, 0.0)] * 5]),
        properties={
            "objectType": "detection",
            "classification": "<classification>",
            "measurements": {"Score": "<score>"} | dict.fromkeys(measured, "<value>"),
            # QuPath's measurements are numbers; for texts it has metadata.
            **({"metadata": "<metadata>"} if has_tissue else {}),
        },
    )
    feature["geometry"]["coordinates"] = [[["<x>", "<y>"]] * 5]
    text = _json(feature).replace('"<id>"', '"%s"')
    for marker in ("<x>", "<y>", "<score>", "<value>", "<metadata>"):
        text = text.replace(f'"{marker}"', "%s")
    of_class = _json(classification(name, colour_of(label)))
    return text.replace('"<classification>"', of_class.replace("%", "%%"))


def _json(value: object) -> str:
    text: str = geojson.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


def _features(
    block: RowBlock, templates: Sequence[str], origin: tuple[int, int], measured: Sequence[Sequence[str]]
) -> str:
    """The detections of a block as QuPath objects, with coordinates that count from the origin."""
    detections = block.detections
    edges = edges_as_text(detections.boxes - (origin * 2)) if any(origin) else block.edges
    numbers = _short(edges.replace("\n", ","), 2)
    x0, y0, x1, y1 = (numbers[edge::4] for edge in range(4))
    scores = _short("%.4f," * len(detections) % tuple(detections.scores.tolist()), 4)
    names = None if detections.measured is None else detections.measured.tissue_names
    tissue = {name: _json({TISSUE_TITLE: name} if name else {}) for name in {*(names or ())}}
    metadata = [] if names is None else [[tissue[name] for name in names]]
    columns = (block.ids, x0, y0, x1, y0, x1, y1, x0, y1, x0, y0, scores, *measured, *metadata)
    return filled([templates[label] for label in detections.labels.tolist()], columns, ",\n")


def _short(numbers: str, decimals: int) -> list[str]:
    """Split numbers, each followed by a comma; drop zeros after the first decimal, as `json` does."""
    # Each pass drops one zero; the first decimal stays, as in 5.0.
    for _ in range(decimals - 1):
        numbers = numbers.replace("0,", ",")
    return numbers.split(",")[:-1]

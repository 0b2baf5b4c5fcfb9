"""Annotations of one image as GeoJSON that QuPath opens and training reads back.

Cells are detection objects, so that a cell class such as `Normal` is never taken for a region.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING

import geojson

from signetscan.annotations import IGNORED_CLASS, NORMAL_REGION, POSITIVE_REGION
from signetscan.atomic import atomic_text
from signetscan.formats.blocks import NAMESPACE
from signetscan.formats.colours import IGNORED_COLOUR, REGION_COLOURS, colour_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.formats.colours import Colour


def write_annotations(
    path: Path,
    size: tuple[int, int],
    boxes: NDArray[Float],
    names: Sequence[str],
    *,
    normal: bool,
    ignored: NDArray[Float] | None = None,
) -> None:
    """Write the annotations of an image that somebody looked through as a whole.

    Args:
        path: the file to write.
        size: width and height of the image, pixels.
        boxes: (N, 4), cells, image pixels.
        names: class name of each cell.
        normal: whether the image is declared to hold no cell.
        ignored: (M, 4), areas in which nothing counts, image pixels; none by default.

    Raises:
        OutputError: the file cannot be written.
    """
    region = NORMAL_REGION if normal else POSITIVE_REGION
    kinds = sorted({name.casefold() for name in names})
    features = [rectangle("annotation", (0, 0, *size), classification(region, REGION_COLOURS[region]))]
    for box, name in zip(boxes.round(2).tolist(), names, strict=True):
        colour = colour_of(kinds.index(name.casefold()))
        features.append(rectangle("detection", box, classification(name, colour)))
    areas = [] if ignored is None else ignored.round(2).tolist()
    features += [rectangle("annotation", box, classification(IGNORED_CLASS, IGNORED_COLOUR)) for box in areas]
    give_ids(features, path.stem)
    with atomic_text(path) as file:
        geojson.dump(geojson.FeatureCollection(features), file, separators=(",", ":"), allow_nan=False)
        file.write("\n")


def rectangle(kind: str, box: tuple[float, ...] | list[float], of_class: Mapping[str, object]) -> geojson.Feature:
    """A rectangle as an object of QuPath.

    Args:
        kind: annotation or detection.
        box: x0, y0, x1, y1 in the file's frame, pixels; rounded to two decimals.
        of_class: its class, from `classification`.
    """
    x0, y0, x1, y1 = box
    ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    return geojson.Feature(
        geometry=geojson.Polygon([ring], precision=2),
        properties={"objectType": kind, "classification": of_class},
    )


def give_ids(features: Iterable[geojson.Feature], source: str) -> None:
    """Give each feature a UUID that is the same whenever the same file is written, and no other feature's.

    Args:
        features: what `rectangle` made, in the order of the file.
        source: the name of the image or slide, so that files of a data set have no id in common.
    """
    seen: Counter[str] = Counter()
    for feature in features:
        properties, (ring,) = feature["properties"], feature["geometry"]["coordinates"]
        corners = ",".join(f"{x:.2f},{y:.2f}" for x, y in ring)
        content = f"{source}:{properties['objectType']}:{properties['classification']['name']}:{corners}"
        seen[content] += 1
        # The same box may be annotated twice; QuPath takes no two objects of one id.
        feature["id"] = str(uuid.uuid5(NAMESPACE, f"{content}:{seen[content]}"))


def classification(name: str, colour: Colour) -> dict[str, object]:
    """A class as QuPath reads it; a class without a colour aborts the import."""
    return {"name": name, "color": list(colour)}

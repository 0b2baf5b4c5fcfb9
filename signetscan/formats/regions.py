"""Regions of tissue as GeoJSON for QuPath.

QuPath imports each region as an annotation: a polygon with its holes, a classification of name and colour, its area and
the mean probability of the scored classes as measurements. Coordinates are level-0 pixels minus the origin of the
slide's bounds, because QuPath crops to the bounds.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING

import geojson
import numpy as np
import shapely

from signetscan.atomic import atomic_text
from signetscan.formats.annotations import classification
from signetscan.formats.blocks import NAMESPACE
from signetscan.scan.regions import regions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.segmented_slide import SegmentedSlide
    from signetscan.json_values import Json
    from signetscan.models.segmentation_spec import Colour
    from signetscan.scan.regions import TissueRegions
    from signetscan.slides import Mpp

AREA, PROBABILITY = "Area mm^2", "Mean probability of scored classes"
"""Names of the measurements, as QuPath shows them."""


def outlines_of(segmented: SegmentedSlide) -> Iterator[TissueRegions]:
    """Outline the regions of a slide, some at a time."""
    return regions_of(segmented.class_map, segmented.outlined, segmented.options, segmented.dimensions)


def write_outlines(path: Path, segmented: SegmentedSlide) -> dict[int, int]:
    """Outline the regions of a slide, and write them for QuPath.

    Args:
        path: the file to write.
        segmented: the slide and its map.

    Returns:
        The number of regions of each label that has any.

    Raises:
        OutputError: the file cannot be written.
    """
    return write_regions(
        path,
        outlines_of(segmented),
        segmented.class_names,
        segmented.class_colours,
        source=segmented.source,
        mpp=segmented.mpp,
        origin=segmented.origin,
        about={
            "model": segmented.model,
            "model_sha256": segmented.model_sha256,
            "learnt_from": segmented.learnt_from,
        },
    )


def write_regions(
    path: Path,
    regions: Iterable[TissueRegions],
    class_names: Sequence[str],
    class_colours: Sequence[Colour],
    *,
    source: str,
    mpp: Mpp,
    origin: tuple[int, int] = (0, 0),
    about: Mapping[str, Json] | None = None,
) -> dict[int, int]:
    """Write regions for QuPath, some at a time, so that memory does not grow with their number.

    Args:
        path: the file to write.
        regions: the regions, level-0 pixels.
        class_names: name of each label.
        class_colours: colour of each label.
        source: fingerprints of the slide and the model that they come from, for stable ids.
        mpp: size of a level-0 pixel.
        origin: the point that QuPath takes as (0, 0), level-0 pixels.
        about: what the file says of the model, as the member `signetscan`, which QuPath passes over.

    Returns:
        The number of regions of each label that has any.

    Raises:
        OutputError: the file cannot be written.
    """
    base = uuid.uuid5(NAMESPACE, source)
    classes = [_json(classification(name, colour)) for name, colour in zip(class_names, class_colours, strict=True)]
    counts: Counter[int] = Counter()
    with atomic_text(path) as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = "\n"
        for some in regions:
            counts.update(some.labels.tolist())
            for feature in _features(some, class_names, classes, base, mpp.x * mpp.y / 1e6, origin):
                file.write(separator + feature)
                separator = ",\n"
        file.write("\n]}\n" if not about else f'\n],"signetscan":{_json(about)}}}\n')
    return dict(counts)


def _features(
    regions: TissueRegions,
    names: Sequence[str],
    classes: Sequence[str],
    base: uuid.UUID,
    pixel_mm2: float,
    origin: tuple[int, int],
) -> Iterator[str]:
    """The text of regions as objects of QuPath."""

    def from_origin(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((corners - origin).round(2))

    places = shapely.to_wkb(regions.polygons)
    shapes = shapely.to_geojson(shapely.transform(regions.polygons, from_origin))
    numbers = zip(regions.labels.tolist(), regions.areas_px.tolist(), regions.probabilities.tolist(), strict=True)
    for place, shape, (label, area, probability) in zip(places.tolist(), shapes.tolist(), numbers, strict=True):
        identity = uuid.uuid5(base, f"region:{names[label]}:{place.hex()}")
        measured = f'"{AREA}":{area * pixel_mm2:.6f},"{PROBABILITY}":{probability:.4f}'
        yield (
            f'{{"type":"Feature","id":"{identity}","geometry":{shape},"properties":{{"objectType":"annotation",'
            f'"classification":{classes[label]},"measurements":{{{measured}}}}}}}'
        )


def _json(value: object) -> str:
    text: str = geojson.dumps(value, separators=(",", ":"), allow_nan=False)
    return text

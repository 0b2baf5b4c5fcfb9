"""The regions of a segmented slide as one picture of labels, which the page colours and lays over the slide."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from signetscan.annotations.features import read_features
from signetscan.annotations.left_out import Unreadable
from signetscan.annotations.shapes import shape_of
from signetscan.errors import ResultError
from signetscan.formats.colours import colour_of
from signetscan.formats.result_files import SUFFIXES, add_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.json_values import Json
    from signetscan.results.run_record import RunRecord

MOST_SIDE = 4096
"""Longest side of the picture, pixels: 16 MB. On a slide of 100,000 px at 0.25 µm, a pixel of it is 6 µm."""
MOST_CLASSES = 254
"""Most classes that a picture of bytes can tell apart."""


class ClassOverlay:
    """The regions of one slide. Safe to use from several threads.

    Args:
        target: path of the results of the segmentation, without suffix.
        record: their run record.

    Raises:
        ResultError: the run record lists no GeoJSON file.
    """

    def __init__(self, target: Path, record: RunRecord) -> None:
        if record.regions is None or "geojson" not in record.files:
            message = f"{target}: its results have no GeoJSON file of regions; segment the slide again with one"
            raise ResultError(message, options=("format",))
        self._path = add_suffix(target, SUFFIXES["geojson"])
        self._record = record
        self._lock = threading.Lock()
        self._picture: bytes | None = None
        self._colours: dict[str, list[int]] = {}
        width, height = record.slide.dimensions
        self._scale = max(width, height, MOST_SIDE) / MOST_SIDE
        self.size = (max(1, round(width / self._scale)), max(1, round(height / self._scale)))
        """Width and height of the picture, which covers the slide."""

    def facts(self) -> dict[str, Json]:
        """What the page needs: the names of the classes and their areas, mm², in the order of the labels."""
        areas = self._record.regions.classes if self._record.regions else ()
        return {
            "model": self._record.model.name,
            "score": self._record.regions.slide_score if self._record.regions else None,
            "classes": [{"name": area.name, "mm2": area.mm2} for area in areas[:MOST_CLASSES]],
        }

    def png(self) -> bytes:
        """The picture: bytes of label + 1 in each pixel, 0 where there is no region. Made when first asked for.

        Raises:
            AnnotationError: the file of regions cannot be read.
        """
        with self._lock:
            if self._picture is None:
                buffer = io.BytesIO()
                Image.fromarray(self._drawn()).save(buffer, "PNG", compress_level=3)
                self._picture = buffer.getvalue()
            return self._picture

    def colours(self) -> list[Json]:
        """The colour of each class, in the order of the labels: that of its regions, as QuPath shows them."""
        self.png()
        names = [area.name for area in (self._record.regions.classes if self._record.regions else ())][:MOST_CLASSES]
        return [[*self._colours.get(name, colour_of(label))] for label, name in enumerate(names)]

    def _drawn(self) -> NDArray[np.uint8]:
        drawn = np.zeros(self.size[::-1], np.uint8)
        for label, rings in self._regions():
            corners = [(ring + self._record.geojson_origin) / self._scale for ring in rings]
            _fill(drawn, corners, label + 1)
        return drawn

    def _regions(self) -> Iterator[tuple[int, tuple[NDArray[np.float64], ...]]]:
        """Label and rings of each polygon; what has no class of the model is no region of its results."""
        classes = self._record.regions.classes if self._record.regions else ()
        labels = {area.name: label for label, area in enumerate(classes[:MOST_CLASSES])}
        for feature in read_features(self._path):
            if not isinstance(feature, dict):
                continue
            geometry, name = feature.get("geometry"), self._class_of(feature)
            if isinstance(geometry, dict) and name in labels:
                try:
                    polygons = shape_of(geometry).polygons
                except Unreadable:
                    continue
                for rings in polygons:
                    yield labels[name], rings

    def _class_of(self, feature: dict[str, Json]) -> str:
        """The name of a feature's class, whose colour is noted; empty if it has none."""
        properties = feature.get("properties")
        given = properties.get("classification") if isinstance(properties, dict) else None
        name = given.get("name") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(name, str):
            return ""
        self._note_colour(name, given.get("color"))
        return name

    def _note_colour(self, name: str, colour: Json) -> None:
        match colour:
            case [int(red), int(green), int(blue)] if all(0 <= part <= 255 for part in (red, green, blue)):
                self._colours.setdefault(name, [red, green, blue])


def _fill(drawn: NDArray[np.uint8], rings: list[NDArray[np.float64]], value: int) -> None:
    """Set the pixels inside a polygon, and not in its holes, to a value. Corners in pixels of the picture."""
    height, width = drawn.shape
    everything = np.concatenate(rings)
    low = np.floor(everything.min(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    high = np.ceil(everything.max(axis=0)).astype(int).clip(0, (width - 1, height - 1))
    mask = Image.new("1", tuple((high - low + 1).tolist()))
    draw = ImageDraw.Draw(mask)
    for number, ring in enumerate(rings):
        # A pixel belongs to a region if its centre does, so corners move by half a pixel.
        points = [(x, y) for x, y in (ring - low - 0.5).tolist()]
        if len(points) > 2:
            draw.polygon(points, fill=int(number == 0))
    part = drawn[low[1] : high[1] + 1, low[0] : high[0] + 1]
    part[np.asarray(mask)] = value

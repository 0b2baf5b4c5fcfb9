"""Files of regions, read back by readers that are not ours."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import pytest
import shapely
import shapely.affinity

from signetscan.formats.class_areas import ClassArea, write_class_areas
from signetscan.formats.regions import write_regions
from signetscan.scan.regions import TissueRegions
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("Background", "Gland: Low", '"High" <b>')
COLOURS = ((200, 200, 200), (255, 127, 0), (227, 26, 28))


def some_regions() -> list[TissueRegions]:
    ring = shapely.Polygon(
        [(100.25, 100), (500, 100), (500, 400), (100.25, 400)], [[(200, 200), (300, 200), (300, 300.5), (200, 300.5)]]
    )
    two = shapely.MultiPolygon([shapely.box(600, 0, 700, 10.5), shapely.box(600, 20, 700, 30)])
    parts = [([ring, shapely.box(200, 200, 300, 300.5)], [1, 2]), ([two], [1])]
    return [
        TissueRegions(
            polygons=np.array(polygons, object),
            labels=np.array(labels),
            areas_px=shapely.area(polygons),
            probabilities=np.full(len(labels), 0.98765),
        )
        for polygons, labels in parts
    ]


def test_the_file_holds_what_qupath_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.regions.geojson"
    counts = write_regions(
        path, some_regions(), NAMES, COLOURS, source="s:m", mpp=Mpp(0.5, 0.25), origin=(100, 50), about={"model": "m"}
    )
    assert counts == {1: 2, 2: 1}
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    assert collection["signetscan"] == {"model": "m"}
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in collection["features"]]
    wanted = [polygon for part in some_regions() for polygon in part.polygons]
    for shape, polygon, feature in zip(shapes, wanted, collection["features"], strict=True):
        assert shape.is_valid
        assert shape.equals(shapely.affinity.translate(polygon, -100, -50))
        properties = feature["properties"]
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert properties["objectType"] == "annotation"
        assert set(properties["classification"]) == {"name", "color"}
        assert properties["measurements"]["Area mm^2"] == pytest.approx(polygon.area * 0.125 / 1e6, abs=1e-6)
        assert properties["measurements"]["Mean probability of scored classes"] == 0.9877
        rings = feature["geometry"]["coordinates"]
        rings = [ring for part in rings for ring in part] if shape.geom_type == "MultiPolygon" else rings
        assert all(ring[0] == ring[-1] for ring in rings)
    classes = [feature["properties"]["classification"] for feature in collection["features"]]
    assert classes[1] == {"name": NAMES[2], "color": list(COLOURS[2])}
    ids = {UUID(feature["id"]) for feature in collection["features"]}
    assert len(ids) == 3
    again = tmp_path / "b.geojson"
    write_regions(again, some_regions(), NAMES, COLOURS, source="s:m", mpp=Mpp(0.5, 0.25))
    assert {UUID(feature["id"]) for feature in json.loads(again.read_text())["features"]} == ids


def test_no_region_makes_an_empty_collection(tmp_path: Path) -> None:
    assert write_regions(tmp_path / "a.geojson", [], NAMES, COLOURS, source="", mpp=Mpp(0.25, 0.25)) == {}
    assert json.loads((tmp_path / "a.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


def test_areas_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_class_areas(path, [ClassArea(name=name, mm2=1.25, share=0.125, regions=3) for name in NAMES])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(NAMES)
    assert rows[0] == {"class": NAMES[0], "mm2": "1.250000", "share_of_tissue": "0.125000", "regions": "3"}

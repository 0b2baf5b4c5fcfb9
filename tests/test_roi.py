"""A region of interest: detections inside are those of a whole scan, and pixels outside are not read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from conftest import ROOT, BlobDetector
from hypothesis import example, given
from hypothesis import strategies as st

from signetscan.annotations.objects import Region
from signetscan.cli.main import cli
from signetscan.errors import AnnotationError
from signetscan.scan.detect import detect_slide
from signetscan.scan.fill import SAMPLE_SIDE
from signetscan.scan.options import ScanOptions
from signetscan.scan.plan import plan_scan
from signetscan.scan.roi import Roi, read_roi
from signetscan.scan.tissue import TissueMask
from signetscan.slides import ArraySlide, SlideAtMpp

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE = ROOT / "tests" / "data" / "sample.svs"

pytestmark = pytest.mark.usefixtures("ready_workers")


def roi_of(*rings: list[list[float]]) -> Roi:
    return Roi(regions=(Region(rings=tuple(np.array(ring, np.float64) for ring in rings), normal=False),))


def corners(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


class Watched(ArraySlide):
    """A slide that records which of its level-0 pixels are read."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__([pixels], mpp=0.25, name="watched")
        self.reads: list[tuple[int, int, int, int]] = []

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        self.reads.append((*location, location[0] + size[0], location[1] + size[1]))
        return super().read_region(location, level, size)


def drawn() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Dark squares on white in a grid, and the boxes of all of them."""
    image = np.full((2400, 3200, 3), 252, np.uint8)
    boxes = []
    for y in range(60, 2300, 110):
        for x in range(60, 3100, 110):
            image[y : y + 40, x : x + 40] = 40
            boxes.append([x, y, x + 40, y + 40])
    return image, np.array(boxes, np.float64)


TRIANGLE = [[500.0, 300.0], [2500.0, 700.0], [900.0, 1900.0], [500.0, 300.0]]
HOLE = corners(900, 800, 1300, 1200)


@pytest.mark.slow
@pytest.mark.parametrize("tissue", [True, False])
@pytest.mark.parametrize("trimmed", [True, False])
def test_objects_inside_are_detected_and_pixels_outside_are_not_read(*, tissue: bool, trimmed: bool) -> None:
    image, boxes = drawn()
    slide, detector = Watched(image), BlobDetector()
    options = ScanOptions(tissue_mask=tissue, trim_tiles=trimmed).resolve(detector)
    found = detect_slide(slide, detector, options, roi=roi_of(TRIANGLE, HOLE)).detections
    shape = shapely.Polygon(TRIANGLE, [HOLE])
    inside = np.array([shape.contains(shapely.Point((x0 + x1) / 2, (y0 + y1) / 2)) for x0, y0, x1, y1 in boxes])
    assert 50 < inside.sum() < len(boxes) / 2
    whole = detect_slide(ArraySlide([image], mpp=0.25), detector, options).detections
    kept = whole.boxes[[shape.contains(shapely.Point((x0 + x1) / 2, (y0 + y1) / 2)) for x0, y0, x1, y1 in whole.boxes]]
    assert sorted(map(tuple, found.boxes.round(1).tolist())) == sorted(map(tuple, kept.round(1).tolist()))
    assert len(found) == inside.sum()
    far = shape.envelope.buffer(260 + 96)  # a tile, and the overlap that it shows more
    tiles = [box for box in slide.reads if (box[2] - box[0]) * (box[3] - box[1]) < image[..., 0].size / 4]
    samples = [box for box in tiles if max(box[2] - box[0], box[3] - box[1]) <= SAMPLE_SIDE]
    assert len(samples) < 50, "a few places, by which the overview is checked against level 0"
    assert len(tiles) > len(samples)
    assert all(far.contains(shapely.box(*box)) for box in tiles if box not in samples)


coordinate = st.floats(-300, 2000, allow_nan=False)


@given(
    st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9),
    st.floats(3, 40),
    st.integers(0, 2**32 - 1),
)
@example([(0.0, 0.0), (8.0, 0.0), (341.0, 16.0)], 3.0, 0)  # narrower than a pixel of the mask
def test_no_part_of_a_region_is_lost_in_the_mask(ring: list[tuple[float, float]], pixel: float, seed: int) -> None:
    roi = roi_of([list(point) for point in ring])
    rows, columns = int(1500 / pixel), int(1700 / pixel)
    everything = np.ones((rows, columns), np.bool_)
    mask = TissueMask(mask=everything, pixel=(pixel, pixel), pixel_um2=1, core=everything, blank=~everything)
    around, within = roi.around(mask).mask, roi.within(mask).mask
    points = np.random.default_rng(seed).uniform(0, (columns * pixel, rows * pixel), (2000, 2))
    held = roi.holds(np.concatenate([points, points], axis=1))
    cells = np.minimum(points // pixel, (columns - 1, rows - 1)).astype(int)
    assert around[cells[held, 1], cells[held, 0]].all()
    assert (around | ~within).all()


def test_the_area_of_tissue_is_that_inside() -> None:
    slide = ArraySlide([np.full((4000, 4000, 3), 120, np.uint8)], mpp=0.5)
    detector = BlobDetector(mpp=0.5)
    options = ScanOptions().resolve(detector)
    roi = roi_of(corners(400, 800, 2400, 2000))
    area = plan_scan(SlideAtMpp(slide, 0.5), options.cut(detector.spec), options, roi).tissue_mm2
    assert area == pytest.approx(1.0 * 0.6, rel=0.03)


def test_a_tiny_region_is_still_scanned() -> None:
    image, _ = drawn()
    detector = BlobDetector()
    roi = roi_of(corners(60 + 110 + 18, 60 + 18, 60 + 110 + 22, 60 + 22))
    found = detect_slide(ArraySlide([image], mpp=0.25), detector, roi=roi).detections
    np.testing.assert_allclose(found.boxes, [[170, 60, 210, 100]], atol=0.5)


def geojson(path: Path, *features: tuple[str, str, object]) -> Path:
    content = [
        {
            "type": "Feature",
            "geometry": {"type": kind, "coordinates": coordinates},
            "properties": {"objectType": role, "classification": {"name": "Positive region"}},
        }
        for role, kind, coordinates in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": content}))
    return path


def test_all_annotations_with_an_area_are_taken_whatever_their_class(tmp_path: Path) -> None:
    square, other = corners(0, 0, 10, 10), corners(20, 20, 30, 40)
    path = geojson(
        tmp_path / "a.geojson",
        ("annotation", "Polygon", [square]),
        ("annotation", "MultiPolygon", [[other], [corners(50, 50, 60, 60), corners(52, 52, 54, 54)]]),
        ("annotation", "LineString", [[0, 0], [5, 5]]),
        ("detection", "Polygon", [corners(70, 70, 80, 80)]),
    )
    roi = read_roi(path, (100, 7))
    boxes = np.array([[x, y, x, y] for x, y in [(105, 12), (125, 35), (151, 58), (153, 60), (175, 82)]], np.float64)
    assert roi.holds(boxes).tolist() == [True, True, True, False, False]
    assert roi.digest != read_roi(path, (0, 0)).digest
    assert roi.digest == read_roi(path, (100, 7)).digest
    empty = geojson(tmp_path / "b.geojson", ("annotation", "LineString", [[0, 0], [5, 5]]))
    with pytest.raises(AnnotationError, match="no annotation with an area"):
        read_roi(empty, (0, 0))


def detect(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["detect", *map(str, arguments), "--device", "cpu"])
    return result.exit_code, result.output


def test_cores_of_a_tissue_microarray_are_regions_unless_missing(tmp_path: Path) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [corners(left, 0, left + 50, 50)], "isEllipse": True},
            "properties": {"objectType": "tmaCore", "isMissing": missing},
        }
        for left, missing in ((0, False), (100, True))
    ]
    path = tmp_path / "cores.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (core,) = read_roi(path, (0, 0)).regions
    assert core.box == (0, 0, 50, 50)


@pytest.mark.slow
def test_detect_keeps_to_a_region_and_scans_again_when_it_changes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    half = geojson(tmp_path / "sample.geojson", ("annotation", "Polygon", [corners(0, 0, 2100, 2120)]))
    assert detect(SAMPLE, "--out", out, "--roi", half)[0] == 0
    record = json.loads((out / "sample.run.json").read_text())
    assert record["roi"]["outlines"] == 1
    part = (out / "sample.csv").read_text().splitlines()
    assert "skipped" in detect(SAMPLE, "--out", out, "--roi", tmp_path, "--json")[1], "the same region, by its folder"
    assert '"done"' in detect(SAMPLE, "--out", out, "--json")[1]
    whole = (out / "sample.csv").read_text().splitlines()
    assert 5 < len(part) < len(whole)


def test_wrong_regions(tmp_path: Path) -> None:
    status, said = detect(SAMPLE, "--out", tmp_path, "--roi", tmp_path / "gone.geojson")
    assert (status, "gone.geojson: no such file" in said) == (2, True)
    half = geojson(tmp_path / "x.geojson", ("annotation", "Polygon", [corners(0, 0, 2100, 2120)]))
    (tmp_path / "other.svs").write_bytes(b"")
    status, said = detect(SAMPLE, tmp_path / "other.svs", "--out", tmp_path / "out", "--roi", half)
    assert (status, "one file for several slides" in " ".join(said.split())) == (2, True)
    (tmp_path / "empty").mkdir()
    status, said = detect(SAMPLE, "--out", tmp_path / "out", "--roi", tmp_path / "empty")
    assert (status, "sample.geojson" in said) == (3, True)
    assert "tried once more" not in said

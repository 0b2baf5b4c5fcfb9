"""What is measured of cells: against a slow way, one by one, and read back from every format."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import BlobDetector
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from run_records import MADE
from scanned_slides import many, scanned

from signetscan.detections import Detections
from signetscan.errors import ResultError, SlideError
from signetscan.formats.csv_file import COLUMNS
from signetscan.formats.writers import write_formats
from signetscan.measurements import MEASURES, NO_TISSUE, Measurements, rounded
from signetscan.results.reading import load_result
from signetscan.results.record_parts import ResultFile
from signetscan.results.run_key import run_key
from signetscan.results.run_record import write_run_record
from signetscan.scan.detect import detect_slide
from signetscan.scan.measure import MOST_SIDE, measure_cells
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, SlideAtMpp
from signetscan.stains import EOSIN, HAEMATOXYLIN

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.scanned_slide import ScannedSlide

NAMES = [measure.column for measure in MEASURES]


def tissue(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(60, 256, (-(-height // 8), -(-width // 8), 3)), np.ones((8, 8, 1)))
    return (coarse[:height, :width] - rng.integers(0, 40, (height, width, 3))).clip(0, 255).astype(np.uint8)


def found(boxes: list[list[float]]) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.ones(count, np.float32),
        labels=np.zeros(count, np.int64),
    )


def slowly(pixels: NDArray[np.uint8], box: tuple[float, ...]) -> list[float]:
    """What is measured on the pixels of a box, by definition."""
    height, width = pixels.shape[:2]
    inside = [
        (row, column)
        for row in range(height)
        for column in range(width)
        if box[0] <= column + 0.5 < box[2] and box[1] <= row + 0.5 < box[3]
    ]
    vectors = np.array([HAEMATOXYLIN, EOSIN, np.cross(HAEMATOXYLIN, EOSIN)])
    vectors = np.array([vector / math.sqrt(sum(vector**2)) for vector in vectors])
    stains, pale, edges = [], [], []
    for row, column in inside:
        density = [-math.log10(max(int(value), 1) / 255) for value in pixels[row, column]]
        stains.append(np.linalg.solve(vectors.T, density)[:2])
        pale.append(min(pixels[row, column]) >= 180)

        def grey(y: int, x: int) -> float:
            red, green, blue = pixels[y, x] if 0 <= y < height and 0 <= x < width else (255, 255, 255)
            return float(0.299 * red + 0.587 * green + 0.114 * blue)

        around = grey(row - 1, column) + grey(row + 1, column) + grey(row, column - 1) + grey(row, column + 1)
        edges.append(4 * grey(row, column) - around)
    haematoxylin, eosin = np.array(stains).T
    return [
        float(np.mean(haematoxylin)),
        float(np.std(haematoxylin)),
        float(np.mean(eosin)),
        float(np.std(eosin)),
        float(np.mean(pale)),
        float(np.var(edges)),
    ]


def test_pixels_are_measured_as_defined() -> None:
    pixels = tissue(70, 90)
    boxes: list[list[float]] = [
        [10, 12, 40, 37],
        [0, 0, 9.6, 8.4],
        [80.2, 61.7, 90, 70],
        [33.5, 20.5, 34.5, 21.5],
        [5, 5, 5.2, 5.3],
    ]
    view = SlideAtMpp(ArraySlide([pixels], mpp=0.5), 0.5)
    measured = measure_cells(view, found(boxes), read_threads=2)
    for row, box in zip(measured.values[:4], boxes, strict=False):
        expected = slowly(pixels, tuple(box))
        np.testing.assert_allclose(row[:5], expected[:5], atol=6e-5)
        assert row[5] == pytest.approx(expected[5], rel=1e-4, abs=0.01)
    assert np.isfinite(measured.values[4]).all(), "a box between pixels has the nearest one"
    assert measured.values[4][[1, 3, 5]].tolist() == [0, 0, 0]


def test_stains_are_told_apart() -> None:
    """A square of each stain alone, of mucin and of glass."""
    squares = np.full((40, 160, 3), 255, np.uint8)
    for start, vector in ((0, HAEMATOXYLIN), (40, EOSIN)):
        unit = vector / np.linalg.norm(vector)
        squares[:, start : start + 40] = np.rint(255 * 10 ** (-0.8 * unit))
    squares[:, 80:120] = (205, 200, 215)
    view = SlideAtMpp(ArraySlide([squares], mpp=0.25), 0.25)
    boxes = [[x + 2.0, 2, x + 38, 38] for x in (0, 40, 80, 120)]
    values = measure_cells(view, found(boxes), read_threads=1).values
    np.testing.assert_allclose(values[:2, 0], [0.8, 0], atol=0.01)
    np.testing.assert_allclose(values[:2, 2], [0, 0.8], atol=0.01)
    assert values[:, 4].tolist() == [0, 0, 1, 1]
    assert values[3, :6].tolist() == [0, 0, 0, 0, 1, 0]


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), max_size=30, unique=True))
def test_the_nearest_neighbour_is_that_of_all_pairs(corners: list[tuple[int, int]]) -> None:
    boxes = [[x, y, x + 20.0, y + 30.0] for x, y in corners]
    view = SlideAtMpp(ArraySlide([np.full((16, 16, 3), 255, np.uint8)], mpp=0.25), 0.25)
    nearest = measure_cells(view, found(boxes), read_threads=1).values[:, -1]
    points = np.array(corners, float).reshape(-1, 2) * 0.25
    for index, point in enumerate(points):
        others = np.delete(points, index, axis=0)
        if len(others):
            assert nearest[index] == pytest.approx(np.hypot(*(others - point).T).min(), abs=0.0051)
        else:
            assert math.isnan(nearest[index])


def test_a_larger_box_is_measured_in_its_middle() -> None:
    pixels = np.full((700, 2000, 3), 255, np.uint8)
    pixels[100:600, 750:1250] = 100
    view = SlideAtMpp(ArraySlide([pixels], mpp=0.5), 0.5)
    (row,) = measure_cells(view, found([[0, 0, 2000, 700]]), read_threads=1).values
    assert row[4] == pytest.approx(1 - 500 * 500 / MOST_SIDE**2, abs=0.001)


@pytest.mark.parametrize(
    "options",
    [
        {"tile_size": 512},
        {"batch_size": 3, "read_threads": 5},
        {"tile_size": 256, "overlap": 128, "trim_tiles": False},
    ],
)
def test_measurements_do_not_depend_on_tiles_batches_or_threads(options: dict[str, int]) -> None:
    rng = np.random.default_rng(4)
    image = np.full((1500, 1700, 3), 250, np.uint8)
    for x, y in rng.permutation([*np.ndindex(12, 10)])[:40] * 130 + 40:
        image[y : y + 60, x : x + 60] = rng.integers(100, 215, (60, 60, 3)) * (1, 0.7, 0.9)
    slide = ArraySlide([image], mpp=0.25)
    usual = detect_slide(slide, BlobDetector(), ScanOptions(measure=True, read_threads=1)).detections
    other = detect_slide(slide, BlobDetector(), ScanOptions(measure=True, **options)).detections  # type: ignore[arg-type]
    assert len(usual) > 10
    assert other.boxes.tolist() == usual.boxes.tolist()
    assert usual.measured is not None
    assert other.measured is not None
    np.testing.assert_array_equal(other.measured.values, usual.measured.values)
    assert detect_slide(slide, BlobDetector()).detections.measured is None


def test_area_that_cannot_be_read_is_white() -> None:
    class Damaged(ArraySlide):
        def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
            if location[0] + size[0] > 300:
                message = "broken"
                raise SlideError(message)
            return super().read_region(location, level, size)

    view = SlideAtMpp(Damaged([np.full((200, 600, 3), 90, np.uint8)], mpp=0.25), 0.25)
    values = measure_cells(view, found([[10, 10, 40, 40], [400, 10, 440, 40]]), read_threads=1).values
    assert values[:, 4].tolist() == [0, 1]


def test_keys_of_results_without_measurements_stay() -> None:
    """Results from before cells could be measured are still done; measured ones depend on the map of tissue too."""
    slide, detector = ArraySlide([np.full((64, 64, 3), 255, np.uint8)], mpp=0.25), BlobDetector()

    def key(tissue: str | None = None, **options: bool) -> str:
        resolved = ScanOptions(read_threads=1, **options).resolve(detector)
        return run_key(slide, "content", detector, resolved, crop_to_bounds=True, tissue=tissue)

    assert key() == "7ddfbd57ef6cb4d99d4bb6540388b795e5d5a5e33ab9522b62fcecd6168d3b74"
    assert len({key(), key(measure=True), key("a" * 64, measure=True), key("b" * 64, measure=True)}) == 4


# ---- files ----------------------------------------------------------------------------------------------------------


def measured_slide(count: int, tissues: tuple[str, ...] = (), **changes: Any) -> ScannedSlide:  # noqa: ANN401
    rng = np.random.default_rng(count)
    slide = many(count, classes=2, **changes)
    values = rounded(rng.uniform(0, 3, (count, len(MEASURES))) * (rng.random((count, len(MEASURES))) > 0.1))
    if count == 1:
        values[:, -1] = np.nan
    in_tissue = rng.integers(-1, len(tissues), count).astype(np.uint8) if tissues else None
    measured = Measurements(values=values, tissue=in_tissue, tissues=tissues)
    return replace(slide, detections=replace(slide.detections, measured=measured))


HOSTILE = ("=cmd|' /C calc'!A0", 'a, "quoted" 100 %s', "Ünï 胃")


def stored(folder: Path, slide: ScannedSlide, form: str) -> Path:
    paths = {form: folder / f"a.{form}"}
    assert not write_formats(paths, slide)
    labels = slide.detections.labels.tolist()
    record = replace(
        MADE,
        slide=replace(MADE.slide, name="a"),
        model=replace(MADE.model, class_names=slide.class_names),
        options={**MADE.options, "measure": True},
        geojson_origin=slide.origin,
        detections={each: labels.count(label) for label, each in enumerate(slide.class_names)},
        files={form: ResultFile.of(paths[form])},
    )
    write_run_record(folder / "a.run.json", record)
    return folder / "a.run.json"


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
@pytest.mark.parametrize("tissues", [(), HOSTILE])
@pytest.mark.parametrize("form", ["csv", "geojson", "geojson.gz"])
def test_measurements_are_read_back_as_they_were(
    form: str, tissues: tuple[str, ...], count: int, tmp_path: Path
) -> None:
    slide = measured_slide(count, tissues, origin=(0, 0))
    again = load_result(stored(tmp_path, slide, form)).scanned.detections
    first = slide.detections.measured
    assert first is not None
    assert again.measured is not None
    np.testing.assert_array_equal(again.measured.values, first.values)
    assert (again.measured.tissue_names or [""] * count) == (first.tissue_names or [""] * count)


def test_columns_follow_the_others_in_tables(tmp_path: Path) -> None:
    slide = measured_slide(200, HOSTILE)
    write_formats({"csv": tmp_path / "a.csv", "parquet": tmp_path / "a.parquet"}, slide)
    plain = replace(slide, detections=replace(slide.detections, measured=None))
    write_formats({"csv": tmp_path / "plain.csv"}, plain)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [*rows[0]] == [*COLUMNS, *NAMES, "tissue"]
    measured = slide.detections.measured
    assert measured is not None
    names = measured.tissue_names
    assert names is not None
    assert {row["tissue"] for row in rows} == {f"'{HOSTILE[0]}", *HOSTILE[1:], ""}
    table = parquet.read_table(tmp_path / "a.parquet").to_pydict()
    assert table["tissue"] == [name or None for name in names]
    for index, name in enumerate(NAMES):
        expected = measured.values[:, index].tolist()
        assert [float(row[name]) for row in rows] == expected
        assert table[name] == expected
    with (tmp_path / "plain.csv").open(newline="", encoding="utf-8") as file:
        assert [{name: row[name] for name in COLUMNS} for row in rows] == [*csv.DictReader(file)]


def test_qupath_gets_measurements_and_what_the_model_learnt_from(tmp_path: Path) -> None:
    slide = measured_slide(3, ("Gland",), learnt_from="unknown")
    write_formats({"geojson": tmp_path / "a.geojson"}, slide)
    written = json.loads((tmp_path / "a.geojson").read_text())
    measured = slide.detections.measured
    assert measured is not None
    for feature, values, box, tissue_name in zip(
        written["features"], measured.values, slide.detections.boxes, measured.tissue_names or [], strict=True
    ):
        measurements = feature["properties"]["measurements"]
        assert [*measurements] == ["Score", "Width µm", "Height µm", *(measure.title for measure in MEASURES)]
        assert [measurements[measure.title] for measure in MEASURES] == values.tolist()
        assert measurements["Width µm"] == pytest.approx((box[2] - box[0]) * 0.25, abs=0.001)
        assert feature["properties"]["metadata"] == ({"Tissue": tissue_name} if tissue_name else {})
    said = written["signetscan"]
    assert (said["model"], said["model_sha256"], said["learnt_from"]) == ("test", "0" * 64, "not said")
    assert [*said["measurements"]] == [measure.title for measure in MEASURES]
    write_formats({"geojson": tmp_path / "one.geojson"}, measured_slide(1))
    (feature,) = json.loads((tmp_path / "one.geojson").read_text())["features"]
    assert "Nearest neighbour µm" not in feature["properties"]["measurements"], "an only cell has no neighbour"


@pytest.mark.parametrize("form", ["csv", "geojson"])
def test_files_that_lost_their_measurements_are_refused(form: str, tmp_path: Path) -> None:
    plain = many(3)
    record = stored(tmp_path, plain, form)
    if form == "geojson":  # any measurement may be missing, as of an only cell
        text = (tmp_path / "a.geojson").read_text().replace('"Score":', '"Pale share":true,"Score":')
        (tmp_path / "a.geojson").write_text(text)
        labels = plain.detections.labels.tolist()
        made = replace(
            MADE,
            model=replace(MADE.model, class_names=plain.class_names),
            options={**MADE.options, "measure": True},
            geojson_origin=plain.origin,
            detections={each: labels.count(label) for label, each in enumerate(plain.class_names)},
            files={form: ResultFile.of(tmp_path / "a.geojson")},
        )
        write_run_record(record, made)
    with pytest.raises(ResultError, match="does not hold the measurements that its run wrote"):
        load_result(record)


def test_measurements_stay_with_their_detections() -> None:
    slide = measured_slide(6, ("a", "b"))
    detections = slide.detections
    assert detections.measured is not None
    picked = detections.select(np.array([4, 1]))
    assert picked.measured is not None
    np.testing.assert_array_equal(picked.measured.values, detections.measured.values[[4, 1]])
    both = Detections.concatenate([picked, detections.select(np.arange(6) > 3)])
    assert both.measured is not None
    np.testing.assert_array_equal(both.measured.values, detections.measured.values[[4, 1, 4, 5]])
    assert Detections.concatenate([picked, many(2).detections]).measured is None
    assert scanned().detections.measured is None
    with pytest.raises(ValueError, match="do not match"):
        replace(detections, measured=picked.measured)
    with pytest.raises(ValueError, match="do not fit"):
        Measurements(values=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="do not fit"):
        Measurements(values=np.zeros((1, len(MEASURES))), tissue=np.array([3], np.uint8), tissues=("a",))
    assert NO_TISSUE not in range(3)

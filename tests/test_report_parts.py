"""What reports compute, held to the plainest ways of computing it."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import BlobDetector
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from results_for_reports import MPP, SIZE, made_slide, random_detections, written
from run_records import MADE
from skimage.draw import polygon2mask

from signetscan.detections import Detections
from signetscan.errors import ResultError, SlideError
from signetscan.formats.scanned_slide import scanned_slide
from signetscan.reports.crops import make_crops, pick
from signetscan.reports.density_layer import area_density, map_uri
from signetscan.reports.hot_spots import AREA_MM2, SIDE_UM, find_hot_spots
from signetscan.reports.index import CellsEntry
from signetscan.reports.overview import make_overview, outline_path
from signetscan.reports.run_facts import run_facts
from signetscan.reports.scores import LAST, axis_ticks, bars, density_text, first_bin, score_bins
from signetscan.reports.slide_report import tissue_in
from signetscan.results.failures import without_folders
from signetscan.results.run_record import read_run_record
from signetscan.scan.tissue import find_tissue
from signetscan.slides import Bounds, Mpp

if TYPE_CHECKING:
    from pathlib import Path

centres_of = st.lists(st.tuples(st.floats(0, 9000), st.floats(0, 7000)), max_size=60)


# ---- hot spots ------------------------------------------------------------------------------------------------------


def squares(dimensions: tuple[int, int], mpp: Mpp, steps: int) -> list[tuple[float, float, float, float]]:
    """All squares of the grid, one by one."""
    wide, high = SIDE_UM / mpp.x, SIDE_UM / mpp.y
    columns, rows = (
        max(-(-length * steps // side) - steps + 1, 1) for length, side in zip(dimensions, (wide, high), strict=True)
    )
    corners = itertools.product(np.arange(columns) * wide / steps, np.arange(rows) * high / steps)
    return [(x, y, x + wide, y + high) for x, y in corners]


def inside(centres: np.ndarray, box: tuple[float, float, float, float]) -> int:
    x, y = centres.T
    return int(((x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])).sum())


def apart(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] > b[2] - 1e-6 or b[0] > a[2] - 1e-6 or a[1] > b[3] - 1e-6 or b[1] > a[3] - 1e-6


@given(centres_of, st.sampled_from([1, 2, 4]), st.sampled_from([Mpp(0.5, 0.5), Mpp(0.6, 0.4)]))
def test_hot_spots_are_those_that_trying_all_squares_finds(
    points: list[tuple[float, float]], steps: int, mpp: Mpp
) -> None:
    centres = np.array(points).reshape(-1, 2)
    found = find_hot_spots(centres, (9000, 7000), mpp, most=3, steps=steps)
    left = squares((9000, 7000), mpp, steps)
    for spot in found:
        assert spot.count == inside(centres, spot.box) == max(inside(centres, box) for box in left)
        area = (spot.box[2] - spot.box[0]) * mpp.x * (spot.box[3] - spot.box[1]) * mpp.y
        assert area == pytest.approx(AREA_MM2 * 1e6)
        left = [box for box in left if apart(box, spot.box)]
    if len(found) < 3:
        assert all(inside(centres, box) == 0 for box in left)


def test_a_hot_spot_has_its_detections_in_the_middle() -> None:
    centres = np.full((5, 2), (6000.0, 5000.0))
    (spot,) = find_hot_spots(centres, (12_000, 10_000), Mpp(0.5, 0.5), most=3)
    middle = (spot.box[0] + spot.box[2]) / 2, (spot.box[1] + spot.box[3]) / 2
    assert np.abs(np.subtract(middle, (6000, 5000))).max() < SIDE_UM / 0.5 / 16


def test_a_plane_that_is_too_large_gets_a_coarser_grid_or_none() -> None:
    centres = np.array([[1e6, 1e6]])
    (spot,) = find_hot_spots(centres, (1 << 20, 1 << 20), Mpp(1, 1), most=3)
    assert spot.count == inside(centres, spot.box) == 1
    assert find_hot_spots(centres, (1 << 20, 1 << 20), Mpp(1000, 1000), most=3) == []
    assert find_hot_spots(np.empty((0, 2)), (5000, 5000), Mpp(0.5, 0.5), most=3) == []


# ---- scores ---------------------------------------------------------------------------------------------------------


def scored(parts: list[int], labels: list[int] | None = None) -> Detections:
    return Detections(
        boxes=np.tile([0.0, 0, 1, 1], (len(parts), 1)),
        scores=(np.array(parts) / 10_000).astype(np.float32),
        labels=np.array(labels if labels is not None else [0] * len(parts), np.int64),
    )


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 2)), max_size=200))
def test_sums_of_bins_are_what_numpy_counts_from_each_threshold(rows: list[tuple[int, int]]) -> None:
    parts, labels = [part for part, _ in rows], [label for _, label in rows]
    bins = score_bins(scored(parts, labels), 3)
    for hundredth, label in itertools.product(range(LAST + 1), range(3)):
        expected = np.count_nonzero((np.array(parts) >= 100 * hundredth) & (np.array(labels) == label))
        assert bins[label, hundredth:].sum() == expected


def test_the_histogram_starts_at_the_threshold_and_loses_nobody() -> None:
    bins = score_bins(scored([4321, 4399, 5000, 9999, 10_000]), 1)
    assert first_bin(bins, 0.4321) == 43
    shown = bars(bins, 43)
    assert [bar.bin for bar in shown] == list(range(43, 100))
    assert sum(bar.count for bar in shown) == 5
    assert (shown[0].count, shown[-1].count) == (2, 2)
    assert max(bar.height for bar in shown) == 100
    assert first_bin(bins, 0.9) == 43, "scores below the threshold are shown too"
    assert first_bin(score_bins(scored([10_000]), 1), 1.0) == 99


@pytest.mark.parametrize("first", range(100))
def test_marks_of_the_axis_are_few_and_in_place(first: int) -> None:
    ticks = axis_ticks(first)
    assert 1 <= len(ticks) <= 7
    assert (ticks[-1].score, ticks[-1].position) == (1.0, 100.0)
    for tick in ticks:
        assert tick.position == pytest.approx(100 * (tick.score * 100 - first) / (100 - first))


def test_densities_have_three_digits() -> None:
    assert [density_text(*each) for each in ((12_345, 10.0), (123, 10.0), (12, 10.0), (1, 0.0), (1, None))] == [
        "1,234",
        "12.3",
        "1.20",
        "\N{EN DASH}",
        "\N{EN DASH}",
    ]


# ---- overview and density -------------------------------------------------------------------------------------------


def test_the_overview_shows_the_slide_or_its_bounds() -> None:
    whole = make_overview(made_slide())
    assert whole.area.size_um == (SIZE[0] * MPP, SIZE[1] * MPP)
    assert whole.is_readable
    part = make_overview(made_slide(Bounds(300, 300, 3600, 2400)))
    assert np.allclose((part.area.x, part.area.y, part.area.width, part.area.height), (300, 300, 3600, 2400), atol=5)
    assert part.pixels[2:-2, 2:-2].max() < 235, "tissue only"
    assert np.allclose(part.area.per_cent(300 + 900, 300 + 1200), (25, 50), atol=0.2)


def test_bounds_that_lie_outside_the_slide_leave_something_to_show() -> None:
    for bounds in (Bounds(9000, 9000, 100, 100), Bounds(-50, -50, 10, 10), Bounds(0, 0, 1, 1)):
        overview = make_overview(made_slide(bounds))
        assert min(overview.pixels.shape) >= 1
        assert overview.area.width > 0


def test_a_slide_too_damaged_for_an_overview_gets_a_white_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = made_slide()

    def fails(*_: object) -> np.ndarray:
        message = "damaged"
        raise SlideError(message)

    monkeypatch.setattr(slide, "read_region", fails)
    overview = make_overview(slide)
    assert not overview.is_readable
    assert overview.pixels.min() == 255


@pytest.mark.parametrize("bounds", [None, Bounds(600, 500, 3600, 2500)])
def test_the_outline_goes_round_the_tissue(bounds: Bounds | None) -> None:
    slide = made_slide(bounds)
    tissue, area = find_tissue(slide), make_overview(slide).area
    drawn = np.zeros((1000, 1000), bool)
    for part in outline_path(tissue, area).split("Z"):
        points = [[float(number) for number in pair.split()] for pair in part.removeprefix("M").split("L") if pair]
        if points:
            drawn ^= polygon2mask((1000, 1000), np.array(points)[:, ::-1])
    rows = ((np.arange(1000) + 0.5) / 1000 * area.height + area.y) / tissue.pixel[1]
    columns = ((np.arange(1000) + 0.5) / 1000 * area.width + area.x) / tissue.pixel[0]
    rows, columns = (
        np.minimum(each.astype(int), most - 1) for each, most in zip((rows, columns), tissue.mask.shape, strict=True)
    )
    mask = tissue.mask[np.ix_(rows, columns)]
    assert mask.any()
    assert not mask.all()
    assert np.count_nonzero(mask & drawn) / np.count_nonzero(mask | drawn) > 0.99


def test_tissue_in_a_box_is_what_the_mask_has_there() -> None:
    tissue = find_tissue(made_slide())
    assert tissue_in(tissue, (0, 0, *SIZE)) == tissue.area_mm2
    inner = tissue_in(tissue, (1000, 1000, 2000, 2000))
    assert inner == pytest.approx(1.0, rel=0.02), "1 mm2, all of it tissue"
    assert tissue_in(tissue, (-900, -900, 0, 0)) == 0


def test_the_density_sums_up_to_the_detections_and_is_highest_where_they_are() -> None:
    area = make_overview(made_slide()).area
    centres = np.full((40, 2), (3000.0, 1000.0))
    found = area_density(centres, area)
    rows, columns = found.density.shape
    assert found.density.mean() * area.size_um[0] * area.size_um[1] / 1e6 == pytest.approx(40, rel=1e-3)
    row, column = np.unravel_index(found.density.argmax(), found.density.shape)
    assert (row + 0.5) / rows * SIZE[1] == pytest.approx(1000, abs=10)
    assert (column + 0.5) / columns * SIZE[0] == pytest.approx(3000, abs=10)
    spread_mm = found.spread_um / 1000
    assert found.density.max() == pytest.approx(40 / (2 * np.pi * spread_mm**2), rel=0.02), "the peak of a bell"


def test_the_map_is_clear_where_there_is_nothing() -> None:
    area = make_overview(made_slide()).area
    uri = map_uri(area_density(np.full((9, 2), (3000.0, 1000.0)), area).density)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"))
    height, width = picture.shape[:2]
    assert picture[height // 3, width * 3000 // 4200, 3] > 200
    assert picture[height - 5, 5, 3] == 0
    assert len(uri) < 60_000


# ---- single detections ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 50), max_size=70), st.integers(1, 24))
def test_the_best_and_the_borderline_are_picked_once_each(parts: list[int], most: int) -> None:
    scores = (np.array(parts) / 50).astype(np.float32)
    best, borderline = (each.tolist() for each in pick(scores, most))
    order = sorted(range(len(parts)), key=lambda index: -parts[index])
    assert best == order[:most]
    assert borderline == sorted(order[most:], key=lambda index: parts[index])[:most]


def test_crops_show_what_is_there_at_any_size() -> None:
    slide = made_slide()
    boxes = np.array([[1000.0, 1000, 1020, 1020], [0, 0, 4000, 3000], [4190, 2990, 4200, 3000], [0, 0, 1e9, 1e9]])
    found = Detections(boxes=boxes, scores=np.full(4, 0.9, np.float32), labels=np.zeros(4, np.int64))
    *crops, too_large = make_crops(slide, scanned_slide("made", slide, BlobDetector(mpp=MPP), found), np.arange(4))
    assert too_large.uri == "", "nobody reads a square kilometre for a picture"
    assert [(crop.x, crop.y) for crop in crops] == [(1010, 1010), (2000, 1500), (4195, 2995)]
    for crop, middle in zip(crops, ((214, 160, 190), (214, 160, 190), (244, 244, 244)), strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(crop.uri.split(",")[1]))))
        assert pixels.shape == (224, 224, 3)
        assert np.abs(pixels[100:124, 100:124].mean(axis=(0, 1)) - middle).max() < 30


# ---- records and reasons --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [{}, [], {"model": 3}, {"model": {}, "options": [], "tissue_mm2": "much"}])
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: object) -> None:
    (tmp_path / "a.run.json").write_text(json.dumps(record))
    with pytest.raises(ResultError, match=r"a\.run\.json: not a run record"):
        read_run_record(tmp_path / "a.run.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tissue_mm2", math.nan),
        ("tissue_mm2", "much"),
        ("unread_mm2", -1),
        ("unread_px", [[0, 0, math.inf, 1]]),
        ("unread_px", [[0, 0, 1]]),
        ("seconds", {"scan": "long"}),
        ("options", {"threshold": math.nan, "min_tissue": 0}),
    ],
)
def test_values_that_no_run_has_are_refused(tmp_path: Path, key: str, value: object) -> None:
    record = written(tmp_path, random_detections(3)).record
    assert run_facts(record).tissue_mm2 == 9.0
    (tmp_path / "made.run.json").write_text(json.dumps(record.to_json() | {key: value}))
    with pytest.raises(ResultError, match=f"not a run record.*{key}"):
        read_run_record(tmp_path / "made.run.json")


@pytest.mark.parametrize("threshold", [1.5, -0.1, True, "high", None])
def test_a_report_takes_no_threshold_that_no_run_has(threshold: float | str | None) -> None:
    with pytest.raises(ResultError, match="no usable option threshold"):
        run_facts(replace(MADE, options={"threshold": threshold, "min_tissue": 0}))
    with pytest.raises(ResultError, match="no usable option min tissue"):
        run_facts(replace(MADE, options={"threshold": 0.5}))


def test_reasons_name_no_folder() -> None:
    assert without_folders("/data/Smith John/sub/a b.svs: not a slide", "sub/a b") == "a b.svs: not a slide"
    assert without_folders(r"C:\x\a.svs: not a slide", "a") == "a.svs: not a slide"
    assert without_folders("its process ended: a/b", "a") == "its process ended: a/b"
    assert without_folders("a.svs: at x 3", "a") == "a.svs: at x 3"


def test_the_address_of_a_report_is_always_a_path() -> None:
    for name in ("javascript:alert(1)", "a b/c#d?e", "//host/x", '"><img>'):
        address = CellsEntry(model="m", detections={}, report=f"{name}.report.html").address
        assert address.startswith("./")
        assert re.fullmatch(r"[\w./%~-]+", address)

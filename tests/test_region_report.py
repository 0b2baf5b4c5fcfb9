"""The report of a segmented slide: what it computes, held to plain ways of computing it, and the page in a browser."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from results_for_reports import MPP, SIZE, made_slide
from shown_pages import HOSTILE_TEXTS, faint_texts, shown
from skimage.draw import polygon2mask

from signetscan.cli.main import cli
from signetscan.errors import ResultError
from signetscan.formats.class_areas import ClassArea
from signetscan.models.segmenter import load_segmenter
from signetscan.reports.fields import UNITS, bounds_of, boxes_within, field_uri, lines_within
from signetscan.reports.overview import make_overview
from signetscan.reports.regions_report import class_layer, write_regions_report
from signetscan.results.regions_reading import load_regions
from signetscan.results.segmentation import write_segmentation
from signetscan.scan.segment import segment_slide
from signetscan.slides import ArraySlide, Bounds
from signetscan.testing.specs import make_segmentation_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from playwright.sync_api import Browser

    from signetscan.results.regions_reading import StoredRegions


def tissue_slide(bounds: Bounds | None = None) -> ArraySlide:
    """Tissue with two dark glands, one of which has a lumen."""
    slide = made_slide(bounds)
    pixels = slide.read_region((0, 0), 0, SIZE).copy()
    pixels[600:900, 800:1200] = (90, 40, 100)
    pixels[700:780, 900:1000] = (240, 230, 240)
    pixels[1500:2000, 2600:3100] = (40, 20, 60)
    return ArraySlide([pixels], mpp=MPP, name="made", bounds=bounds)


def segmented(folder: Path, slide: ArraySlide, **changes: object) -> StoredRegions:
    """Stored results of a slide, by a model whose contract has some fields changed."""
    spec = make_segmentation_spec(mpp=MPP, **changes)
    segmenter = load_segmenter(write_tiny_segmenter(folder / "tiny.onnx", metadata=spec.to_metadata()))
    write_segmentation(folder / "made.regions", slide, segmenter, segment_slide(slide, segmenter))
    return load_regions(folder / "made.regions.run.json")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredRegions:
    return segmented(tmp_path_factory.mktemp("segmented"), tissue_slide())


@pytest.fixture(scope="module")
def report(stored: StoredRegions) -> Path:
    record = replace(stored.record, unread=((3000.0, 2000.0, 3300.0, 2200.0),), unread_mm2=0.06)
    path = stored.target.with_name("made.regions.report.html")
    write_regions_report(path, tissue_slide(), replace(stored, record=record))
    return path


# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [None, Bounds(200, 100, 3800, 2800)])
def test_what_is_read_back_covers_what_the_map_had(tmp_path: Path, bounds: Bounds | None) -> None:
    stored = segmented(tmp_path, tissue_slide(bounds))
    assert stored.record.geojson_origin == ((0, 0) if bounds is None else (200, 100))
    high = shapely.union_all([shapely.Polygon(ring) for ring in stored.rings[2]])
    assert high.intersects(shapely.Point(2850, 1750)), "in level-0 pixels"
    for rings, area in zip(stored.rings, stored.regions.classes, strict=True):
        signed = sum(abs(shapely.Polygon(ring).area) * (1 if is_outline(ring, rings) else -1) for ring in rings)
        assert signed * MPP**2 / 1e6 == pytest.approx(area.mm2 if rings else 0, abs=0.05)


def is_outline(ring: np.ndarray, rings: tuple[np.ndarray, ...]) -> bool:
    """Whether a ring is no hole: with itself, an odd number contains it."""
    around = [bool(shapely.Polygon(other).contains(shapely.Polygon(ring))) for other in rings]
    return sum(around) % 2 == 1


def test_files_that_are_not_those_of_the_run_are_refused(stored: StoredRegions, tmp_path: Path) -> None:
    for path in stored.target.parent.glob("made.regions.*"):
        shutil.copy(path, tmp_path)
    record = tmp_path / "made.regions.run.json"
    file = tmp_path / "made.regions.geojson"
    text = file.read_text()
    file.write_text(text.replace("0.", "1.", 1))
    with pytest.raises(ResultError, match="not the file that its run wrote"):
        load_regions(record)
    file.unlink()
    with pytest.raises(ResultError, match="cannot be read"):
        load_regions(record)
    facts = json.loads(record.read_text())
    del facts["files"]["geojson"]["sha256"]
    for wrong, said in (
        (text.replace('"High grade"', '"Low grape"'), "has a class that its model does not"),
        (text.replace('"Polygon"', '"LineString"', 1), "feature 1 has coordinates that are not a list"),
    ):
        facts["files"]["geojson"]["bytes"] = len(wrong.encode())
        file.write_text(wrong)
        record.write_text(json.dumps(facts))
        with pytest.raises(ResultError, match=said):
            load_regions(record)
    record.write_text(json.dumps({name: value for name, value in facts.items() if name != "regions"}))
    with pytest.raises(ResultError, match="results of a detection"):
        load_regions(record)


# ---- drawing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [None, Bounds(600, 500, 3000, 2000)])
def test_the_layer_of_a_class_is_where_its_polygons_are(stored: StoredRegions, bounds: Bounds | None) -> None:
    area = make_overview(tissue_slide(bounds)).area
    layer = class_layer(stored.rings[1], area)
    rows, columns = layer.shape
    assert columns / rows == pytest.approx(area.width / area.height, rel=0.01)
    drawn = np.zeros((rows, columns), bool)
    for ring in stored.rings[1]:
        places = (ring - (area.x, area.y)) * (columns / area.width, rows / area.height) - 0.5
        drawn ^= polygon2mask((rows, columns), places[:, ::-1])
    assert 0.01 < drawn.mean() < 0.95
    assert (layer != drawn).mean() < 0.002, "but for pixels whose centre lies on an edge"


corners = st.lists(st.tuples(st.integers(-40, 140), st.integers(-40, 140)), min_size=3, max_size=12, unique=True)


@given(st.lists(corners, max_size=4))
def test_lines_are_the_edges_that_touch_the_square(shapes: list[list[tuple[int, int]]]) -> None:
    rings = [np.array([*shape, shape[0]], np.float64) for shape in shapes]
    found = []
    for line in lines_within(rings, bounds_of(rings), (0, 0, 100, 100)).split("M")[1:]:
        points = [tuple(int(part) * 100 / UNITS for part in pair.split()) for pair in line.split("L")]
        found += list(itertools.pairwise(points))
    edges = [(tuple(a), tuple(b)) for ring in rings for a, b in itertools.pairwise(ring.tolist())]
    square = shapely.box(0, 0, 100, 100)
    for edge in found:
        assert edge in edges
    for edge in edges:
        if shapely.LineString(edge).intersects(square):
            assert edge in found


def test_boxes_are_drawn_in_their_order_and_only_those_inside() -> None:
    boxes = np.array([[10.0, 10, 20, 30], [95, 0, 115, 10], [90, 90, 100, 100], [0, 0, 2, 2]])
    assert boxes_within(boxes, (0, 0, 100, 100), 2) == "M100 100H200V300H100ZM900 900H1000V1000H900Z"


def test_the_picture_of_a_field_shows_the_place() -> None:
    uri = field_uri(tissue_slide(), (2650, 1550, 3050, 1950))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert np.abs(pixels.mean(axis=(0, 1)) - (40, 20, 60)).max() < 8
    assert field_uri(tissue_slide(), (0, 0, 1e9, 1e9)) == "", "nobody reads a square kilometre for a picture"
    corner = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(field_uri(tissue_slide(), (-200, -200, 200, 200))[23:])))
    )
    assert corner[20, 20].min() > 250


# ---- the page --------------------------------------------------------------------------------------------------------


def test_it_says_how_much_of_which_class_there_is(browser: Browser, stored: StoredRegions, report: Path) -> None:
    with shown(browser, report) as page:
        text = page.inner_text("main")
        rows = [row.inner_text().split() for row in page.locator("#classes tbody tr").all()]
        bars = [bar.evaluate("bar => bar.clientWidth") for bar in page.locator("#classes .bar i").all()]
    for said in (
        f"{stored.regions.slide_score:.3f}",
        "Research only, not for diagnosis",
        "10% of the tissue",
        "0.0600 mm²",
    ):
        assert said in text
    areas = [area.mm2 for area in stored.regions.classes]
    for row, area in zip(rows, stored.regions.classes, strict=True):
        assert f"{area.mm2:.2f}" in row
        assert f"{100 * area.share:.1f}%" in row
    assert np.allclose(np.array(bars) / max(bars), np.array(areas) / max(areas), atol=0.02)


def test_classes_can_be_hidden_and_faded_and_fields_found(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        assert page.locator(".layer").count() == 2, "the background has none"
        page.get_by_label("High grade").uncheck()
        assert not page.locator(".class-2").is_visible()
        assert page.locator(".class-1").is_visible()
        page.locator("#opacity").focus()
        page.keyboard.press("End")
        assert page.locator(".class-1").evaluate("layer => getComputedStyle(layer).opacity") == "1"
        fields = page.locator(".fields li")
        assert fields.count() == page.locator(".spot").count() > 1
        page.get_by_label("Edges of regions").uncheck()
        assert not page.locator(".drawn").first.is_visible()
        before = page.locator(".plane").bounding_box()
        fields.first.locator("a").click()
        after = page.locator(".plane").bounding_box()
        assert before is not None
        assert after is not None
        assert after["width"] > 1.5 * before["width"]


def test_the_page_is_for_everybody(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        assert faint_texts(page) == []
        assert page.locator("img:not([alt]), img[alt=''], svg:not([aria-label])").count() == 0
        for box in page.locator("input").all():
            assert box.evaluate("box => box.labels[0].textContent.trim()")
        page.emulate_media(media="print")
        assert not page.locator(".zoom").is_visible()
        assert page.pdf(format="A4").startswith(b"%PDF")
    with shown(browser, report, width=360) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    with shown(browser, report, scripts=False) as page:
        assert not page.locator(".zoom").is_visible()
        page.get_by_label("High grade").uncheck()
        assert not page.locator(".class-2").is_visible()


@pytest.mark.parametrize("hostile", HOSTILE_TEXTS)
def test_hostile_names_are_text(browser: Browser, stored: StoredRegions, tmp_path: Path, hostile: str) -> None:
    named = tuple(replace(area, name=f"{hostile}{index}") for index, area in enumerate(stored.regions.classes))
    regions = replace(stored.regions, classes=named, scored=(named[1].name,), background=hostile)
    record = replace(
        stored.record,
        regions=regions,
        slide=replace(stored.record.slide, name=f"{hostile}.regions"),
        model=replace(stored.record.model, name=hostile, intended_use=hostile),
    )
    path = tmp_path / "page.html"
    write_regions_report(path, tissue_slide(), replace(stored, record=record, regions=regions))
    with shown(browser, path) as page:
        assert page.inner_text("h1") == hostile
        assert f"{hostile}1" in page.inner_text("#classes")
        assert page.locator("script").count() == 1


def test_a_slide_without_tissue_has_a_short_page(browser: Browser, tmp_path: Path) -> None:
    glass = ArraySlide([np.full((900, 1200, 3), 244, np.uint8)], mpp=MPP)
    stored = segmented(tmp_path, glass)
    path = tmp_path / "page.html"
    write_regions_report(path, glass, stored)
    with shown(browser, path) as page:
        assert "No tissue was scanned, so the slide has no score" in page.inner_text("main")
        assert page.locator(".fields").count() == page.locator(".layer").count() == 0


def test_a_record_that_says_less_gives_a_page_all_the_same(
    browser: Browser, stored: StoredRegions, tmp_path: Path
) -> None:
    """Records from before there were fields, and colours in them."""
    classes = tuple(
        ClassArea(name=area.name, mm2=area.mm2, share=area.share, regions=area.regions)
        for area in stored.regions.classes
    )
    regions = replace(stored.regions, classes=classes, fields=(), scored=(), top_share=None, background="")
    path = tmp_path / "page.html"
    write_regions_report(path, tissue_slide(), replace(stored, regions=regions))
    with shown(browser, path) as page:
        assert page.locator(".fields").count() == 0
        assert page.locator("#classes tbody tr").count() == 3


# ---- the commands ----------------------------------------------------------------------------------------------------


class Bench(NamedTuple):
    root: Path
    slides: Path
    segmenter: Path
    detector: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, ready_workers: None) -> Bench:
    root = tmp_path_factory.mktemp("bench")
    (root / "slides").mkdir()
    shutil.copy(small_slide, root / "slides" / "Smith.svs")
    return Bench(root, root / "slides", write_tiny_segmenter(root / "seg.onnx"), write_tiny_model(root / "cells.onnx"))


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.usefixtures("no_settings")
def test_segment_and_report_write_the_same_page(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment = ("segment", bench.slides, "--model", bench.segmenter, "--out", out)
    assert "Reports: " in run(*segment, "--report").stderr
    page = out / "Smith.regions.report.html"
    first = page.read_text()
    page.unlink()
    assert run(*segment, "--report", "--json", "-q").stdout.count('"skipped"') == 1
    again = page.read_text()
    made = run("report", out, "--slide", bench.slides, "--out", tmp_path / "reports").stdout.splitlines()
    assert [line.rpartition("/")[2] for line in made] == ["Smith.regions.report.html", "index.html"]
    third = (tmp_path / "reports" / "Smith.regions.report.html").read_text()

    def plain(text: str) -> list[str]:
        return [line for line in text.splitlines() if " UTC" not in line]

    assert plain(first) == plain(again) == plain(third)
    assert str(tmp_path) not in first
    run(*segment, "--overwrite")
    assert not page.exists(), "a report of other regions is removed"


@pytest.mark.usefixtures("no_settings")
def test_cells_are_counted_in_tissue_where_there_are_results_of_both_kinds(
    browser: Browser, bench: Bench, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("segment", bench.slides, "--model", bench.segmenter, "--out", out)
    detect = ("detect", bench.slides, "--model", bench.detector, "--out", out, "--threshold", 0.1, "--device", "cpu")
    run(*detect, "--report")
    made = run("report", out, "--slide", bench.slides).stdout.splitlines()
    names = ["Smith.report.html", "Smith.regions.report.html", "index.html"]
    assert [line.rpartition("/")[2] for line in made] == names
    counted = json.loads(run("cells", out, "--json").stdout.splitlines()[0])
    expected = [tissue["cells"]["Signet ring cell"] for tissue in counted["tissues"].values()]
    expected.append(counted["outside"]["cells"]["Signet ring cell"])
    assert sum(expected) == counted["cells"] > 0
    for page_name in names[:2]:
        with shown(browser, out / page_name) as page:
            cells = page.locator("#in-tissue tbody tr td:nth-child(3)").all_inner_texts()
            assert cells == [f"{number:,}" for number in expected]
            assert faint_texts(page) == []
    (out / "Smith.regions.classmap.ome.tif").unlink()
    run("report", out, "--slide", bench.slides)
    for page_name in names[:2]:
        text = (out / page_name).read_text()
        assert "they do not fit together" in text
        assert str(tmp_path) not in text


@pytest.mark.usefixtures("no_settings")
def test_pseudonyms_keep_names_out_of_reports_of_regions(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"a secret of many bytes")
    out = tmp_path / "out"
    run(
        *("segment", bench.slides, "--model", bench.segmenter, "--out", out, "--report"),
        *("--pseudonymise", tmp_path / "key"),
    )
    (page,) = out.glob("*.regions.report.html")
    for path in (page, out / "index.html"):
        assert "Smith" not in path.name + path.read_text()


@pytest.mark.usefixtures("no_settings")
def test_a_report_without_outlines_is_refused_before_anything_is_done(bench: Bench, tmp_path: Path) -> None:
    words = (
        "segment",
        bench.slides,
        "--model",
        bench.segmenter,
        "--out",
        tmp_path / "out",
        "--report",
        "--format",
        "csv",
    )
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 2
    assert "a report of regions shows their outlines" in result.stderr
    assert not (tmp_path / "out").exists()

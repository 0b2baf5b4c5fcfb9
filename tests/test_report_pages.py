"""Reports of slides and their index, opened in a real browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from results_for_reports import made_slide, random_detections, written
from run_records import MADE
from shown_pages import HOSTILE_TEXTS, faint_texts, shown

from signetscan.annotations.marked_slide import MarkTally, member_of
from signetscan.detections import Detections
from signetscan.formats.class_areas import ClassArea
from signetscan.reports.index import (
    CellsEntry,
    FailedEntry,
    IndexEntry,
    RegionsEntry,
    ReviewEntry,
    find_entries,
    write_index,
)
from signetscan.reports.page import NOT_DEFINED
from signetscan.reports.slide_report import write_slide_report
from signetscan.results.record_parts import RegionsRecord
from signetscan.results.run_record import write_run_record

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def found() -> Detections:
    return random_detections(4000, classes=2)


@pytest.fixture(scope="module")
def report(found: Detections, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a slide of two classes, part of which could not be read."""
    folder = tmp_path_factory.mktemp("reports")
    stored = written(
        folder, found, class_names=("Signet ring cell", "Mitosis"), unread=((3000.0, 2000.0, 3300.0, 2200.0),)
    )
    path = folder / "made.report.html"
    write_slide_report(path, made_slide(), stored.scanned, stored.record)
    return path


def set_slider(page: Page, hundredths: int) -> None:
    page.locator("#threshold").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        hundredths,
    )


def test_it_says_what_was_found_and_what_it_is_not_for(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        text = page.inner_text("main")
    for said in (
        "4,000",
        "Research only, not for diagnosis",
        "tests of <reports> & more",
        "0.0600 mm²",
        "given by the user",
    ):
        assert said in text
    assert re.search(r"Per mm² of tissue\s+444\b", text), "4000 in 9 mm2"


def test_nothing_in_it_is_named_elsewhere(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", html).replace("http-equiv", ""), "but for pictures' letters"
    assert re.search(r"@import|url\(|<link|<iframe|<form|\son\w+=", html) is None
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='", policy
    )


def test_the_slider_counts_what_numpy_counts(browser: Browser, report: Path, found: Detections) -> None:
    parts = np.rint(found.scores.astype(np.float64) * 10_000)
    with shown(browser, report) as page:
        for hundredths in (30, 31, 57, 70, 99, 100):
            set_slider(page, hundredths)
            counts = [int(((parts >= 100 * hundredths) & (found.labels == label)).sum()) for label in (0, 1)]
            counts.append(sum(counts))
            assert page.locator("[data-count]").all_inner_texts() == [f"{count:,}" for count in counts]
            densities = page.locator("[data-density]").all_inner_texts()
            for density, count in zip(densities, counts, strict=True):
                assert float(density.replace(",", "")) == pytest.approx(count / 9, rel=0.01)
            assert page.locator("output").inner_text() == f"{hundredths / 100:.2f}"
            assert page.locator("#threshold").get_attribute("aria-valuetext") == f"{hundredths / 100:.2f}"
            assert page.locator("rect.under").count() == hundredths - 30


def test_it_can_be_used_by_keyboard(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the overview"
        assert page.locator(".skip").bounding_box()["x"] >= 0, "it can be seen"  # type: ignore[index]
        for name, layer in (
            ("density", ".density"),
            ("outline", ".outline"),
            ("spots", ".spot"),
            ("unread", ".unread"),
        ):
            box = page.locator(f"#show-{name}")
            while page.evaluate("document.activeElement.id") != f"show-{name}":
                page.keyboard.press("Tab")
            assert page.locator(layer).first.is_visible()
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid", "focus is seen"
            page.keyboard.press("Space")
            assert not box.is_checked()
            assert not page.locator(layer).first.is_visible()
        while page.evaluate("document.activeElement.id") != "threshold":
            page.keyboard.press("Tab")
        for _ in range(5):
            page.keyboard.press("ArrowRight")
        assert page.locator("output").inner_text() == "0.35"
        page.keyboard.press("End")
        assert page.locator("output").inner_text() == "1.00"


def plane(page: Page) -> dict[str, float]:
    """The place and size of the slide in the stage, and the size of that."""
    script = """plane => {
      const [outer, inner] = [plane.parentElement, plane.getBoundingClientRect()];
      const frame = outer.getBoundingClientRect();
      return {x: inner.x - frame.x, y: inner.y - frame.y, width: inner.width, height: inner.height,
        wide: outer.clientWidth, high: outer.clientHeight};
    }"""
    return {name: float(value) for name, value in page.locator(".plane").evaluate(script).items()}


def test_the_overview_fills_the_page_and_zooms(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        whole = plane(page)
        assert whole["wide"] > 1140, "of a window of 1200 px"
        assert whole["height"] <= whole["high"] + 1
        assert whole["width"] / whole["height"] == pytest.approx(4200 / 3000, rel=0.01)
        page.get_by_role("button", name="Zoom in").click()
        assert plane(page)["width"] == pytest.approx(1.5 * whole["width"], rel=0.01)
        page.locator(".stage").focus()
        page.keyboard.press("+")
        assert plane(page)["width"] == pytest.approx(2.25 * whole["width"], rel=0.01)
        before = plane(page)["x"]
        page.keyboard.press("ArrowRight")
        assert plane(page)["x"] == pytest.approx(before - 80, abs=1)
        page.keyboard.press("-")
        page.keyboard.press("0")
        assert plane(page) == pytest.approx(whole, abs=1)


def test_the_wheel_and_the_pointer_move_the_overview(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        whole, stage = plane(page), page.locator(".stage")
        stage.click()
        page.mouse.wheel(0, -300)
        page.wait_for_function("document.querySelector('.plane').clientWidth > 1500")
        before, frame = plane(page), stage.bounding_box()
        assert frame is not None
        assert before["x"] + before["width"] / 2 == pytest.approx(before["wide"] / 2, abs=2), "what is pointed at stays"
        page.mouse.down()
        page.mouse.move(frame["x"] + frame["width"] / 2 + 30, frame["y"] + frame["height"] / 2 + 20)
        page.mouse.up()
        assert plane(page)["x"] == pytest.approx(before["x"] + 30, abs=2), "it follows the pointer"
        assert plane(page)["y"] == pytest.approx(before["y"] + 20, abs=2)
        page.get_by_role("button", name="Show the whole slide").click()
        assert plane(page) == pytest.approx(whole, abs=1)


def test_the_wheel_scrolls_the_page_until_the_overview_is_clicked(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        page.locator(".stage").hover()
        before = plane(page)
        page.mouse.wheel(0, 200)
        page.wait_for_function("scrollY > 0")
        assert plane(page)["width"] == before["width"]


def test_hot_spots_and_crops_lead_to_their_place(browser: Browser, report: Path) -> None:
    script = """here => {
      const [mark, frame] = [here.getBoundingClientRect(), here.closest(".stage").getBoundingClientRect()];
      return [mark.x + mark.width / 2 - frame.x, mark.y + mark.height / 2 - frame.y];
    }"""
    with shown(browser, report) as page:
        width = plane(page)["width"]
        for link in (page.locator(".fields a").nth(1), page.locator(".gallery a").nth(3)):
            link.click()
            x, y = (float(part) / 100 for part in (link.get_attribute("data-place") or "").split()[:2])
            slide, (across, down) = plane(page), page.locator(".here").evaluate(script)
            assert slide["width"] > 1.5 * width
            assert across == pytest.approx(slide["x"] + x * slide["width"], abs=1)
            assert down == pytest.approx(slide["y"] + y * slide["height"], abs=1)
            assert 0 <= across <= slide["wide"]
            assert 0 <= down <= slide["high"]
            assert page.evaluate("document.activeElement.className") == "stage"


def test_the_picture_keeps_its_colour_under_the_density(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        assert page.locator(".picture").evaluate("picture => getComputedStyle(picture).filter") == "none"
        page.locator("#opacity").evaluate(
            "slider => { slider.value = 20; slider.dispatchEvent(new Event('input', {bubbles: true})); }"
        )
        assert page.locator(".density").evaluate("layer => getComputedStyle(layer).opacity") == "0.2"


def test_every_picture_has_words_and_every_section_a_name(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        assert page.locator("img:not([alt]), img[alt='']").count() == 0
        assert page.locator("svg:not([aria-label])").count() == 0
        assert page.locator("main").count() == page.locator("h1").count() == page.locator("nav").count() == 1
        for section in page.locator("section").all():
            title = page.locator(f"#{section.get_attribute('aria-labelledby')}")
            assert title.inner_text()
        for box in page.locator("input[type=checkbox]").all():
            assert box.evaluate("box => box.labels[0].textContent.trim()")
        assert page.locator(".gallery li").count() == 48


@pytest.mark.parametrize("kind", ["slide", "index"])
def test_a_phone_needs_no_scrolling_to_the_side(browser: Browser, report: Path, kind: str) -> None:
    path = report
    if kind == "index":
        path = report.with_name("index.html")
        names = {"a" * 150: 3, "Mitosis": 4}
        areas = (ClassArea(name="c" * 90, mm2=1e3, share=1, regions=5),)
        cells = CellsEntry(model="d" * 80, detections=names, tissue_mm2=1e3, threshold=0.123456)
        regions = RegionsEntry(model="e" * 80, score=0.5, areas=areas)
        failed = FailedEntry(what="cells", reason="f" * 180)
        entry = IndexEntry(name="b" * 180, cells=cells, regions=regions, failures=(failed,))
        write_index(path, [entry])
    with shown(browser, path, width=360) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_text_stands_out_from_its_background(browser: Browser, report: Path) -> None:
    with shown(browser, report) as page:
        assert faint_texts(page) == []


def test_it_prints(browser: Browser, report: Path, tmp_path: Path) -> None:
    with shown(browser, report) as page:
        pdf = page.pdf(format="A4")
        page.emulate_media(media="print")
        for hidden in ("#threshold", "#show-density", "nav"):
            assert not page.locator(hidden).is_visible()
        assert page.locator(".stage .picture").is_visible()
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


def test_without_scripts_all_but_the_slider_is_there(browser: Browser, report: Path) -> None:
    with shown(browser, report, scripts=False) as page:
        assert not page.locator("#threshold").is_visible()
        assert not page.locator("[data-count]").first.is_visible()
        page.locator("#show-density").click()
        assert not page.locator(".density").is_visible()
        assert "Signet ring cell" in page.inner_text("#counts")


@pytest.mark.parametrize("hostile", HOSTILE_TEXTS)
def test_hostile_names_are_text(browser: Browser, tmp_path: Path, hostile: str) -> None:
    slide, found = made_slide(), random_detections(60, classes=2)
    stored = written(tmp_path, found, class_names=(hostile, "other"))
    record = replace(
        stored.record,
        slide=replace(stored.record.slide, format_name=hostile),
        model=replace(stored.record.model, name=hostile, intended_use=hostile),
        provider=hostile,
        finished=hostile,
        options={**stored.record.options, hostile: hostile},
        versions={**stored.record.versions, hostile: hostile},
    )
    path = tmp_path / "page.html"
    write_slide_report(path, slide, replace(stored.scanned, name=f"{hostile}.svs"), record)
    with shown(browser, path) as page:
        assert page.inner_text("h1") == f"{hostile}.svs"
        assert hostile in page.inner_text("#counts")
        assert hostile in page.inner_text(".note")
        assert page.locator("script").count() == 1
    cells = CellsEntry(model=hostile, detections={hostile: 1, "other": 2}, report=f"{hostile}.report.html")
    area = ClassArea(name=hostile, mm2=1, share=1, regions=5)
    entries = [
        IndexEntry(name=hostile, cells=cells, regions=RegionsEntry(model="other", score=0.5, areas=(area,))),
        IndexEntry(name="bad", failures=(FailedEntry(what="cells", reason=hostile),)),
    ]
    write_index(tmp_path / "index.html", entries)
    with shown(browser, tmp_path / "index.html") as page:
        assert page.inner_text("td a") == hostile
        assert hostile in page.inner_text("#failed")
        assert hostile in page.inner_text(".models")
        assert page.evaluate("document.querySelector('td a').protocol") == "file:"
        page.locator("th button").first.click()


def test_nothing_found_gives_a_short_page(browser: Browser, tmp_path: Path) -> None:
    stored = written(tmp_path, Detections.empty(), tissue_mm2=0.0)
    path = tmp_path / "page.html"
    write_slide_report(path, made_slide(), stored.scanned, stored.record)
    with shown(browser, path) as page:
        assert "Nothing was detected." in page.inner_text("main")
        assert page.locator("#threshold").count() == page.locator(".gallery").count() == 0
        assert page.locator(".outline").is_visible()


def test_a_million_detections_make_a_small_page(browser: Browser, tmp_path: Path) -> None:
    found = random_detections(1_000_000)
    stored = written(tmp_path, found)
    path = tmp_path / "page.html"
    write_slide_report(path, made_slide(), stored.scanned, stored.record)
    assert path.stat().st_size < 2_000_000
    with shown(browser, path) as page:
        set_slider(page, 65)
        expected = np.count_nonzero(np.rint(found.scores.astype(np.float64) * 10_000) >= 6500)
        assert page.locator("[data-count]").inner_text() == f"{expected:,}"


# ---- the index ------------------------------------------------------------------------------------------------------


def of_cells(number: int, tissue_mm2: float | None, **changes: object) -> CellsEntry:
    entry = CellsEntry(model="m", detections={"cell": number}, tissue_mm2=tissue_mm2, threshold=0.5)
    return replace(entry, **changes)  # type: ignore[arg-type]


def of_regions(score: float | None, mm2: float = 1.0) -> RegionsEntry:
    areas = (ClassArea(name="High grade", mm2=mm2, share=mm2 / 10, regions=2),)
    return RegionsEntry(model="glands", score=score, areas=areas, tissue_mm2=10.0, report="x.regions.report.html")


ENTRIES = [
    IndexEntry(name="b/10", cells=of_cells(40, 2.0, report="b/10.report.html")),
    IndexEntry(name="b/9", cells=of_cells(300, 30.0, unread_mm2=0.25)),
    IndexEntry(name="c", failures=(FailedEntry(what="cells", reason="c.svs: not a slide"),)),
    IndexEntry(name="d", cells=of_cells(1200, None)),
]
BOTH = [
    IndexEntry(name="a", cells=of_cells(40, 2.0, report="a.report.html"), regions=of_regions(0.25)),
    IndexEntry(name="b", regions=of_regions(0.75, mm2=2.5)),
    IndexEntry(name="c", cells=of_cells(7, 1.0, model="other"), regions=of_regions(None, mm2=0)),
    IndexEntry(name="d", cells=of_cells(0, 1.0), failures=(FailedEntry(what="regions", reason="d.svs: no mpp"),)),
]


def names_in(page: Page) -> list[str]:
    shown = page.locator("#slides tbody tr:not([hidden]) .name").all_inner_texts()
    return [each.split("\n")[0].strip() for each in shown]


def test_the_index_is_sorted_by_any_column(browser: Browser, tmp_path: Path) -> None:
    write_index(tmp_path / "index.html", ENTRIES)
    with shown(browser, tmp_path / "index.html") as page:
        assert names_in(page) == ["b/10", "b/9", "d"]
        heads = page.locator("th button")
        heads.nth(0).click()
        assert names_in(page) == ["b/9", "b/10", "d"], "numbers in names count as numbers"
        heads.nth(1).click()
        assert names_in(page) == ["d", "b/9", "b/10"]
        assert page.locator("th").nth(1).get_attribute("aria-sort") == "descending"
        heads.nth(1).focus()
        page.keyboard.press("Enter")
        assert names_in(page) == ["b/10", "b/9", "d"]
        heads.nth(2).click()
        assert names_in(page) == ["b/10", "b/9", "d"], "by density, where there is none last"
        total = page.locator("tfoot td").all_inner_texts()
        assert total == ["All", "1,540", "10.6", "32.00", "0.2500", ""], "the density of slides with a known area"
        assert "c.svs: not a slide" in page.inner_text("#failed")


def test_slides_with_the_highest_score_come_first(browser: Browser, tmp_path: Path) -> None:
    write_index(tmp_path / "index.html", BOTH)
    with shown(browser, tmp_path / "index.html") as page:
        assert faint_texts(page) == []
        assert names_in(page) == ["b", "a", "c", "d"]
        score = page.locator("th", has_text="Score").first
        assert score.get_attribute("aria-sort") == "descending"
        score.locator("button").click()
        assert names_in(page) == ["a", "b", "c", "d"], "those without a score are last either way"
        page.locator("th", has_text="Scored, mm²").locator("button").click()
        assert names_in(page)[0] == "b"
        links = page.locator("#slides tbody tr", has_text="cells").locator("a")
        found = {link.get_attribute("href") for link in links.all()}
        assert found == {"./a.report.html", "./x.regions.report.html"}
        assert "regions" in page.inner_text("#failed")
        assert "d.svs: no mpp" in page.inner_text("#failed")


def test_the_index_is_filtered(browser: Browser, tmp_path: Path) -> None:
    write_index(tmp_path / "index.html", BOTH)
    with shown(browser, tmp_path / "index.html") as page:
        for label, value, names in (
            ("Score from", "0.5", ["b"]),
            ("Score from", "0", ["b", "a"]),
            ("Detections from", "1", ["a", "c"]),
            ("Name contains", "B", ["b"]),
        ):
            page.get_by_label(label).fill(value)
            assert names_in(page) == names
            assert page.inner_text("#filtered") == f"{len(names)} of 4 shown"
            page.get_by_label(label).fill("")
        page.get_by_label("Model").select_option("other")
        assert names_in(page) == ["c"]
        page.get_by_label("Model").press("Enter")
        assert page.locator("#filter-review").count() == 0, "nobody has reviewed anything"


def test_the_index_says_how_far_slides_are_reviewed(browser: Browser, tmp_path: Path) -> None:
    anna = ReviewEntry(reviewer="anna", decided=30, added=2, is_done=False)
    ben = ReviewEntry(reviewer="ben", decided=40, added=0, is_done=True)
    reviews = {"a": (anna, ben), "c": (replace(anna, reviewer="", decided=None, added=0),)}
    write_index(tmp_path / "index.html", [replace(entry, reviews=reviews.get(entry.name, ())) for entry in BOTH])
    with shown(browser, tmp_path / "index.html") as page:
        column = page.locator("thead tr > *").all_inner_texts().index("Review")
        cells = page.locator(f"#slides tbody td:nth-child({column + 1})").all_inner_texts()
        assert cells == [NOT_DEFINED, "anna: 30 of 40, 2 cells added\nben: done", "begun", NOT_DEFINED]
        for value, names in (("none", ["b", "d"]), ("begun", ["c"]), ("done", ["a"])):
            page.get_by_label("Review").select_option(value)
            assert names_in(page) == names


def test_the_index_works_without_scripts(browser: Browser, tmp_path: Path) -> None:
    write_index(tmp_path / "index.html", ENTRIES)
    with shown(browser, tmp_path / "index.html", scripts=False) as page:
        assert names_in(page) == ["b/10", "b/9", "d"]
        assert page.locator("td a").get_attribute("href") == "./b/10.report.html"
        assert not page.locator(".filters").is_visible()


def test_the_index_of_thousands_of_slides_is_a_page_like_others(browser: Browser, tmp_path: Path) -> None:
    entries = [IndexEntry(name=f"slide {index}", cells=of_cells(index, 10.0)) for index in range(5000)]
    write_index(tmp_path / "index.html", entries)
    assert (tmp_path / "index.html").stat().st_size < 2_000_000
    with shown(browser, tmp_path / "index.html") as page:
        page.locator("th button").nth(1).click()
        assert names_in(page)[:2] == ["slide 4999", "slide 4998"]
        page.get_by_label("Name contains").fill("slide 499")
        assert len(names_in(page)) == 11
        assert page.locator("tfoot td").nth(1).inner_text() == f"{sum(range(5000)):,}"


def test_thumbnails_are_those_of_the_reports_and_nothing_else_is(browser: Browser, tmp_path: Path) -> None:
    stored = written(tmp_path, random_detections(5))
    write_slide_report(tmp_path / "made.report.html", made_slide(), stored.scanned, stored.record)
    (entry,) = find_entries(tmp_path)
    write_index(tmp_path / "index.html", [entry])
    with shown(browser, tmp_path / "index.html") as page:
        size = page.locator("tbody img").evaluate("picture => [picture.naturalWidth, picture.naturalHeight]")
        assert size == [112, 80]
    for wrong in ("data:image/svg+xml;base64,AAAA", 'data:image/jpeg;base64,AA"onerror="alert(1)'):
        (tmp_path / "made.report.html").write_text(f'<meta name="signetscan-thumbnail" content="{wrong}">')
        assert find_entries(tmp_path)[0].thumbnail == ""


def test_entries_are_what_lies_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "reports" / "sub").mkdir(parents=True)
    written(tmp_path, random_detections(7), name="sub/a", unread=((0.0, 0.0, 100.0, 100.0),))
    written(tmp_path, random_detections(3, classes=2), name="b", class_names=("x", "y"), tissue_mm2=None)
    area = ClassArea(name="x", mm2=1.5, share=0.5, regions=3)
    other = ClassArea(name="y", mm2=1.5, share=0.5, regions=3)
    regions = RegionsRecord(slide_score=0.5, classes=(area, other), scored=("x",))
    write_run_record(tmp_path / "b.regions.run.json", replace(MADE, regions=regions, options={}))
    (tmp_path / "sub" / "a.report.html").touch()
    (tmp_path / "reports" / "b.report.html").touch()
    (tmp_path / "c.failed.json").write_text(json.dumps({"reason": "/x/y/c.svs: not a slide"}))
    (tmp_path / "c.regions.failed.json").write_text(json.dumps({"reason": "/x/y/c.svs: too dark"}))
    (tmp_path / "d.run.json").write_text("no record")
    tally = MarkTally(accepted=1, rejected=2, added=3, regions=0, done=True)
    marks = '{"type":"FeatureCollection","features":[],' + member_of("f", "", tally) + "}"
    (tmp_path / "b.corrected.anna.geojson").write_text(marks)
    (tmp_path / "b.corrected.geojson").write_text('{"type":"FeatureCollection","features":[]}')
    b, c, d, a = find_entries(tmp_path)
    assert a.cells is not None
    assert (a.name, a.cells.total, a.tissue_mm2, a.unread_mm2) == ("sub/a", 7, 9.0, 0.01)
    assert a.cells.report == "sub/a.report.html"
    assert a.cells.threshold == 0.3
    assert b.cells is not None
    assert (b.name, b.cells.total, set(b.cells.detections), b.cells.tissue_mm2) == ("b", 3, {"x", "y"}, None)
    assert b.cells.report == ""
    assert b.regions is not None
    assert a.review == "none"
    assert b.reviews == (
        ReviewEntry(reviewer="", decided=None, added=0, is_done=False),
        ReviewEntry(reviewer="anna", decided=3, added=3, is_done=True),
    )
    assert (b.regions.score, b.regions.mm2, b.tissue_mm2) == (0.5, 1.5, 1.5)
    assert [(failed.what, failed.reason) for failed in c.failures] == [
        ("cells", "c.svs: not a slide"),
        ("regions", "c.svs: too dark"),
    ]
    assert (c.found, d.name) == ((), "d")
    assert "run record" in d.failures[0].reason
    elsewhere = find_entries(tmp_path, tmp_path / "reports")
    assert [found.report for each in elsewhere for found in each.found] == ["b.report.html", "", ""]


@pytest.mark.parametrize("wrong", ["Infinity", "NaN", "-1", "true", '"3"', "1e999"])
@pytest.mark.parametrize("field", ["tissue_mm2", "unread_mm2", "detections"])
def test_a_number_that_is_none_is_a_damaged_record(tmp_path: Path, field: str, wrong: str) -> None:
    text = json.dumps(MADE.to_json() | {field: {"ring": "<wrong>"} if field == "detections" else "<wrong>"})
    (tmp_path / "a.run.json").write_text(text.replace('"<wrong>"', "0"))
    (entry,) = find_entries(tmp_path)
    assert entry.failures == ()
    (tmp_path / "a.run.json").write_text(text.replace('"<wrong>"', wrong))
    (entry,) = find_entries(tmp_path)
    assert "cannot be read" in entry.failures[0].reason

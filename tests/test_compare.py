"""`signetscan compare`: matching against an oracle, figures, the page, and what is refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from run_records import made_record
from test_dataset_add import CELL, Box, feature, write

from signetscan.cli.main import cli
from signetscan.detections import Detections
from signetscan.errors import AnnotationError, OptionError
from signetscan.evaluation import evaluate, read_results
from signetscan.evaluation.compare import compare_results
from signetscan.evaluation.options import CompareOptions
from signetscan.formats.csv_file import write_csv
from signetscan.reports.comparison import write_comparison
from signetscan.results.run_record import write_run_record
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from playwright.sync_api import Browser

Scored = list[tuple[Box, float]]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


def csv(path: Path, scored: Scored) -> Path:
    """As `signetscan detect` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = Detections(
        boxes=np.array([box for box, _ in scored]).reshape(-1, 4),
        scores=np.array([score for _, score in scored], np.float32),
        labels=np.zeros(len(scored), np.int64),
    )
    write_csv(path, found, (CELL,), source="x", mpp=Mpp(0.25, 0.25))
    return path


def record(path: Path, fingerprint: str, origin: tuple[int, int] = (0, 0)) -> None:
    write_run_record(path, made_record(fingerprint=fingerprint, origin=origin))


# ---- an oracle ------------------------------------------------------------------------------------------------------


def iou_of(a: Box, b: Box) -> float:
    width, height = (max(min(a[axis + 2], b[axis + 2]) - max(a[axis], b[axis]), 0) for axis in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def oracle(a: Scored, b: Scored, iou: float) -> set[tuple[int, int]]:
    """Pairs (of A, of B), one detection of A after the other, best first, each against all of B."""
    taken: set[int] = set()
    pairs = set()
    for index in sorted(range(len(a)), key=lambda index: (-np.float32(a[index][1]), *a[index][0])):
        overlaps = [iou_of(a[index][0], box) for box, _ in b]
        best = int(np.argmax(overlaps)) if b else -1
        if b and overlaps[best] >= iou and best not in taken:
            taken.add(best)
            pairs.add((index, best))
    return pairs


@st.composite
def some_scored(draw: st.DrawFn) -> Scored:
    """Crowded boxes on a coarse grid, so that many overlap and some are equal."""
    scored: dict[Box, float] = {}
    for _ in range(draw(st.integers(0, 14))):
        x, y, w, h = (draw(st.integers(low, high)) * 5 for low, high in ((0, 20), (0, 20), (4, 9), (4, 9)))
        scored[(x, y, x + w, y + h)] = draw(st.integers(1, 99)) / 100
    return list(scored.items())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(some_scored(), some_scored(), st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.sampled_from([0.0, 0.5]))
def test_matches_are_those_of_the_oracle(tmp_path: Path, a: Scored, b: Scored, iou: float, threshold: float) -> None:
    options = CompareOptions(iou=iou, threshold=threshold, reviewer=False)
    comparison = compare_results(csv(tmp_path / "a.csv", a), csv(tmp_path / "b.csv", b), options)
    a, b = ([each for each in side if np.float32(each[1]) >= threshold] for side in (a, b))
    pairs = oracle(a, b, iou)
    (one,) = comparison.slides
    # A tie between cells that are overlapped alike goes to the first of the file, as in the oracle.
    assert {(index, cell) for index, cell in enumerate(one.partner.tolist()) if cell >= 0} == pairs
    figures = comparison.figures()
    assert (figures.a, figures.b, figures.both) == (len(a), len(b), len(pairs))
    assert (figures.only_a, figures.only_b) == (len(one.only_a), len(one.only_b))
    assert len(one.only_a) == len(a) - len(pairs)
    assert sorted(one.only_b.boxes.tolist()) == sorted(
        list(map(float, box)) for index, (box, _) in enumerate(b) if index not in {cell for _, cell in pairs}
    )
    changes = [b[cell][1] - a[index][1] for index, cell in pairs]
    if a or b:
        assert figures.agreement == pytest.approx(2 * len(pairs) / (len(a) + len(b)))
    if changes:
        assert figures.score_change_mean == pytest.approx(np.mean(changes), abs=1e-6)
        assert abs(figures.score_change_largest) == pytest.approx(max(map(abs, changes)), abs=1e-6)
    else:
        assert np.isnan(figures.score_change_mean)


# ---- two runs -------------------------------------------------------------------------------------------------------

FIRST: Scored = [((0, 0, 40, 40), 0.9), ((100, 0, 140, 40), 0.8), ((200, 0, 240, 40), 0.3)]
SECOND: Scored = [((2, 0, 42, 40), 0.7), ((100, 0, 140, 40), 0.9), ((300, 0, 340, 40), 0.6)]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs on a slide; each has one that the other has not."""
    for folder, scored, alone in (("old", FIRST, "b"), ("new", SECOND, "c")):
        csv(tmp_path / folder / "s.csv", scored)
        record(tmp_path / folder / "s.run.json", "same")
        csv(tmp_path / folder / f"{alone}.csv", scored)
    return tmp_path / "old", tmp_path / "new"


def test_the_table_of_two_runs(runs: tuple[Path, Path]) -> None:
    result = run(*runs)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["slide", "A", "B", "both", "only", "A", "only", "B", "agreement", "mean", "change", "largest", "change"],
        ["s", "3", "3", "2", "1", "1", "0.6667", "-0.0500", "-0.2000"],
    ]
    assert result.stderr.splitlines() == [
        "Note: Left out, in A only: 1, namely b.csv",
        "Note: Left out, in B only: 1, namely c.csv",
    ]
    assert run(*runs, "--quiet").stderr == ""


def test_json_is_a_line_a_slide(runs: tuple[Path, Path]) -> None:
    csv(runs[0] / "t.csv", [])
    csv(runs[1] / "t.csv", [])
    lines = run(*runs, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "slide": "s",
            "a": 3,
            "b": 3,
            "both": 2,
            "only_a": 1,
            "only_b": 1,
            "agreement": 0.666667,
            "score_change_mean": -0.05,
            "score_change_largest": -0.2,
        },
        {
            "slide": "t",
            "a": 0,
            "b": 0,
            "both": 0,
            "only_a": 0,
            "only_b": 0,
            "agreement": None,
            "score_change_mean": None,
            "score_change_largest": None,
        },
    ]
    assert run(*runs).stdout.splitlines()[-1].split()[:4] == ["all", "3", "3", "2"]


def test_the_same_twice_agrees(runs: tuple[Path, Path]) -> None:
    shown = json.loads(run(runs[0] / "s.csv", runs[0] / "s.csv", "--json").stdout)
    assert (shown["both"], shown["agreement"], shown["score_change_largest"]) == (3, 1, 0)


def test_runs_that_count_from_other_corners_meet(tmp_path: Path) -> None:
    """One run cropped to the slide's bounds and one did not; a reader's file is as the run it is compared with."""
    boxes = [feature((100, 50, 140, 90), CELL, "detection", 0.5)]
    moved = [feature((0, 0, 40, 40), CELL, "detection", 0.5)]
    for name, features, origin in (("plain", boxes, (0, 0)), ("cropped", moved, (100, 50))):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "s.geojson", *features)
        record(tmp_path / name / "s.run.json", "same", origin)
    reader = write(tmp_path / "reader.geojson", feature((0, 0, 40, 40)))
    csv_file = csv(tmp_path / "level0.csv", [((100, 50, 140, 90), 0.4)])
    plain, cropped = tmp_path / "plain" / "s.geojson", tmp_path / "cropped" / "s.geojson"
    for a, b in ((plain, cropped), (cropped, plain), (cropped, reader), (csv_file, cropped), (cropped, csv_file)):
        assert json.loads(run(a, b, "--json").stdout)["both"] == 1, (a, b)
    assert json.loads(run(cropped, reader, "--json", "--no-bounds-crop").stdout)["both"] == 0


# ---- a run and a reader ---------------------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path: Path) -> tuple[Path, Path]:
    """A run and a reader who looked through two regions: a cell found, a false alarm, and a detection outside."""
    scored: Scored = [((10, 10, 50, 50), 0.9), ((310, 10, 350, 50), 0.6), ((700, 0, 740, 40), 1)]
    found = csv(tmp_path / "found" / "s.csv", scored)
    reader = write(
        tmp_path / "reader.geojson",
        feature((0, 0, 200, 200), "Positive region"),
        feature((300, 0, 500, 200), "Normal region"),
        feature((12, 10, 52, 50)),
        feature((100, 100, 140, 140)),
        feature((310, 10, 350, 50), "Ignore*"),
        feature((312, 10, 352, 50), CELL, "detection", 0.6),  # under what was rejected
        feature((11, 10, 51, 50), CELL, "detection", 0.9),  # under an annotated cell
        feature((400, 100, 440, 140), CELL, "detection", 0.2),  # in a normal region
        feature((900, 900, 940, 940)),
    )
    return found, reader


def test_a_run_is_judged_by_a_reader(read: tuple[Path, Path]) -> None:
    shown = json.loads(run(*read, "--json").stdout)
    assert shown == {
        "slide": "s",
        "a": 2,
        "b": 2,
        "both": 1,
        "only_a": 1,
        "only_b": 1,
        "agreement": 0.5,
        "recall": 0.5,
        "precision": 1,
        "froc": 0.5,
        "fps_score": 99,
    }
    notes = run(*read).stderr
    assert "Predictions left out, outside all regions: 1, namely s.csv" in notes


def test_figures_against_a_reader_are_those_of_evaluate(tmp_path: Path, read: tuple[Path, Path]) -> None:
    found, reader = read
    content = json.loads(reader.read_text())
    texts = map(json.dumps, content["features"])
    content["features"] = [json.loads(text) for text in texts if "Ignore*" not in text and "Score" not in text]
    reader.write_text(json.dumps(content))
    for threshold in (0.0, 0.7):
        comparison = compare_results(found, reader, CompareOptions(threshold=threshold))
        expected = evaluate(read_results(found, reader).results, threshold)
        assert comparison.by_reviewer
        assert comparison.figures().scores == expected
    assert compare_results(found, reader, CompareOptions(reviewer=False)).figures().scores is None


def test_a_reader_without_regions_and_one_who_found_nothing(tmp_path: Path) -> None:
    found = csv(tmp_path / "s.csv", FIRST)
    shown = json.loads(run(found, write(tmp_path / "r.geojson", feature((0, 0, 40, 40))), "--json").stdout)
    assert (shown["both"], shown["recall"], shown["precision"], shown["froc"]) == (1, 1, pytest.approx(1 / 3), None)
    nothing = write(tmp_path / "n.geojson", feature((0, 0, 40, 40), "Rejected"))
    shown = json.loads(run(found, nothing, "--json").stdout)
    assert (shown["only_a"], shown["recall"], shown["fps_score"]) == (3, None, 97)


# ---- the page -------------------------------------------------------------------------------------------------------


def make_slide(path: Path) -> Path:
    pixels = np.full((300, 400, 3), 230, np.uint8)
    for x, *_ in (box for box, _ in [*FIRST, *SECOND]):
        pixels[0:40, int(x) : int(x) + 40] = (120, 60, 140)
    Image.fromarray(pixels).save(path)
    return path


def pictures(page: str) -> list[str]:
    return re.findall(r'<img src="(data:image/jpeg;base64,[^"]+)"', page)


def test_the_page_shows_what_one_side_alone_has(runs: tuple[Path, Path], tmp_path: Path) -> None:
    slide = make_slide(tmp_path / "s.png")
    for side in runs:
        (side / "s.run.json").unlink()
    result = run(*runs, "--out", tmp_path / "out", "--slide", slide)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"  {tmp_path / 'out' / 'comparison.html'}"
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert len(pictures(page)) == 2
    assert "s at x 200, y 0 px" in page
    assert "s at x 300, y 0 px" in page
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", page).replace("http-equiv", ""), "but for pictures' letters"
    assert "A: old. B: new." in page
    assert str(tmp_path) not in page, "nor does it tell where files are"
    none = run(*runs, "--out", tmp_path / "out", "--slide", slide, "--pictures", 0)
    assert none.exit_code == 0
    assert pictures((tmp_path / "out" / "comparison.html").read_text()) == []


def test_the_highest_scores_are_shown_first_and_no_more_than_asked(tmp_path: Path) -> None:
    slide = make_slide(tmp_path / "s.png")
    many: Scored = [((x, y, x + 8, y + 8), (x + y) / 1000) for x in range(0, 400, 20) for y in range(0, 300, 20)]
    a, b = csv(tmp_path / "s.csv", many), csv(tmp_path / "b.csv", [((0, 0, 5000, 200), 0.9)])
    comparison = compare_results(a, b)
    page = write_comparison(tmp_path, comparison, a="A", b="B", slides={"s": slide}, limit=5).read_text()
    scores = [float(text) for text in re.findall(r"<b>([\d.]+)</b>", page)]
    assert scores == [0.66, 0.64, 0.64, 0.62, 0.62]
    assert "Shown: 5 of 300" in page
    assert "There are none" in page, "a box as large as a slide is not shown"


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    a = csv(tmp_path / "a" / "x&y.csv", FIRST)
    b = csv(tmp_path / "b" / "x&y.csv", SECOND)
    comparison = compare_results(a.parent, b.parent)
    page = write_comparison(tmp_path, comparison, a=evil, b="B", slides={}).read_text()
    assert "<script" not in page
    assert "x&amp;y" in page
    assert "name the slides" in page, "it says how to get pictures"


def test_slides_are_found_by_name_where_no_record_is(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """Those that are not there are said, and the rest is shown."""
    import tifffile

    (tmp_path / "slides").mkdir()
    tifffile.imwrite(tmp_path / "slides" / "t.tif", np.full((256, 320, 3), 200, np.uint8), tile=(64, 64))
    for side, scored in zip(runs, (FIRST, SECOND), strict=True):
        csv(side / "t.csv", scored)
    result = run(*runs, "--out", tmp_path / "out", "--slide", tmp_path / "slides")
    assert result.exit_code == 0, result.output
    assert "no pictures of s: " in result.stderr
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert len(pictures(page)) == 2
    assert "pictures are from\n1 of 2 slides" in page


def test_the_page_in_a_browser(read: tuple[Path, Path], tmp_path: Path, browser: Browser) -> None:
    slide = make_slide(tmp_path / "s.png")
    result = run(*read, "--out", tmp_path / "out", "--slide", slide)
    assert result.exit_code == 0, result.output
    tab = browser.new_page(viewport={"width": 420, "height": 800})
    problems: list[Any] = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    tab.goto((tmp_path / "out" / "comparison.html").as_uri())
    assert problems == []
    assert tab.locator(".gallery img").count() == 2
    assert tab.evaluate("[...document.images].every(image => image.naturalWidth === 224)")
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "no part is cut off on a phone"
    assert tab.locator("h3").all_inner_texts() == ["Only in A", "Only in B"]
    tab.close()


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    def refused(said: str, *words: object, status: int = 1) -> None:
        result = run(*words)
        assert (result.exit_code, result.stdout) == (status, ""), result.output
        assert said in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr

    old, new = runs
    (tmp_path / "none").mkdir()
    other = csv(tmp_path / "other" / "z.csv", FIRST).parent
    refused("no such file or folder", old, tmp_path / "no")
    refused("has no file of boxes", old, tmp_path / "none")
    refused("no file has the name of one in", old, other)
    refused("not an annotation file", old / "s.csv", make_slide(tmp_path / "p.png"))
    refused("--out", old, new, "--slide", tmp_path, status=2)
    refused("0.0 is not in the range 0<x<=1", old, new, "--iou", 0, status=2)
    refused("2.0 is not in the range 0<=x<=1", old, new, "--threshold", 2, status=2)
    refused("no object of the class 'goblet'", old, new, "--class", "goblet")
    record(new / "s.run.json", "other")
    refused("are of different slides", old, new)
    (new / "s.run.json").write_text("[" * 10**5)
    refused("not a run record", old, new)
    refused("a file, not a folder", old, old, "--out", old / "s.csv")


def test_options_are_checked() -> None:
    for wrong in ({"iou": 0.0}, {"iou": float("nan")}, {"threshold": -0.1}):
        with pytest.raises(OptionError):
            CompareOptions(**wrong)  # type: ignore[arg-type]


def test_cells_in_a_normal_region_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    reader = write(tmp_path / "r.geojson", feature((0, 0, 200, 200), "Normal region"), feature((10, 10, 50, 50)))
    with pytest.raises(AnnotationError, match=re.escape(str(reader))):
        compare_results(csv(tmp_path / "s.csv", FIRST), reader)

"""A folder of results, with failures, corrections and folders below it, as each of its readers takes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT, BlobDetector
from hypothesis import given
from hypothesis import strategies as st
from served_viewer import one_viewer

from signetscan.annotations import read_geojson
from signetscan.cli.main import cli
from signetscan.detections import Detections
from signetscan.errors import ResultError
from signetscan.evaluation import read_results
from signetscan.evaluation.compare import compare_results
from signetscan.evaluation.options import CompareOptions
from signetscan.formats.result_files import ALL_SUFFIXES
from signetscan.reports.from_results import report_results
from signetscan.reports.index import find_entries
from signetscan.results.converting import convert_results
from signetscan.results.failures import Failure, forget_failure, read_failure, write_failure
from signetscan.results.folder import (
    failed_slides,
    failures_in_words,
    find_results,
    list_slides,
    pair_names,
    target_of,
)
from signetscan.results.writing import write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide
from signetscan.suffixes import NOT_SLIDES
from signetscan.viewer import open_viewer

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = ROOT / "tests" / "data" / "sample.svs"
CELL = (100.0, 200.0, 130.0, 240.0)
OTHER_CELL = (500.0, 600.0, 540.0, 650.0)


def scan(folder: Path, name: str, *boxes: tuple[float, float, float, float]) -> None:
    """Results of the sample slide as if a model had found some boxes."""
    detector = BlobDetector()
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    result = SlideResult(
        detections=Detections(
            boxes=np.array(boxes, np.float64).reshape(-1, 4),
            scores=np.full(len(boxes), 0.75, np.float32),
            labels=np.zeros(len(boxes), np.int64),
        ),
        options=ScanOptions().resolve(detector),
        tiles=1,
        tiles_scanned=1,
        tissue_mm2=1.0,
    )
    with open_slide(SAMPLE) as slide:
        write_results(target, slide, detector, result)


def truth(path: Path, *boxes: tuple[float, float, float, float]) -> None:
    """What a reviewer annotated, in QuPath."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = []
    for x0, y0, x1, y1 in boxes:
        ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        properties = {"objectType": "annotation", "classification": {"name": "Signet ring cell", "color": [1, 2, 3]}}
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two slides, one in a folder below, with corrections; and two failures, one beside older results."""
    folder = tmp_path / "results"
    scan(folder, "a", CELL)
    scan(folder, "ward/b", CELL, OTHER_CELL)
    truth(folder / "ward" / "b.corrected.geojson", CELL)
    scan(folder, "stale", CELL)
    write_failure(folder, "stale", "the file is damaged", attempts=2)
    write_failure(folder, "ward/bad", "/somebody/bad.svs: not a slide", attempts=2)
    return folder


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """The truth of all four slides; the names do not repeat the folders."""
    for name in ("a", "b", "stale", "bad"):
        truth(tmp_path / "truth" / f"{name}.geojson", CELL)
    return tmp_path / "truth"


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, result.stdout, result.stderr


# ---- the folder -----------------------------------------------------------------------------------------------------


def test_slides_of_a_folder_with_what_belongs_to_each(results: Path) -> None:
    slides = {slide.name: slide for slide in list_slides(results)}
    assert list(slides) == ["a", "stale", "ward/b", "ward/bad"]
    assert slides["ward/b"].corrections == results / "ward" / "b.corrected.geojson"
    assert slides["a"].corrections is None
    assert [slide.why_failed for slide in slides.values()] == ["", "the file is damaged", "", "bad.svs: not a slide"]
    assert slides["ward/bad"].record is None
    assert slides["a"].record == results / "a.run.json"


def test_files_of_a_mac_and_names_without_a_slide_are_none(tmp_path: Path) -> None:
    for name in ("._a.run.json", ".run.json", ".failed.json", "a.corrected.geojson", "a.report.html"):
        (tmp_path / name).touch()
    assert list_slides(tmp_path) == []


def test_files_lead_to_the_slide_that_they_are_of(results: Path) -> None:
    for name in ("b.csv", "b.geojson", "b.run.json", "b.corrected.geojson", "b.report.html"):
        assert target_of(results / "ward" / name) == results / "ward" / "b"
    assert target_of(results / "ward" / "bad.geojson") is None
    assert target_of(results / "a.txt") is None


def test_a_folder_of_failures_alone_says_why(tmp_path: Path) -> None:
    write_failure(tmp_path, "a", "damaged", attempts=2)
    with pytest.raises(ResultError, match=r"no results .* but 1 failed slide: a \(damaged\)"):
        find_results(tmp_path)
    with pytest.raises(ResultError, match="no results of this slide: damaged"):
        find_results(tmp_path / "a.failed.json")


def test_a_failure_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_failure(tmp_path, "a", "damaged, \N{SNOWMAN}", attempts=2)
    failure = read_failure(tmp_path / "a.failed.json")
    assert failure == Failure(slide="a", reason="damaged, \N{SNOWMAN}", finished=failure.finished)
    assert failure.finished.startswith("20")
    forget_failure(tmp_path, "a")
    forget_failure(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"reason": 3}', "[" * 10**5, '{"reason": "a", "attempts": -1}'])
def test_damaged_failures_are_failures_all_the_same(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.failed.json").write_text(content)
    with pytest.raises(ResultError, match=r"a\.failed\.json: not the record of a failure"):
        read_failure(tmp_path / "a.failed.json")
    assert failed_slides([tmp_path]) == {"a": "the record of its failure cannot be read"}


def test_many_failures_are_told_in_one_line() -> None:
    told = failures_in_words({f"s{number}": "damaged" for number in range(7)})
    assert told.startswith("7 failed slides: s0 (damaged), s1 (damaged), ")
    assert told.endswith(" and 2 more")


NAMES = st.lists(st.sampled_from(["a", "b", "x/a", "y/a", "x/b", "x/y/a", "c"]), unique=True)


@given(NAMES, NAMES)
def test_names_are_paired_once_and_the_same_both_ways(first: list[str], second: list[str]) -> None:
    pairs = pair_names(first, second)
    assert {name: pairs[name] for name in first if name in second} == {name: name for name in first if name in second}
    assert {other: name for name, other in pairs.items()} == pair_names(second, first)
    for name, other in pairs.items():
        assert name.rpartition("/")[2] == other.rpartition("/")[2]
    left = [name for name in first if name not in pairs]
    rest = [name for name in second if name not in pairs.values()]
    for name in left:  # what is left has no partner, or more than one
        last = name.rpartition("/")[2]
        alike = [[each for each in names if each.rpartition("/")[2] == last] for names in (left, rest)]
        assert not alike[1] or len(alike[0]) + len(alike[1]) > 2


def test_results_that_end_as_slides_do_are_known() -> None:
    slide_like = [suffix for suffix in ALL_SUFFIXES if suffix.endswith((".dcm", ".tif"))]
    assert sorted(slide_like) == sorted(NOT_SLIDES)


# ---- evaluate and compare -------------------------------------------------------------------------------------------


def test_evaluate_leaves_failed_slides_out(results: Path, annotated: Path) -> None:
    read = read_results(results, annotated)
    assert [(one.name, len(one.truth), len(one.detections)) for one in read.results] == [("a", 1, 1), ("b", 1, 2)]
    (line,) = [line for line in read.notes if "Failed" in line]
    assert line == "Failed slides left out: 2, namely stale (the file is damaged), ward/bad (bad.svs: not a slide)"
    assert not [line for line in read.notes if "without a file of predictions" in line]
    assert [line for line in read.notes if "Corrections" in line] == [
        "Corrections beside results left out: 1, namely b.corrected.geojson"
    ]


def test_a_slide_that_nobody_scanned_is_still_one_without_any_detection(results: Path, annotated: Path) -> None:
    truth(annotated / "never.geojson", CELL)
    read = read_results(results, annotated)
    assert {one.name: len(one.detections) for one in read.results} == {"a": 1, "b": 2, "never": 0}


def test_a_normal_image_whose_slide_failed_is_not_counted(results: Path, annotated: Path) -> None:
    truth(annotated / "bad.geojson")
    read = read_results(results, annotated)
    assert not [one.name for one in read.results if one.normal]


def test_corrections_are_the_truth_of_the_results_beside_them(results: Path, tmp_path: Path) -> None:
    scan(tmp_path / "new", "ward/b", CELL, OTHER_CELL)
    read = read_results(tmp_path / "new", results)
    assert [(one.name, len(one.truth), len(one.detections)) for one in read.results] == [("a", 1, 0), ("ward/b", 1, 2)]
    assert "Failed slides left out, in the truth: 2, namely" in "\n".join(read.notes)
    (tmp_path / "apart").mkdir()
    (results / "ward" / "b.corrected.geojson").rename(tmp_path / "apart" / "b.corrected.geojson")
    (one,) = read_results(tmp_path / "new", tmp_path / "apart").results
    assert (len(one.truth), len(one.detections)) == (1, 2)


def test_nothing_but_failures_cannot_be_judged(results: Path, annotated: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    write_failure(tmp_path / "none", "a", "damaged", attempts=2)
    for reading in (read_results, compare_results):
        with pytest.raises(ResultError, match=r"no slide is left .* 1 failed slide: a \(damaged\)"):
            reading(tmp_path / "none", annotated / "a.geojson")
        with pytest.raises(ResultError, match=r"bad\.failed\.json: this slide has no results"):
            reading(results / "ward" / "bad.failed.json", annotated / "bad.geojson")
        with pytest.raises(ResultError, match=r"bad\.failed\.json: this slide has no results"):
            reading(results / "ward" / "bad.failed.json", annotated)


def test_compare_of_two_runs_leaves_failed_slides_out(results: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    for name in ("a", "ward/b", "stale", "ward/bad"):
        scan(new, name, CELL)
    write_failure(new, "a", "out of memory", attempts=2)
    comparison = compare_results(results, new)
    assert [(one.name, one.both, len(one.only_a)) for one in comparison.slides] == [("ward/b", 1, 1)]
    notes = [line for line in comparison.notes if "Failed" in line]
    assert notes == [
        "Failed slides left out, in A: 2, namely stale (the file is damaged), ward/bad (bad.svs: not a slide)",
        "Failed slides left out, in B: 1, namely a (out of memory)",
    ]
    assert not [line for line in comparison.notes if "only" in line]


def test_compare_with_a_reviewer(results: Path, annotated: Path) -> None:
    comparison = compare_results(results, annotated, CompareOptions(reviewer=True))
    assert [(one.name, one.both) for one in comparison.slides] == [("a", 1), ("ward/b", 1)]


def test_the_commands_tell_of_failed_slides(results: Path, annotated: Path) -> None:
    for command in ("evaluate", "compare"):
        status, out, err = run(command, results, annotated, *(["--bootstrap", 0] if command == "evaluate" else []))
        assert status == 0, err
        assert out
        assert "bad (bad.svs: not a slide)" in err


# ---- the index, report, convert and view ----------------------------------------------------------------------------


def test_the_index_shows_a_failure_rather_than_older_results(results: Path) -> None:
    entries = {
        entry.name: (entry.cells and entry.cells.total, [failure.reason for failure in entry.failures])
        for entry in find_entries(results)
    }
    assert entries == {
        "a": (1, []),
        "stale": (None, ["the file is damaged"]),
        "ward/b": (2, []),
        "ward/bad": (None, ["bad.svs: not a slide"]),
    }


def test_reports_of_nested_folders(results: Path, tmp_path: Path) -> None:
    (results / "stale.run.json").unlink()
    paths = list(report_results([results], SAMPLE, tmp_path / "out"))
    below = [path.relative_to(tmp_path / "out").as_posix() for path in paths]
    assert below == ["a.report.html", "ward/b.report.html", "index.html"]
    assert "bad.svs: not a slide" in paths[-1].read_text()


def test_converting_tells_what_was_written_and_what_failed(results: Path) -> None:
    converted = {one.name: one for one in convert_results([results], ["asap", "dicom", "asap"], slides=SAMPLE)}
    assert converted["b"].files == (results / "ward" / "b.asap.xml",)
    assert "only DICOM slides can have DICOM annotations" in converted["b"].unfit["dicom"]
    assert not any(one.problem for one in converted.values())
    status, out, err = run("convert", results, "--format", "csv")
    assert (status, out.count(".csv")) == (0, 3)
    assert "2 failed slides: stale (the file is damaged), ward/bad (bad.svs: not a slide)" in err


def test_the_viewer_opens_any_file_of_a_slide_and_its_corrections(results: Path) -> None:
    for name in ("b.csv", "b.corrected.geojson"):
        with open_viewer(results / "ward" / name, SAMPLE) as server:
            viewer = one_viewer(server)
            assert viewer.marks_path == results / "ward" / "b.corrected.geojson"
            assert len(viewer.marks.by_number) == len(read_geojson(viewer.marks_path)) == 1

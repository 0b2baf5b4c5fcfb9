"""Results read back from their files: what was found, to the last decimal."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import ROOT, BlobDetector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_records import made_record

from signetscan.detections import Detections
from signetscan.errors import OptionError, ResultError
from signetscan.results.folder import find_results
from signetscan.results.lookup import locate_slide, slide_named
from signetscan.results.reading import load_result
from signetscan.results.writing import add_formats, write_results
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, Bounds, open_slide

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.results.reading import StoredResult

NAMES = ("Signet ring cell", '=cmd, "x"', "Ünïcode: a")


def written(folder: Path, found: Detections, formats: tuple[str, ...], bounds: Bounds | None = None) -> StoredResult:
    slide = ArraySlide([np.full((600, 800, 3), 252, np.uint8)], mpp=0.25, name="a slide", bounds=bounds)
    detector = BlobDetector(class_names=NAMES)
    empty = detect_slide(slide, detector, ScanOptions(tissue_mask=False))
    return write_results(folder / "a.slide", slide, detector, replace(empty, detections=found), formats=formats)


@st.composite
def some_detections(draw: st.DrawFn) -> Detections:
    count = draw(st.integers(0, 12))
    corner = np.array(draw(st.lists(st.integers(0, 50_000), min_size=2 * count, max_size=2 * count)), np.float64)
    size = np.array(draw(st.lists(st.integers(1, 9_999), min_size=2 * count, max_size=2 * count)), np.float64)
    low = corner.reshape(-1, 2) / 100
    scores = np.array(draw(st.lists(st.integers(0, 10_000), min_size=count, max_size=count)), np.float64) / 10_000
    return Detections(
        boxes=np.concatenate([low, (low + size.reshape(-1, 2) / 100)], axis=1).round(2),
        scores=scores.astype(np.float32),
        labels=np.array(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.int64),
    )


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(some_detections(), st.sampled_from(["csv", "geojson"]), st.booleans())
def test_what_is_read_back_is_what_was_found(tmp_path: Path, found: Detections, kind: str, cropped: bool) -> None:
    bounds = Bounds(101, 53, 600, 500) if cropped else None
    stored = written(tmp_path, found, (kind,), bounds)
    again = load_result(tmp_path / "a.slide.run.json")
    np.testing.assert_array_equal(again.scanned.detections.boxes, found.boxes)
    np.testing.assert_array_equal(again.scanned.detections.scores, found.scores)
    np.testing.assert_array_equal(again.scanned.detections.labels, found.labels)
    assert again.record == stored.record
    for name in ("name", "class_names", "model", "model_sha256", "fingerprint", "mpp", "dimensions", "origin"):
        assert getattr(again.scanned, name) == getattr(stored.scanned, name)


def one_cell() -> Detections:
    return Detections(
        boxes=np.array([[10.25, 20, 40, 60.01]]), scores=np.array([0.5], np.float32), labels=np.array([1])
    )


def test_a_format_added_later_has_the_bytes_of_one_written_at_once(tmp_path: Path) -> None:
    for name in ("once", "later"):
        (tmp_path / name).mkdir()
    written(tmp_path / "once", one_cell(), ("csv", "geojson"))
    written(tmp_path / "later", one_cell(), ("csv",))
    add_formats(load_result(tmp_path / "later" / "a.slide.run.json"), ["geojson"])
    for name in ("a.slide.csv", "a.slide.geojson"):
        assert (tmp_path / "later" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    records = [json.loads((tmp_path / name / "a.slide.run.json").read_text()) for name in ("once", "later")]
    for record in records:
        del record["finished"], record["seconds"]
    assert records[0] == records[1]


def test_files_of_other_formats_do_not_outlive_a_new_scan(tmp_path: Path) -> None:
    written(tmp_path, one_cell(), ("csv", "geojson"))
    written(tmp_path, Detections.empty(), ("csv",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.slide.csv", "a.slide.run.json"]


@pytest.mark.parametrize("name", ["a.slide.run.json", "a.slide.csv", "a.slide.geojson", "."])
def test_any_file_of_a_result_leads_to_its_record(tmp_path: Path, name: str) -> None:
    written(tmp_path, one_cell(), ("csv",))
    assert find_results(tmp_path / name) == [tmp_path / "a.slide.run.json"]


def merged(table: Any, changed: Any) -> Any:  # noqa: ANN401 - JSON
    """A part of a record with some values changed; further parts of a file are like the file."""
    if isinstance(changed, list):
        return [merged(table, value) for value in changed]
    if not (isinstance(changed, dict) and isinstance(table, dict) and changed):
        return changed
    return table | {
        name: merged(table if name == "more" else table.get(name), value) for name, value in changed.items()
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"slide": 3}, "slide must be a table"),
        ({"schema": 99}, "a later version"),
        ({"options": {"a": {}}}, "options.a"),
        ({"files": {"csv": {"name": "../x.csv", "bytes": 1}}}, "files.csv.name"),
        ({"tiles": {"grid": 1.5, "scanned": 1}}, "tiles.grid must be a whole number"),
        ({"detections": {"Signet ring cell": 10**400}}, "detections.Signet ring cell"),
        ({"files": {}}, "in none of csv, geojson"),
        ({"detections": {"Signet ring cell": 7}}, "1 in the file, 7 in its run record"),
        ({"geojson_origin_px": "x"}, "geojson_origin_px must be a list"),
        ({"geojson_origin_px": [float("inf"), 0]}, "geojson_origin_px"),
        ({"geojson_origin_px": [1, 2, 3]}, "geojson_origin_px must be two whole numbers"),
        ({"detections": {"Signet ring cell": 1 << 40, "Another": 1}}, "detections counts more than"),
        ({"unread_px": [[0, 0, 5]]}, "unread_px must hold boxes of four numbers"),
        ({"options": {"a": [1, {}]}}, "options.a must be a value or a list of values"),
        ({"slide": {"mpp": {"x": 0.25, "y": 0.25, "source": "a guess"}}}, "slide.mpp.source must be one of"),
        ({"slide": {"concerns": [{"kind": "x", "message": "y"}]}}, r"concerns\[0\].kind must be one of"),
        (
            {"files": {"csv": {"more": [{"more": [{"name": "a.slide.2.csv"}]}]}}},
            r"files.csv.more\[0\].more must not be there",
        ),
    ],
)
def test_records_that_do_not_fit_are_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    record: Any = written(tmp_path, one_cell(), ("csv",)).record.to_json()
    deep = {name: merged(record[name], value) for name, value in changed.items() if name in {"slide", "files"}}
    record |= changed | deep
    (tmp_path / "a.slide.run.json").write_text(json.dumps(record))
    with pytest.raises(ResultError, match=said):
        load_result(tmp_path / "a.slide.run.json")


def test_a_record_of_absurd_length_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, one_cell(), ("csv",))
    monkeypatch.setattr("signetscan.results.run_record.MOST_BYTES", 100)
    with pytest.raises(ResultError, match="it is far too long"):
        load_result(tmp_path / "a.slide.run.json")


def test_an_option_may_be_a_list_of_values(tmp_path: Path) -> None:
    record = written(tmp_path, one_cell(), ("csv",)).record.to_json()
    options: Any = record["options"]
    options["of another version"] = [1, 2.5, "x", True]
    (tmp_path / "a.slide.run.json").write_text(json.dumps(record))
    again = load_result(tmp_path / "a.slide.run.json").record
    assert again.options["of another version"] == (1, 2.5, "x", True)
    assert again.to_json() == record


def test_a_file_with_another_digit_is_not_taken_for_what_the_run_wrote(tmp_path: Path) -> None:
    written(tmp_path, one_cell(), ("csv",))
    file = tmp_path / "a.slide.csv"
    file.write_text(file.read_text().replace("10.25", "10.26"))
    with pytest.raises(ResultError, match="not the file that its run wrote"):
        load_result(tmp_path / "a.slide.run.json")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no results of signetscan detect"):
        find_results(tmp_path)
    (tmp_path / "x.csv").write_text("x0,y0,x1,y1\n")
    with pytest.raises(ResultError, match="no run record beside"):
        find_results(tmp_path / "x.csv")
    with pytest.raises(ResultError, match="no such file"):
        find_results(tmp_path / "y.csv")


def test_the_slide_of_a_result_is_found_by_its_content(tmp_path: Path) -> None:
    sample = ROOT / "tests" / "data" / "sample.svs"
    with open_slide(sample) as slide:
        record = made_record("a pseudonym", slide.fingerprint)
    assert locate_slide(record, sample) == sample
    (tmp_path / "in").mkdir()
    (tmp_path / "a pseudonym.svs").write_bytes(b"damaged")
    (tmp_path / "in" / "x.svs").write_bytes(sample.read_bytes())
    assert locate_slide(record, tmp_path) == tmp_path / "in" / "x.svs"
    other = made_record("b", "another")
    with pytest.raises(ResultError, match="not the slide of b"):
        locate_slide(other, sample)
    with pytest.raises(ResultError, match="none of 2 slides"):
        locate_slide(other, tmp_path)


def test_a_slide_is_found_by_its_name_where_there_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no slide in this folder \(looked for .*\.svs"):
        slide_named("a", tmp_path)
    with pytest.raises(OptionError, match=r"gone: no such file"):
        slide_named("a", tmp_path / "gone")
    for name in ("a.svs", "b.svs", "sub/b.ndpi"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert slide_named("a", tmp_path) == slide_named("a", tmp_path / "a.svs") == tmp_path / "a.svs"
    with pytest.raises(ResultError, match="several slides are called b; name the right one") as caught:
        slide_named("b", tmp_path)
    assert caught.value.options == ("slide",)
    with pytest.raises(ResultError, match="no slide is called c"):
        slide_named("c", tmp_path)

"""GeoJSON in parts: written, listed, read together, and removed when they are stale."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import BlobDetector
from hypothesis import given
from hypothesis import strategies as st
from results_for_reports import MPP, made_slide, random_detections
from run_records import MADE
from scanned_slides import many

from signetscan.annotations import read_geojson
from signetscan.batch.find import SlideTask
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideScanned, SlideSkipped
from signetscan.batch.slide import MANY, scan_slide, warnings_of_record
from signetscan.cli.main import cli
from signetscan.errors import AnnotationError, OptionError, ResultError
from signetscan.evaluation.files import read_results
from signetscan.formats.parts import count_parts, paths_of, write_files
from signetscan.json_values import JsonError, JsonTable
from signetscan.results.folder import find_results
from signetscan.results.part_files import all_parts, read_whole
from signetscan.results.reading import load_result
from signetscan.results.record_parts import ResultFile
from signetscan.results.run_record import read_run_record, write_run_record
from signetscan.results.writing import add_formats, write_results
from signetscan.scan.detect import SlideResult
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.json_values import Json
    from signetscan.results.reading import StoredResult
    from signetscan.results.run_record import RunRecord

COUNT = 25


def written(folder: Path, *formats: str, most: int | None = 10, count: int = COUNT) -> StoredResult:
    """Results of a scan that never was, in parts."""
    detector = BlobDetector(mpp=MPP)
    result = SlideResult(
        detections=random_detections(count),
        options=ScanOptions(threshold=0.3).resolve(detector),
        tiles=12,
        tiles_scanned=9,
        tissue_mm2=9.0,
    )
    folder.mkdir(exist_ok=True)
    return write_results(
        folder / "s", made_slide(), detector, result, formats=formats or ("geojson",), objects_per_file=most
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


PARTS = ["s.part1.geojson", "s.part2.geojson", "s.part3.geojson"]


def test_parts_hold_what_one_file_holds_in_its_order(tmp_path: Path) -> None:
    stored = written(tmp_path / "parts")
    written(tmp_path / "whole", most=None)
    assert names_in(tmp_path / "parts") == [*PARTS, "s.run.json"]
    features = [json.loads((tmp_path / "parts" / name).read_text())["features"] for name in PARTS]
    assert [len(part) for part in features] == [10, 10, 5]
    whole = json.loads((tmp_path / "whole" / "s.geojson").read_text())["features"]
    assert [feature for part in features for feature in part] == whole
    assert stored.record.files["geojson"].names == tuple(PARTS)
    assert read_run_record(tmp_path / "parts" / "s.run.json") == stored.record


@given(st.integers(0, 60), st.none() | st.integers(1, 70))
def test_no_part_is_empty_and_none_too_large(total: int, most: int | None) -> None:
    count = count_parts(total, "geojson", most)
    assert count_parts(total, "csv", most) == 1
    assert count == 1 if most is None else count == len(range(0, max(total, 1), most))


@pytest.mark.parametrize("kind", ["geojson", "geojson.gz"])
def test_parts_are_read_back_as_one(tmp_path: Path, kind: str) -> None:
    stored = written(tmp_path, kind)
    again = load_result(tmp_path / "s.run.json")
    np.testing.assert_array_equal(again.scanned.detections.boxes, stored.scanned.detections.boxes)
    np.testing.assert_array_equal(again.scanned.detections.scores, stored.scanned.detections.scores)
    for part in paths_of(tmp_path / "s", kind, 3):
        assert find_results(part) == [tmp_path / "s.run.json"]
        assert all_parts(part) == paths_of(tmp_path / "s", kind, 3)
        assert len(read_whole(part)) == COUNT


def test_a_part_that_is_missing_or_swapped_is_noticed(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / PARTS[2]).write_bytes((tmp_path / PARTS[0]).read_bytes())
    with pytest.raises(ResultError, match="30 in the file, 25 in its run record"):
        load_result(tmp_path / "s.run.json")
    (tmp_path / PARTS[1]).unlink()
    with pytest.raises(AnnotationError, match=r"s\.part2\.geojson"):
        load_result(tmp_path / "s.run.json")


def test_stale_files_are_removed_and_those_of_another_slide_stay(tmp_path: Path) -> None:
    written(tmp_path, most=3)
    assert len(names_in(tmp_path)) == 10
    for name in ("s.part5.run.json", "s.part9.csv", "ss.part1.geojson", "s.part01.geojson"):
        (tmp_path / name).write_text("{}")
    others = ["s.part01.geojson", "s.part5.geojson", "s.part5.run.json", "s.part9.csv", "ss.part1.geojson"]
    written(tmp_path, most=None)
    assert names_in(tmp_path) == sorted([*others, "s.geojson", "s.run.json"])
    written(tmp_path, "csv")
    assert names_in(tmp_path) == sorted([*others, "s.csv", "s.run.json"])


def test_parts_that_would_write_over_another_slide_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "s.part2.run.json").write_text("{}")
    record = written(tmp_path).record
    assert "another slide" in record.unfit["geojson"]
    assert names_in(tmp_path) == ["s.part2.run.json", "s.run.json"]


def test_a_later_conversion_makes_parts_of_one_file_and_back(tmp_path: Path) -> None:
    def convert(*words: str) -> list[str]:
        result = CliRunner().invoke(cli, ["convert", str(tmp_path / "r"), "--format", "geojson", *words])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    written(tmp_path / "r", "csv", "geojson", most=None)
    parts = [str(tmp_path / "r" / name) for name in PARTS]
    assert convert("--objects-per-file", "10") == parts
    assert names_in(tmp_path / "r") == sorted([*PARTS, "s.csv", "s.run.json"])
    assert convert() == [str(tmp_path / "r" / "s.geojson")]
    assert names_in(tmp_path / "r") == ["s.csv", "s.geojson", "s.run.json"]
    assert convert("--out", str(tmp_path / "o"), "--objects-per-file", "24") == [
        str(tmp_path / "o" / name) for name in PARTS[:2]
    ]
    whole = ("--out", str(tmp_path / "o"), "--objects-per-file", "25")
    assert convert(*whole, "--overwrite") == [str(tmp_path / "o" / "s.geojson")]
    assert names_in(tmp_path / "o") == ["s.geojson"]


@pytest.mark.slow
def test_a_batch_that_goes_on_makes_the_parts_that_are_asked_for(tmp_path: Path) -> None:
    from signetscan.simulate.options import SlideOptions
    from signetscan.simulate.slide_file import write_slide

    slide = tmp_path / "s.tif"
    write_slide(slide, SlideOptions(width=512, height=512, region=200, seed=1))
    task = SlideTask(place=slide, name="s", root=tmp_path, options=ScanOptions(threshold=0.3))
    out = tmp_path / "out"
    out.mkdir()
    detector = BlobDetector(mpp=0.25)
    kinds, seen = [], []
    for most in (None, 1, 1, 2, None):
        request = BatchOptions(out=out, objects_per_file=most)
        outcome = scan_slide(task, request, detector)
        kinds.append(type(outcome))
        seen.append([path.name for path in outcome.files if "geojson" in path.name])
        assert all(path.is_file() for path in outcome.files)
        assert sorted(path.name for path in outcome.files) == names_in(out)
    total = read_run_record(out / "s.run.json").total
    assert total > 1
    assert kinds == [SlideScanned, *[SlideSkipped] * 4]
    assert [len(names) for names in seen] == [1, total, total, -(-total // 2), 1]


@pytest.mark.parametrize("asked", ["a folder", "a part"])
def test_evaluation_takes_the_parts_together(tmp_path: Path, asked: str) -> None:
    written(tmp_path / "found")
    written(tmp_path / "truth", most=None)
    (tmp_path / "truth" / "s.run.json").unlink()
    predictions = tmp_path / "found" if asked == "a folder" else tmp_path / "found" / "s.part2.geojson"
    (image,) = (read := read_results(predictions, tmp_path / "truth")).results
    assert len(image.detections) == COUNT
    assert len(image.truth) + len(read.notes) == COUNT, "a cell that is given twice counts once, and is told"


def test_images_whose_names_look_like_parts_are_images(tmp_path: Path) -> None:
    for folder in ("found", "truth"):
        (tmp_path / folder).mkdir()
        for number in (1, 2):
            slide = many(3, seed=number)
            write_files(tmp_path / folder / f"s.part{number}", ["geojson"], slide)
    assert [image.name for image in read_results(tmp_path / "found", tmp_path / "truth").results] == [
        "s.part1",
        "s.part2",
    ]


def test_a_record_of_parts_within_parts_is_damaged() -> None:
    part: dict[str, Json] = {"name": "a.geojson", "bytes": 1}
    assert ResultFile.from_json(JsonTable({**part, "more": [part]})).names == ("a.geojson",) * 2
    wrong: list[Json] = [[{**part, "more": [part]}], [1], "x", [{"name": "../a", "bytes": 1}]]
    for more in wrong:
        with pytest.raises(JsonError):
            ResultFile.from_json(JsonTable({**part, "more": more}))


def test_too_many_for_qupath_in_one_file_are_remarked_on(tmp_path: Path) -> None:
    one = ResultFile(name="s.geojson", size=1)
    for count, files, warned in (
        (MANY, {"geojson": one}, False),
        (MANY + 1, {"geojson": one}, True),
        (MANY + 1, {"geojson.gz": one}, True),
        (MANY + 1, {"csv": one}, False),
        (MANY + 1, {"geojson": ResultFile(name="s.part1.geojson", size=1, more=(one,))}, False),
    ):
        record = read_back(tmp_path, count, files)
        assert any("200001 detections in one GeoJSON file" in text for text in warnings_of_record(record)) == warned
    with pytest.raises(OptionError):
        BatchOptions(objects_per_file=0)


def read_back(folder: Path, count: int, files: dict[str, ResultFile]) -> RunRecord:
    write_run_record(folder / "s.run.json", replace(MADE, detections={"Signet ring cell": count}, files=files))
    return read_run_record(folder / "s.run.json")


def test_adding_formats_keeps_the_others(tmp_path: Path) -> None:
    stored = add_formats(written(tmp_path), ["csv"])
    assert set(stored.record.files) == {"geojson", "csv"}
    assert len(read_geojson(tmp_path / PARTS[2])) == 5

"""`signetscan segment`: the same batches as those of `detect`, and results that lie beside theirs."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import shapely
import tifffile
from click.testing import CliRunner

from signetscan.cli.main import cli
from signetscan.errors import ResultError
from signetscan.evaluation.files import read_results
from signetscan.formats.result_files import REGION_SUFFIXES
from signetscan.results.folder import find_results, list_slides
from signetscan.results.reading import load_result
from signetscan.results.region_formats import add_region_formats
from signetscan.results.run_record import read_run_record
from signetscan.testing.specs import make_segmentation_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

pytestmark = pytest.mark.usefixtures("no_settings")


WRITTEN = ["a.regions.classmap.ome.tif", "a.regions.csv", "a.regions.geojson", "a.regions.run.json"]


class Bench(NamedTuple):
    slides: Path
    segmenter: Path
    detector: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, ready_workers: None) -> Bench:
    """A slide, and models of both tasks."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "slides").mkdir()
    shutil.copy(small_slide, folder / "slides")
    return Bench(
        folder / "slides", write_tiny_segmenter(folder / "seg.onnx"), write_tiny_model(folder / "detects.onnx")
    )


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def segment(bench: Bench, out: Path, *options: object) -> Result:
    return run("segment", bench.slides, "--model", bench.segmenter, "--out", out, *options)


def test_regions_areas_and_score_are_written_and_found_again(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = segment(bench, out, "--json", "-q")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == WRITTEN
    facts = json.loads(result.stdout)
    assert facts["status"] == "done"
    assert 0 < facts["slide_score"] <= 1
    record = read_run_record(out / "a.regions.run.json")
    assert record.regions is not None
    assert record.regions.slide_score == facts["slide_score"]
    assert record.regions.background == "Background"
    assert record.regions.scored == ("Low grade", "High grade")
    assert [area.colour for area in record.regions.classes] == list(make_segmentation_spec().class_colours)
    assert 0 < facts["fields"][0]["probability"] <= 1
    with (out / "a.regions.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(make_segmentation_spec().class_names)
    assert sum(float(row["share_of_tissue"]) for row in rows.values()) == pytest.approx(1, abs=1e-5)
    assert sum(float(row["mm2"]) for row in rows.values()) == pytest.approx(facts["tissue_mm2"], rel=0.02)
    features = json.loads((out / "a.regions.geojson").read_text(encoding="utf-8"))["features"]
    assert features
    drawn: dict[str, float] = dict.fromkeys(rows, 0.0)
    for feature in features:
        assert shapely.geometry.shape(feature["geometry"]).is_valid
        drawn[feature["properties"]["classification"]["name"]] += feature["properties"]["measurements"]["Area mm^2"]
    assert drawn["Background"] == 0
    for name in ("Low grade", "High grade"):
        assert facts["classes"][name]["mm2"] == pytest.approx(float(rows[name]["mm2"]))
        assert drawn[name] == pytest.approx(float(rows[name]["mm2"]), rel=0.2)
    again = segment(bench, out, "--json", "-q", "--batch-size", 3)
    assert json.loads(again.stdout)["status"] == "skipped"
    other = segment(bench, out, "--tile-size", 64)
    assert "score 0." in other.stdout
    assert "already done" not in other.stdout


@pytest.mark.slow
def test_the_files_do_not_depend_on_batches_tiles_or_threads(bench: Bench, tmp_path: Path) -> None:
    written: list[list[bytes]] = []
    names = [name for name in REGION_SUFFIXES if name != "dicom"]
    every = [part for name in names for part in ("--format", name)]
    variants: tuple[tuple[object, ...], ...] = ((), ("--batch-size", 4, "--read-threads", 3), ("--tile-size", 64))
    for options in variants:
        out = tmp_path / str(len(written))
        assert segment(bench, out, *options, *every).exit_code == 0
        written.append(
            [
                (out / f"a.regions.{ending}").read_bytes()
                for ending in ("geojson", "csv", "classmap.ome.tif", "heatmap.ome.tif")
            ]
        )
    assert written[1:] == written[:1] * 2


def test_detections_and_regions_lie_in_one_folder_and_nobody_confuses_them(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segment(bench, out).exit_code == 0
    with pytest.raises(ResultError, match="no results of signetscan detect"):
        find_results(out)
    detect = ("detect", bench.slides, "--model", bench.detector, "--out", out, "--threshold", 0.1)
    assert run(*detect).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == [*("a.csv", "a.geojson", *WRITTEN, "a.run.json")]
    assert segment(bench, out, "--json", "-q").stdout.count('"skipped"') == 1
    assert [slide.name for slide in list_slides(out)] == ["a"]
    assert find_results(out) == [out / "a.run.json"]
    assert [image.name for image in read_results(out, out).results] == ["a"]
    with pytest.raises(ResultError, match="results of a segmentation"):
        load_result(out / "a.regions.run.json")
    compared = run("compare", out, out)
    assert compared.exit_code == 0, compared.output


def test_a_model_of_the_other_task_ends_the_run_in_words(bench: Bench, tmp_path: Path) -> None:
    result = run("segment", bench.slides, "--model", bench.detector, "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert "this model detects cells; choose one that segments tissue" in result.stderr
    result = run("detect", bench.slides, "--model", bench.segmenter, "--out", tmp_path / "out")
    assert result.exit_code == 4
    assert "this model segments tissue; choose one that detects cells" in result.stderr
    assert "--model" in run("segment", bench.slides).stderr


def test_a_slide_that_fails_fails_alone(bench: Bench, tmp_path: Path) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "a.svs").symlink_to(bench.slides / "a.svs")
    (slides / "broken.svs").write_bytes(b"II*\0nothing")
    out = tmp_path / "out"
    result = run("segment", slides, "--model", bench.segmenter, "--out", out)
    assert result.exit_code == 3
    assert "broken" in result.stderr
    assert (out / "broken.regions.failed.json").exists()
    assert (out / "a.regions.run.json").exists()
    assert list_slides(out) == []


def test_workers_that_detect_do_not_load_what_outlines_need() -> None:
    code = "import sys, signetscan.batch.jobs; sys.exit('shapely' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own code


def test_a_dry_run_writes_nothing(bench: Bench, tmp_path: Path) -> None:
    result = segment(bench, tmp_path / "out", "--dry-run")
    assert result.exit_code == 0
    assert "Mpx" in result.stdout
    assert not (tmp_path / "out").exists()


def test_formats_are_chosen_and_those_that_are_missing_are_added(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segment(bench, out, "--format", "csv").exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.regions.csv", "a.regions.run.json"]
    alone = (out / "a.regions.csv").read_bytes()
    more = ("--format", "classmap", "--format", "heatmap", "--format", "geojson", "--format", "heatmap")
    assert '"done": false' in segment(bench, out, *more, "--dry-run", "--json").stdout
    added = segment(bench, out, *more)
    assert added.exit_code == 0, added.output
    record = read_run_record(out / "a.regions.run.json")
    assert record.files.keys() == {"csv", "geojson", "heatmap", "classmap"}, "what was there is kept"
    assert (out / "a.regions.csv").read_bytes() == alone, "regions are counted whether they are written or not"
    for file in record.files.values():
        assert file.sha256 == hashlib.sha256((out / file.name).read_bytes()).hexdigest()
    assert json.loads(segment(bench, out, *more, "--json", "-q").stdout)["status"] == "skipped"
    again = segment(bench, out, "--overwrite")
    assert again.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == WRITTEN, "files of other formats held the former results"


def test_further_formats_are_made_of_the_maps_without_a_scan(bench: Bench, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    every = ("--format", "geojson", "--format", "csv", "--format", "classmap", "--format", "heatmap")
    options = ("--min-area", 200, "--simplify", 1)
    assert segment(bench, whole, *options, *every).exit_code == 0
    assert segment(bench, out, *options, "--format", "classmap", "--format", "heatmap").exit_code == 0
    assert '"done": true' in segment(bench, out, *options, *every, "--dry-run", "--json").stdout
    added = json.loads(segment(bench, out, *options, *every, "--json", "-q").stdout)
    assert added["status"] == "skipped"
    assert len(added["outputs"]) == 5
    for name in ("a.regions.geojson", "a.regions.csv", "a.regions.classmap.ome.tif", "a.regions.heatmap.ome.tif"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    record, other = (read_run_record(folder / "a.regions.run.json") for folder in (out, whole))
    assert record.files == {name: other.files[name] for name in record.files}
    assert (record.regions, record.key) == (other.regions, other.key)
    no_probabilities = tmp_path / "no"
    assert segment(bench, no_probabilities, "--format", "classmap").exit_code == 0
    assert '"done": true' in segment(bench, no_probabilities, "--format", "csv", "--dry-run", "--json").stdout
    assert '"done": false' in segment(bench, no_probabilities, "--format", "geojson", "--dry-run", "--json").stdout


def test_a_record_without_maps_is_refused_in_words(bench: Bench, tmp_path: Path) -> None:
    assert segment(bench, tmp_path, "--format", "csv").exit_code == 0
    path = tmp_path / "a.regions.run.json"
    with pytest.raises(ResultError, match="has no classmap and no heatmap, of which geojson would be made"):
        add_region_formats(path, ["geojson"])
    assert segment(bench, tmp_path, "--format", "classmap", "--format", "heatmap").exit_code == 0
    record = json.loads(path.read_text(encoding="utf-8"))
    for change in ({"background": "None"}, {"scored_classes": ["None"]}):
        broken = {**record, "regions": {**record["regions"], **change}}
        path.write_text(json.dumps(broken), encoding="utf-8")
        with pytest.raises(ResultError, match="not a run record that this version of signetscan reads"):
            add_region_formats(path, ["geojson"])
    path.write_text(json.dumps({**record, "options": {**record["options"], "simplify": "x"}}), encoding="utf-8")
    with pytest.raises(ResultError, match="not a run record"):
        add_region_formats(path, ["geojson"])
    path.write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "a.regions.heatmap.ome.tif").write_bytes(b"x")
    with pytest.raises(ResultError, match="not the file that its run wrote"):
        add_region_formats(path, ["geojson"])
    assert not (tmp_path / "a.regions.geojson").exists()


def test_a_slide_that_is_no_dicom_has_no_dicom_segments_and_the_record_says_so(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = segment(bench, out, "--format", "dicom", "--format", "csv")
    assert result.exit_code == 0
    assert "only DICOM slides can have DICOM segmentations" in result.stderr
    record = read_run_record(out / "a.regions.run.json")
    assert (list(record.files), list(record.unfit)) == (["csv"], ["dicom"])
    again = segment(bench, out, "--format", "dicom", "--format", "csv")
    assert "only DICOM slides can have DICOM segmentations" in again.stderr
    (tmp_path / "key").write_bytes(bytes(range(32)))
    private = segment(bench, out, "--format", "dicom", "--pseudonymise", tmp_path / "key")
    assert private.exit_code == 2
    assert "cannot be pseudonymised. See --format and --pseudonymise" in private.stderr


def test_a_map_that_was_damaged_is_made_again(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert segment(bench, out).exit_code == 0
    path = out / "a.regions.classmap.ome.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"x")
    assert json.loads(segment(bench, out, "--json", "-q").stdout)["status"] == "done"
    assert path.read_bytes() == whole


def test_the_record_says_where_the_map_lies(bench: Bench, tmp_path: Path) -> None:
    assert segment(bench, tmp_path).exit_code == 0
    record = read_run_record(tmp_path / "a.regions.run.json")
    assert record.regions is not None
    placed = record.regions.map
    assert placed is not None
    with tifffile.TiffFile(tmp_path / "a.regions.classmap.ome.tif") as file:
        assert file.pages.first.shape == (placed.rows, placed.columns)
        values = file.asarray()
    assert placed.pixel == (8.0, 8.0), "an output stride of 4 at twice the slide's mpp"
    for area, label in zip(record.regions.classes, (1, 2, 3), strict=True):
        assert area.mm2 == pytest.approx((values == label).sum() * (8 * 0.25) ** 2 / 1e6, abs=1e-6)


@pytest.mark.parametrize("change", [{"rows": 0}, {"pixel_width_px": 0}, {"columns": 1 << 40}, {"rows": "x"}])
def test_an_impossible_map_in_a_record_is_refused(bench: Bench, tmp_path: Path, change: dict[str, object]) -> None:
    assert segment(bench, tmp_path).exit_code == 0
    path = tmp_path / "a.regions.run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["regions"]["map"] |= change
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ResultError, match=r"regions\.map"):
        read_run_record(path)


def test_pseudonyms_leave_no_trace_of_the_slide_in_any_file(bench: Bench, tmp_path: Path) -> None:
    station, out = tmp_path / "Station 3", tmp_path / "out"
    station.mkdir()
    shutil.copy(bench.slides / "a.svs", station / "Muster, Eva.svs")
    (tmp_path / "key").write_bytes(bytes(range(32)))
    formats = ("--format", "geojson", "--format", "csv", "--format", "classmap", "--format", "heatmap")
    options = ("--model", bench.segmenter, "--out", out, "--pseudonymise", tmp_path / "key", *formats)
    result = run("segment", station, *options)
    assert result.exit_code == 0, result.output
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 5
    for secret in ("Muster", "Station", "muster", "station"):
        assert secret not in result.output
        for path in files:
            assert secret not in path.name
            assert secret.encode() not in path.read_bytes()

"""`signetscan convert`, and further formats of `signetscan detect`, as a user meets them."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING

import highdicom
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from pyarrow import parquet
from test_stored import one_cell, written

from signetscan.batch.find import find_slides
from signetscan.cli.main import cli
from signetscan.formats.result_files import SUFFIXES
from signetscan.models.segmentation_spec import SlideScore
from signetscan.testing.specs import make_segmentation_spec
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def record_of(folder: Path, name: str = "a.slide") -> dict[str, dict[str, object]]:
    record: dict[str, dict[str, object]] = json.loads((folder / f"{name}.run.json").read_text())
    return record


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, ready_workers: None) -> Path:
    """A folder with a slide, and a model that finds one box in each tile."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "slides").mkdir()
    shutil.copy(small_slide, folder / "slides")
    write_tiny_model(folder / "tiny.onnx")
    return folder


def detect(bench: Path, out: Path, *options: object) -> Result:
    model = ("--model", bench / "tiny.onnx", "--device", "cpu", "--threshold", 0.05)
    return run("detect", bench / "slides" / "a.svs", "--out", out, *model, *options)


# ---- convert --------------------------------------------------------------------------------------------------------


def test_files_stand_beside_the_results_and_are_in_their_record(tmp_path: Path) -> None:
    written(tmp_path, one_cell(), ("csv",))
    done = run("convert", tmp_path, "--format", "parquet", "--format", "geojson.gz")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(tmp_path / "a.slide.parquet"), str(tmp_path / "a.slide.geojson.gz")]
    assert list(record_of(tmp_path)["files"]) == ["csv", "parquet", "geojson.gz"]
    assert names_in(tmp_path) == ["a.slide.csv", "a.slide.geojson.gz", "a.slide.parquet", "a.slide.run.json"]


@pytest.mark.parametrize("name", sorted(SUFFIXES.keys() - {"dicom"}))
def test_a_converted_file_has_the_bytes_of_one_written_at_once(tmp_path: Path, name: str) -> None:
    for folder in ("once", "later"):
        (tmp_path / folder).mkdir()
    written(tmp_path / "once", one_cell(), (name,))
    written(tmp_path / "later", one_cell(), ("geojson.gz",))
    assert run("convert", tmp_path / "later" / "a.slide.geojson.gz", "--format", name).exit_code == 0
    file = f"a.slide{SUFFIXES[name]}"
    assert (tmp_path / "later" / file).read_bytes() == (tmp_path / "once" / file).read_bytes()


def test_another_folder_gets_files_without_records(tmp_path: Path) -> None:
    (tmp_path / "results" / "sub").mkdir(parents=True)
    written(tmp_path / "results" / "sub", one_cell(), ("csv",))
    before = names_in(tmp_path / "results")
    done = run("convert", tmp_path / "results", "--format", "asap", "--out", tmp_path / "new" / "folder")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'new' / 'folder' / 'a.slide.asap.xml'}\n"
    assert names_in(tmp_path / "new") == ["folder/a.slide.asap.xml"]
    assert names_in(tmp_path / "results") == before
    assert list(record_of(tmp_path / "results" / "sub")["files"]) == ["csv"]


@pytest.mark.parametrize("name", ["a.slide.geojson", "a.slide.part7.geojson"])
def test_a_file_that_no_record_vouches_for_is_kept(tmp_path: Path, name: str) -> None:
    """Such as what somebody drew."""
    (tmp_path / "results").mkdir()
    written(tmp_path / "results", one_cell(), ("csv",))
    out = tmp_path / "drawn"
    out.mkdir()
    (out / name).write_text("[]")
    where = ("convert", tmp_path / "results", "--format", "geojson", "--out", out)
    refused = run(*where)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"{name}: there is a file of this name already" in refused.stderr
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "[]"
    assert run(*where, "--overwrite").exit_code == 0
    assert names_in(out) == ["a.slide.geojson"], "a part of other results is no longer there"


def test_results_of_one_name_are_not_written_over_each_other(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, one_cell(), ("csv",))
    refused = run("convert", tmp_path, "--format", "asap", "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "different folders" in refused.stderr
    assert not (tmp_path / "out").exists()
    assert run("convert", tmp_path, "--format", "asap").exit_code == 0


def test_results_of_another_run_are_not_converted_over(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, one_cell(), ("csv",))
    before = (tmp_path / "other" / "a.slide.csv").read_bytes()
    refused = run("convert", tmp_path / "one", "--format", "csv", "--out", tmp_path / "other")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "has other results of this name, a.slide.run.json" in refused.stderr
    assert (tmp_path / "other" / "a.slide.csv").read_bytes() == before
    assert run("convert", tmp_path / "one", "--format", "asap", "--out", tmp_path / "one").exit_code == 0


def test_what_is_unfit_is_an_error_and_all_else_is_done(bench: Path, tmp_path: Path) -> None:
    assert detect(bench, tmp_path, "--format", "csv").exit_code == 0
    slide = ("--slide", bench / "slides" / "a.svs")
    done = run("convert", tmp_path, "--format", "dicom", "--format", "asap", *slide)
    assert done.exit_code == 1
    assert done.stdout == f"{tmp_path / 'a.asap.xml'}\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: a: not written as dicom: only DICOM slides can have DICOM annotations")
    record = record_of(tmp_path, "a")
    assert list(record["files"]) == ["csv", "asap"]
    assert list(record["unfit"]) == ["dicom"]
    assert str(tmp_path) not in json.dumps(record), "a record does not name files of slides"


def test_a_damaged_result_does_not_stop_the_others(tmp_path: Path) -> None:
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, one_cell(), ("csv",))
    (tmp_path / "a" / "a.slide.run.json").write_text("{")
    (tmp_path / "b" / "a.slide.csv").write_text("hello")
    done = run("convert", tmp_path, "--format", "asap")
    assert done.exit_code == 1
    assert done.stdout == f"{tmp_path / 'c' / 'a.slide.asap.xml'}\n"
    first, second = done.stderr.splitlines()
    assert first.startswith(f"Error: {tmp_path / 'a' / 'a.slide.run.json'}: not a run record")
    assert second.startswith(f"Error: {tmp_path / 'b' / 'a.slide.csv'}")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("results", "--format", "dicom"), 2, "name the slide, or the folder or study that it is in. See --slide"),
        (("results",), 2, "--format"),
        (("results", "--format", "png"), 2, "png"),
        (("nowhere", "--format", "csv"), 1, "nowhere: no such file"),
        ((".", "--format", "csv", "--out", "results/a.slide.csv"), 1, "a file, not a folder"),
        (("results", "--format", "csv", "--slide", "nowhere.svs"), 1, "nowhere.svs"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, said: str
) -> None:
    (tmp_path / "results").mkdir()
    written(tmp_path / "results", one_cell(), ("csv",))
    monkeypatch.chdir(tmp_path)
    refused = run("convert", *arguments)
    assert isinstance(refused.exception, SystemExit), repr(refused.exception)
    assert (refused.exit_code, refused.stdout) == (status, "")
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert names_in(tmp_path) == ["results/a.slide.csv", "results/a.slide.run.json"]


@pytest.mark.parametrize(("name", "library"), [("parquet", "pyarrow"), ("dicom", "highdicom")])
def test_a_library_that_is_not_installed_is_named_before_anything_is_done(
    bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    monkeypatch.setattr("signetscan.extras.util.find_spec", lambda wanted: None if wanted == library else 1)
    written(tmp_path, one_cell(), ("csv",))
    before = names_in(tmp_path)
    for refused in (run("convert", tmp_path, "--format", name), detect(bench, tmp_path / "out", "--format", name)):
        assert refused.exit_code == 1
        error = f'Error: {library} is not installed: pip install "signetscan[formats]"'
        assert refused.stderr.splitlines()[-1] == error
    assert names_in(tmp_path) == before


# ---- detect ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_detect_writes_formats_and_adds_those_asked_for_later(bench: Path, tmp_path: Path) -> None:
    formats = ("--format", "csv", "--format", "parquet", "--format", "geojson.gz")
    first = detect(bench, tmp_path, *formats)
    assert first.exit_code == 0, first.output
    assert [line.strip() for line in first.stdout.splitlines()[1:]] == [
        str(tmp_path / name) for name in ("a.csv", "a.parquet", "a.geojson.gz", "a.run.json")
    ]
    assert names_in(tmp_path) == ["a.csv", "a.geojson.gz", "a.parquet", "a.run.json"]
    with (tmp_path / "a.csv").open(newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert parquet.read_table(tmp_path / "a.parquet")["id"].to_pylist() == ids
    assert len(ids) > 1
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in ("a.csv", "a.parquet", "a.geojson.gz")}
    again = detect(bench, tmp_path, *formats, "--format", "asap", "--format", "heatmap", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["status"] == "skipped"
    assert list(record_of(tmp_path, "a")["files"]) == ["csv", "parquet", "geojson.gz", "asap", "heatmap"]
    assert (tmp_path / "a.asap.xml").exists()
    assert (tmp_path / "a.heatmap.ome.tif").exists()
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in times} == times


@pytest.mark.slow
def test_dicom_of_another_slide_is_a_warning(bench: Path, tmp_path: Path) -> None:
    done = detect(bench, tmp_path, "--format", "csv", "--format", "dicom")
    assert done.exit_code == 0, done.output
    assert "Warning: a: only DICOM slides can have DICOM annotations" in done.stderr
    record = record_of(tmp_path, "a")
    assert (list(record["files"]), list(record["unfit"])) == (["csv"], ["dicom"])
    assert names_in(tmp_path) == ["a.csv", "a.run.json"]
    again = detect(bench, tmp_path, "--format", "csv", "--format", "dicom", "--json")
    assert json.loads(again.stdout)["status"] == "skipped"
    assert "Warning: a: only DICOM slides can have DICOM annotations" in again.stderr


@pytest.mark.slow
def test_dicom_of_a_dicom_slide(bench: Path, shared_slides: Path, tmp_path: Path) -> None:
    slide = tmp_path / "slides" / "c.dcm"
    slide.parent.mkdir()
    shutil.copy(shared_slides / "camelyon_jpeg.dcm", slide)
    options: tuple[object, ...] = ("--model", bench / "tiny.onnx", "--device", "cpu", "--threshold", 0, "--mpp", 0.25)
    out = slide.parent  # beside the slides, where the next batch looks for them
    options += ("--out", out, "--format", "csv", "--format", "dicom", "--format", "heatmap")
    done = run("detect", slide, *options)
    assert done.exit_code == 0, done.output
    assert json.loads(run("detect", slide.parent, *options, "--json").stdout)["status"] == "skipped"
    at_once = (out / "c.ann.dcm").stat().st_size
    assert [task.place for task in find_slides([slide.parent])] == [slide]
    (out / "c.ann.dcm").unlink()
    done = run("convert", out / "c.csv", "--format", "dicom", "--slide", slide.parent)
    assert (done.exit_code, done.stdout) == (0, f"{out / 'c.ann.dcm'}\n"), done.output
    assert (out / "c.ann.dcm").stat().st_size == at_once


def test_dicom_does_not_go_with_pseudonyms(bench: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    refused = detect(bench, tmp_path / "out", "--format", "dicom", "--pseudonymise", tmp_path / "key")
    assert refused.exit_code == 2
    assert "the patient's data" in refused.stderr
    assert not (tmp_path / "out").exists()


# ---- regions --------------------------------------------------------------------------------------------------------

MAPS = ("--format", "classmap", "--format", "heatmap")


@pytest.fixture(scope="module")
def segmented(bench: Path) -> Path:
    """Results of a segmentation in all formats that do not need a DICOM slide."""
    write_tiny_segmenter(bench / "segments.onnx")
    every = (*MAPS, "--format", "geojson", "--format", "csv")
    assert segment(bench, bench / "slides" / "a.svs", bench / "regions", *every).exit_code == 0
    return bench / "regions"


def segment(bench: Path, slide: Path, out: Path, *options: object, model: str = "segments.onnx") -> Result:
    return run("segment", slide, "--model", bench / model, "--device", "cpu", "--out", out, *options)


def test_regions_are_made_of_their_maps(bench: Path, segmented: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    formats = ("--format", "geojson", "--format", "csv", *MAPS)
    done = run("convert", segmented / "a.regions.csv", *formats, "--out", out)
    assert (done.exit_code, done.stderr) == (0, "")
    assert names_in(out) == [name for name in names_in(segmented) if not name.endswith(".run.json")]
    for name in names_in(out):
        assert (out / name).read_bytes() == (segmented / name).read_bytes()
    again = run("convert", segmented / "a.regions.csv", *formats, "--out", out)
    assert again.exit_code == 1
    assert "there is a file of this name already" in again.stderr
    assert segment(bench, bench / "slides" / "a.svs", tmp_path / "few", "--format", "classmap").exit_code == 0
    added = run("convert", tmp_path / "few" / "a.regions.run.json", "--format", "csv", "--format", "geojson")
    assert added.exit_code == 1
    assert "has no heatmap, of which csv and geojson would be made; segment the slide again" in added.stderr
    added = run("convert", tmp_path / "few" / "a.regions.run.json", "--format", "csv")
    assert added.stdout.splitlines() == [str(tmp_path / "few" / "a.regions.csv")]
    assert list(record_of(tmp_path / "few", "a.regions")["files"]) == ["classmap", "csv"]


def test_formats_of_the_other_kind_are_named(segmented: Path, tmp_path: Path) -> None:
    written(tmp_path, one_cell(), ("csv",))
    done = run("convert", tmp_path, "--format", "classmap", "--format", "geojson")
    assert done.exit_code == 1
    assert "a.slide: not written as classmap: detections have no such format" in done.stderr
    assert names_in(tmp_path) == ["a.slide.csv", "a.slide.geojson", "a.slide.run.json"]
    done = run("convert", segmented / "a.regions.run.json", "--format", "parquet", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "a.regions: not written as parquet: regions have no such format" in done.stderr
    assert not (tmp_path / "out").exists()


def test_segments_of_a_real_slide_are_written_at_once_or_later(
    bench: Path, shared_slides: Path, tmp_path: Path
) -> None:
    """All of this slide is bright, so the model takes bright places for the first class, and none for background."""
    bright = make_segmentation_spec(background=2, slide_score=SlideScore(classes=(0, 1), top_share=0.1))
    write_tiny_segmenter(bench / "bright.onnx", metadata=bright.to_metadata())
    slide, options = shared_slides / "highdicom_sm_image.dcm", ("--no-tissue-mask", "--format", "classmap")
    for name, more in (("at once", ("--format", "dicom")), ("later", ())):
        assert segment(bench, slide, tmp_path / name, *options, *more, model="bright.onnx").exit_code == 0
    record = tmp_path / "later" / "highdicom_sm_image.regions.run.json"
    unknown = run("convert", record, "--format", "dicom")
    assert unknown.exit_code == 2
    assert "name the slide, or the folder or study that it is in. See --slide" in unknown.stderr
    done = run("convert", record, "--format", "dicom", "--slide", shared_slides)
    assert (done.exit_code, done.stderr) == (0, "")
    file = "highdicom_sm_image.regions.seg.dcm"
    first, second = (highdicom.seg.segread(tmp_path / name / file) for name in ("at once", "later"))
    assert first.SOPInstanceUID == second.SOPInstanceUID
    classes = tifffile.imread(tmp_path / "later" / "highdicom_sm_image.regions.classmap.ome.tif")
    numbers = np.where(classes < 3, classes, 0)
    assert numbers.any()
    for made in (first, second):
        seen = made.get_total_pixel_matrix(combine_segments=True)
        np.testing.assert_array_equal(seen, numbers[: seen.shape[0], : seen.shape[1]])

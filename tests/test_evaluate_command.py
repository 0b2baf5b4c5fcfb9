"""`signetscan evaluate` as users meet it: real files, wrong inputs, streams and exit status."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from image_results import random_results
from PIL import Image

from signetscan.annotations import boxes_xml
from signetscan.cli.evaluate import ROWS
from signetscan.cli.main import cli
from signetscan.evaluation import AssessOptions, assess
from signetscan.evaluation.assessment import FIGURES
from signetscan.formats.csv_file import write_csv
from signetscan.slides import Mpp
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from signetscan.evaluation import ImageResult

CLASS = "Signet ring cell"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def succeeded(result: Result) -> Result:
    assert result.exception is None, result.output
    return result


def printed(*arguments: object) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(succeeded(run(*arguments, "--json")).stdout)
    return shown


def failed(result: Result, *said: str, status: int = 1) -> None:
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert (result.exit_code, result.stdout) == (status, "")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert all(word in last for word in said), last
    assert "Traceback" not in result.stderr


class Case:
    """An image set on disk, and the same in memory."""

    def __init__(self, folder: Path) -> None:
        self.predictions, self.truth = folder / "found", folder / "data"
        self.results: list[ImageResult] = []
        self.predictions.mkdir()
        for kind in ("pos", "neg"):
            (self.truth / f"sig-train-{kind}").mkdir(parents=True)
        for seed in range(6):
            for number, result in enumerate(random_results(seed)):
                # Files hold two decimals of the predictions and whole pixels of the truth.
                rounded = result.detections.with_boxes(result.detections.boxes.round(2))
                truth = result.truth.round()
                stem = f"S{seed}_2019-02-25 21_57_36-lv0-{number}-0-350-350"
                self.results.append(
                    type(result)(detections=rounded, truth=truth, normal=result.normal, slide=f"S{seed}")
                )
                images = self.truth / f"sig-train-{'neg' if result.normal else 'pos'}"
                Image.new("RGB", (350, 350)).save(images / f"{stem}.jpeg")
                if not result.normal:
                    content = boxes_xml(f"{stem}.jpeg", (350, 350), truth, [CLASS] * len(truth))
                    (images / f"{stem}.xml").write_bytes(content)
                write_csv(self.predictions / f"{stem}.csv", rounded, (CLASS,), source="x", mpp=Mpp(0.25, 0.25))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("an image set"))


def test_figures_of_files_are_those_of_the_arrays(case: Case) -> None:
    options = AssessOptions(threshold=0.5, bootstrap=40, seed=7)
    expected = assess(case.results, options)
    shown = printed(case.predictions, case.truth, "--threshold", 0.5, "--bootstrap", 40, "--seed", 7)
    assert (shown["schema"], shown["class"]) == (1, None)
    assert shown["options"] == {"threshold": 0.5, "iou": 0.3, "bootstrap": 40, "seed": 7}
    assert shown["counts"]["positive_images"] == expected.positives
    assert shown["counts"]["normal_images"] == expected.normals
    assert shown["counts"]["slides"] == 6
    assert shown["intervals"] == {"coverage": 0.95, "resampled": "slides", "with_cells": 6, "without": 0, "few": True}
    assert expected.resampled is not None
    assert shown["intervals"]["with_cells"] == expected.resampled.with_cells
    assert list(shown["figures"]) == list(FIGURES)
    for name, figure in shown["figures"].items():
        # Files are read in another order, so that the intervals are of other draws.
        assert figure["value"] == pytest.approx(expected.figures[name].value, abs=1e-5), name
        assert figure["low"] <= figure["high"]


def test_the_table(case: Case) -> None:
    result = succeeded(run(case.predictions, case.truth, "--bootstrap", 20))
    lines = result.stdout.splitlines()
    assert [name for name, _ in ROWS if name not in FIGURES] == []
    assert {name for name, _ in ROWS} == set(FIGURES)
    for _, label in ROWS:
        (line,) = [line for line in lines if line.startswith(f"{label}  ")]
        assert " to " in line, line
    drawn = "Intervals: 20 resamples, seed 0, of 6 slides with cells"
    assert lines[-1] == f"{drawn}; fewer than 8 of a kind, so the true intervals are wider"
    assert "scores from 0;" in lines[1]
    assert "no run record tells the model's" in result.stderr
    assert "positive images with" in lines[0]
    assert all(line == line.rstrip() for line in lines)


def test_without_intervals(case: Case) -> None:
    result = succeeded(run(case.predictions, case.truth, "--bootstrap", 0))
    assert " to " not in result.stdout.split("\n", 3)[3]
    assert "interval" not in result.output.casefold()


def test_same_seed_same_output(case: Case) -> None:
    once, again = (run(case.predictions, case.truth, "--bootstrap", 30, "--seed", 3).stdout for _ in range(2))
    assert once == again


def test_files_of_a_report(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "made" / "report"
    result = succeeded(run(case.predictions, case.truth, "--bootstrap", 20, "--out", out))
    names = ["froc.png", "pr.png", "calibration.png", "metrics.json"]
    assert result.stdout.splitlines()[-4:] == [f"  {out / name}" for name in names]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    written = json.loads((out / "metrics.json").read_text())
    assert written == printed(case.predictions, case.truth, "--bootstrap", 20, "--out", out)
    assert written["notes"] == [line.removeprefix("Note: ") for line in result.stderr.splitlines()]


def test_a_higher_iou_finds_less(case: Case) -> None:
    recalls = [
        printed(case.predictions, case.truth, "--iou", iou, "--bootstrap", 0)["figures"]["recall"]["value"]
        for iou in (0.3, 0.6, 1.0)
    ]
    assert recalls[0] > recalls[1] > recalls[2] == 0


def test_notes_are_on_stderr_unless_quiet(case: Case, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    paths = sorted(case.predictions.iterdir())
    for path in paths[:3]:
        (few / path.name).write_bytes(path.read_bytes())
    (few / "other.csv").write_bytes(paths[0].read_bytes())
    result = succeeded(run(few, case.truth, "--bootstrap", 0))
    notes = result.stderr.splitlines()
    assert "Note: Predictions left out, without truth: 1, namely other.csv" in notes
    missing = [line for line in notes if "without a file of predictions" in line]
    assert sum(int(line.split(": ")[2].split(",")[0]) for line in missing) == len(paths) - 3
    assert "Note" not in result.stdout
    assert succeeded(run(few, case.truth, "--bootstrap", 0, "--quiet")).stderr == ""


@pytest.mark.usefixtures("ready_workers")
def test_a_slide_from_end_to_end(tmp_path: Path, small_slide: Path) -> None:
    """Simulate, detect, evaluate by the simulator's truth: nothing in between but the files."""
    for file in small_slide.parent.iterdir():
        shutil.copy(file, tmp_path / file.name.replace("a.", "s.", 1))
    model = write_tiny_model(tmp_path / "tiny.onnx")
    detected = CliRunner().invoke(
        cli, ["detect", str(tmp_path / "s.svs"), "--model", str(model), "--out", str(tmp_path / "out")]
    )
    assert detected.exit_code == 0, detected.output
    truth = tmp_path / "s.truth.geojson"
    for predictions in (tmp_path / "out", tmp_path / "out" / "s.geojson", tmp_path / "out" / "s.csv"):
        shown = printed(predictions, truth)
        assert (shown["counts"]["positive_images"], shown["counts"]["normal_images"]) == (2, 2)
        assert shown["counts"]["cells"] > 0
        assert shown["intervals"]["resampled"] == "images", "of one slide, its regions"
        assert shown["options"]["threshold"] == 0.5, "the model's, by the run record"
    perfect = printed(truth, truth)["figures"]
    for name in ("froc", "recall", "counted_recall", "precision", "ap50", "f1", "best_f1"):
        assert [perfect[name][key] for key in ("value", "low", "high")] == [1, 1, 1]
    assert perfect["fps_score"]["value"] == 100


def test_what_figures_lack_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x0,y0,x1,y1\n0,0,50,50\n")
    (tmp_path / "f.csv").write_text("x0,y0,x1,y1,score\n0,0,50,50,0.5\n")
    result = succeeded(run(tmp_path / "f.csv", tmp_path / "t.csv"))
    assert "1 positive image with 1 cell, 0 normal images of 1 slide; 1 detection\n" in result.stdout
    assert [line.split()[:4] for line in result.stderr.splitlines()] == [
        ["Note:", "No", "normal", "image:"],
        ["Note:", "No", "threshold", "was"],
        ["Note:", "No", "intervals:", "they"],
    ]
    (tmp_path / "t.csv").write_text("x0,y0,x1,y1\n")
    result = succeeded(run(tmp_path / "f.csv", tmp_path / "t.csv", "--bootstrap", 0))
    assert "No cell in the truth" in result.stderr
    assert "end at 1.00 false positives per normal image" in result.stderr


# ---- wrong inputs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--iou", "0"), "0.0 is not in the range 0<x<=1"),
        (("--iou", "nan"), "iou"),
        (("--threshold", "1.5"), "1.5 is not in the range 0<=x<=1"),
        (("--bootstrap", "-1"), "-1 is not in the range 0<=x<=100000"),
        (("--seed", "-1"), "-1 is not in the range"),
        (("--bootstrap", "many"), "'many' is not a valid integer"),
        (("--truth-origin", "here"), "'here' is not one of"),
    ],
)
def test_wrong_options(case: Case, options: tuple[str, ...], said: str) -> None:
    failed(run(case.predictions, case.truth, *options), said, status=2)


def test_wrong_files(case: Case, tmp_path: Path) -> None:
    failed(run(tmp_path / "no", case.truth), "no such file or folder", str(tmp_path / "no"))
    failed(run(case.predictions, tmp_path / "no"), "no such file or folder")
    failed(run(case.truth, case.predictions), "has no file of boxes")
    failed(run(case.predictions, case.truth, "--class", "Mitosis"), "no object of the class 'Mitosis'", CLASS)
    failed(run(case.predictions, case.predictions, "--full-truth"), "only simulated data sets have the full truth")
    broken = tmp_path / "broken.geojson"
    for content in ("", "{}", '{"type":"FeatureCollection","features":[{}]}'):
        broken.write_text(content)
        failed(run(broken, broken), str(broken))
    failed(run(case.predictions, case.truth, "--out", broken), str(broken), "a file, not a folder")


def test_without_matplotlib_only_plots_are_missing(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    failed(run(case.predictions, case.truth, "--out", tmp_path / "out"), 'pip install "signetscan[report]"')
    assert not (tmp_path / "out").exists()
    assert np.isfinite(printed(case.predictions, case.truth, "--bootstrap", 0)["figures"]["froc"]["value"])

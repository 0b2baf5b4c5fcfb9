"""`signetscan detect --measure`, as a user meets it: with and without regions of tissue, again, and converted."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from pyarrow import parquet

from signetscan.cli.main import cli
from signetscan.formats.csv_file import COLUMNS
from signetscan.measurements import MEASURES
from signetscan.testing.tiny_model import write_tiny_model
from signetscan.testing.tiny_segmenter import write_tiny_segmenter

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

NAMES = [measure.column for measure in MEASURES]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_slide: Path, ready_workers: None) -> Path:
    """A folder with a slide, a model that finds one box in each tile, and one that segments by darkness."""
    folder = tmp_path_factory.mktemp("bench")
    shutil.copy(small_slide, folder)
    write_tiny_model(folder / "tiny.onnx")
    write_tiny_segmenter(folder / "tissue.onnx")
    return folder


def detect(bench: Path, out: Path, *options: object) -> Result:
    model = ("--model", bench / "tiny.onnx", "--device", "cpu", "--threshold", 0.05)
    return run("detect", bench / "a.svs", "--out", out, *model, *options)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.usefixtures("no_settings")
def test_cells_are_measured_when_asked_and_only_then(bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert detect(bench, out).exit_code == 0
    plain = {path.name: path.read_bytes() for path in out.iterdir()}
    assert [*rows_of(out / "a.csv")[0]] == [*COLUMNS]
    done = detect(bench, out, "--measure")
    assert done.exit_code == 0, done.output
    rows = rows_of(out / "a.csv")
    assert [*rows[0]] == [*COLUMNS, *NAMES]
    assert len(rows) > 3
    assert all(float(row["haematoxylin_od_mean"]) >= -1 for row in rows)
    assert "already done" in detect(bench, out, "--measure").output
    done = run("convert", out, "--format", "parquet", "--format", "geojson.gz", "--out", tmp_path / "more")
    assert done.exit_code == 0, done.output
    table = parquet.read_table(tmp_path / "more" / "a.parquet")
    assert table.column_names[-len(NAMES) :] == NAMES
    assert [table[name].to_pylist() for name in NAMES] == [[float(row[name]) for row in rows] for name in NAMES]
    assert json.loads(table.schema.metadata[b"signetscan"])["measurements"].keys() >= {"Pale share"}
    assert detect(bench, out).exit_code == 0
    for name in ("a.csv", "a.geojson"):
        assert (out / name).read_bytes() == plain[name]


@pytest.mark.slow
@pytest.mark.usefixtures("no_settings")
def test_cells_get_the_tissue_that_segment_found_there(bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert detect(bench, out, "--measure").exit_code == 0
    segmented = run("segment", bench / "a.svs", "--model", bench / "tissue.onnx", "--out", out, "--device", "cpu")
    assert segmented.exit_code == 0, segmented.output
    done = detect(bench, out, "--measure")
    assert "already done" not in done.output
    rows = rows_of(out / "a.csv")
    classes = tifffile.imread(out / "a.regions.classmap.ome.tif", level=0)
    record = json.loads((out / "a.regions.run.json").read_text())["regions"]
    names = ["", "Background", "Low grade", "High grade"]
    for row in rows:
        x = (float(row["x0_px"]) + float(row["x1_px"])) / 2 / record["map"]["pixel_width_px"]
        y = (float(row["y0_px"]) + float(row["y1_px"])) / 2 / record["map"]["pixel_height_px"]
        assert row["tissue"] == names[np.asarray(classes)[int(y), int(x)]]
    assert any(row["tissue"] for row in rows)
    features = json.loads((out / "a.geojson").read_text())["features"]
    assert [feature["properties"]["metadata"].get("Tissue", "") for feature in features] == [
        row["tissue"] for row in rows
    ]
    assert "already done" in detect(bench, out, "--measure").output
    (out / "a.regions.classmap.ome.tif").unlink()
    done = detect(bench, out, "--measure")
    assert done.exit_code == 0
    assert "cells have no tissue among their measurements" in done.output
    assert "tissue" not in rows_of(out / "a.csv")[0]

"""A Dask cluster, run in a separate process, because it starts processes of its own and emits warnings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from conftest import ROOT

from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    (tmp_path / "slides").mkdir()
    path = tmp_path / "slides" / "a.svs"
    write_slide(path, SlideOptions(width=1024, height=1024, region=400, seed=5))
    write_tiny_model(tmp_path / "tiny.onnx")
    return path


def run(*command: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603


@pytest.mark.slow
def test_slides_of_a_killed_and_of_a_stalled_worker_are_scanned(slide: Path, tmp_path: Path) -> None:
    done = run(
        ROOT / "scripts" / "tools" / "check_cluster.py",
        slide,
        "--model",
        tmp_path / "tiny.onnx",
        "--copies",
        9,
        "--tile-size",
        64,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1 stalled, 1 killed: ")


@pytest.mark.slow
def test_the_command_starts_a_local_cluster(slide: Path, tmp_path: Path) -> None:
    shutil.copy(slide, slide.with_name("b.svs"))
    slide.with_name("bad.svs").write_text("no slide")
    command = ("-m", "signetscan", "detect", slide.parent, "--out", tmp_path / "out", "--model", tmp_path / "tiny.onnx")
    done = run(*command, "--device", "cpu", "--dask", "local", "--workers", 2, "--json")
    assert done.returncode == 3, done.stderr
    said = {line["slide"]: line["status"] for line in map(json.loads, done.stdout.splitlines())}
    assert said == {"a": "done", "b": "done", "bad": "failed"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".geojson") == [
        "a.geojson",
        "b.geojson",
    ]
    assert (tmp_path / "out" / "bad.failed.json").exists()
    wrong = run(*command, "--dask", "tcp://127.0.0.1:1", "--device", "cpu")
    assert wrong.returncode == 4, wrong.stderr
    assert "cannot connect to this cluster" in wrong.stderr
    senseless = run(*command, "--dask", "local", "--device", "cpu", "--tile-size", 64, "--overlap", 64)
    assert senseless.returncode == 2, senseless.stderr
    assert "overlap 64 must be from 0 to below the tile size 64. See --tile-size and --overlap" in senseless.stderr
    assert "cannot connect to this cluster" not in senseless.stderr

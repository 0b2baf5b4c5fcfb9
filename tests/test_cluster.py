"""A Dask cluster, run in a separate process, because it starts processes of its own and emits warnings."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from signetscan.testing.tiny_model import write_tiny_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")


@pytest.fixture
def slide(tmp_path: Path, small_slide: Path) -> Path:
    (tmp_path / "slides").mkdir()
    write_tiny_model(tmp_path / "tiny.onnx")
    return Path(shutil.copy(small_slide, tmp_path / "slides"))


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
        6,
        "--tile-size",
        128,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1 stalled, 1 killed: ")


@pytest.mark.slow
def test_the_command_takes_this_machine_for_a_cluster(slide: Path, tmp_path: Path) -> None:
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
    (tmp_path / "scheduler.json").write_text("{}")
    empty = run(*command, "--dask", tmp_path / "scheduler.json")
    assert empty.returncode == 4, empty.stderr
    assert "cannot connect to this cluster" in empty.stderr
    wrong = run(*command, "--dask", "tcp://127.0.0.1:1", "--device", "cpu")
    assert wrong.returncode == 4, wrong.stderr
    assert "cannot connect to this cluster" in wrong.stderr
    senseless = run(*command, "--dask", "local", "--device", "cpu", "--tile-size", 64, "--overlap", 64)
    assert senseless.returncode == 2, senseless.stderr
    assert "overlap 64 must be from 0 to below the tile size 64. See --tile-size and --overlap" in senseless.stderr
    assert "cannot connect to this cluster" not in senseless.stderr


def listening(pids: set[int]) -> list[str]:
    """Addresses at which processes listen for TCP, as in /proc."""
    sockets = set()
    for pid in pids:
        for number in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(str(number.readlink()))
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    lines = [line.split() for line in tables.splitlines() if ":" in line]
    return [line[1] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


@pytest.mark.slow
def test_a_batch_of_this_machine_listens_nowhere(slide: Path, tmp_path: Path) -> None:
    """Whoever can connect to a Dask scheduler can run code in its workers."""
    command = [sys.executable, "-m", "signetscan", "detect", str(slide), "--out", str(tmp_path / "out")]
    command += [
        "--model",
        str(tmp_path / "tiny.onnx"),
        "--device",
        "cpu",
        "--dask",
        "local",
        "--tile-size",
        "64",
        "--overlap",
        "32",
    ]
    heard: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as batch:  # noqa: S603
        while batch.poll() is None:
            pids = {batch.pid, *map(int, Path(f"/proc/{batch.pid}/task/{batch.pid}/children").read_text().split())}
            heard += listening(pids)
            time.sleep(0.05)
    assert batch.returncode == 0
    assert heard == []


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_run_in_words(slide: Path, tmp_path: Path) -> None:
    for number in range(20):
        shutil.copy(slide, slide.with_name(f"s{number}.svs"))
    file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1"]
    out = tmp_path / "out"
    job = [sys.executable, "-m", "signetscan", "detect", str(slide.parent), "--out", str(out), "--device", "cpu"]
    job += ["--model", str(tmp_path / "tiny.onnx"), "--dask", str(file), "--tile-size", "64", "--overlap", "32"]
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(
            subprocess.Popen([*dask, "--no-dashboard", "--scheduler-file", str(file)], stderr=subprocess.DEVNULL)  # noqa: S603
        )
        stack.callback(scheduler.kill)
        workers = stack.enter_context(subprocess.Popen([*worker, "--no-dashboard"], stderr=subprocess.DEVNULL))  # noqa: S603
        stack.callback(workers.terminate)
        scan = stack.enter_context(subprocess.Popen(job, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True))  # noqa: S603
        end = time.monotonic() + 120
        while not list(out.glob("*.run.json")):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)
        scheduler.kill()
        _, said = scan.communicate(timeout=120)
    assert scan.returncode == 4, said
    assert "the connection to the cluster's scheduler is lost" in said
    assert "Traceback" not in said

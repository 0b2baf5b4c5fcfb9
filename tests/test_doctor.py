"""What `doctor` finds on machines that lack something or are broken; `test_batch_command.py` has one that is well."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import pytest

from signetscan import doctor
from signetscan.doctor import Finding, check_machine
from signetscan.errors import DeviceError, SlideError
from signetscan.models.runtime import BOTH_RUNTIMES, CUDA_PROVIDER, TENSORRT_PROVIDER
from signetscan.slides import ArraySlide
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny.onnx")


def found(model: Path) -> dict[str, Finding]:
    findings = list(check_machine(str(model), model.parent / "not there"))
    assert len({each.part for each in findings}) == len(findings)
    return {each.part: each for each in findings}


def states(model: Path) -> dict[str, str]:
    return {part: each.state for part, each in found(model).items()}


def test_wrong_pixels_and_slides_that_cannot_be_read_are_broken(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    black = ArraySlide([np.zeros((doctor.SIDE, doctor.SIDE, 3), np.uint8)], mpp=0.25)
    monkeypatch.setattr(doctor, "open_slide", lambda *_, **__: black)
    slides = found(model)["slides"]
    assert (slides.state, "reads other pixels than were written" in slides.detail) == ("broken", True)

    def fail(*_: object, **__: object) -> None:
        message = "test.tif: not a slide"
        raise SlideError(message)

    monkeypatch.setattr(doctor, "open_slide", fail)
    assert found(model)["slides"] == Finding(part="slides", state="broken", detail="test.tif: not a slide")


def test_a_decoder_that_was_not_built_in_is_absent_and_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(model)["decoders"] == "ok"
    monkeypatch.setattr(imagecodecs, "JPEG2K", SimpleNamespace(available=False))
    decoders = found(model)["decoders"]
    assert (decoders.state, "lacks JPEG2K;" in decoders.detail) == ("absent", True)


@pytest.mark.parametrize(
    ("versions", "state", "said"),
    [
        ({}, "broken", "not installed"),
        ({"onnxruntime": "1"}, "ok", "onnxruntime 1"),
        ({"onnxruntime": "1", "onnxruntime-gpu": "2"}, "broken", BOTH_RUNTIMES),
    ],
)
def test_one_runtime_is_right_and_two_are_wrong(
    model: Path, monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], state: str, said: str
) -> None:
    monkeypatch.setattr(doctor, "runtime_versions", lambda: versions)
    runtime = found(model)["runtime"]
    assert (runtime.state, runtime.detail) == (state, said)


def test_a_gpu_that_a_gpu_build_cannot_use_is_broken_and_tensorrt_optional(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"model on cuda", "model on tensorrt"}.isdisjoint(states(model)), "a CPU build is not asked"
    monkeypatch.setattr(doctor, "available_providers", lambda: [TENSORRT_PROVIDER, CUDA_PROVIDER])
    each = found(model)
    assert (each["model on cpu"].state, each["model on cuda"].state, each["model on tensorrt"].state) == (
        "ok",
        "broken",
        "absent",
    )
    assert each["model on cuda"].detail.startswith("device cuda: ")
    monkeypatch.setattr(doctor, "_run", lambda _model, device: f"ran on {device}")
    assert found(model)["model on cuda"] == Finding(part="model on cuda", state="ok", detail="ran on cuda")


def test_without_a_runtime_nothing_is_run(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> list[str]:
        message = "no runtime is installed"
        raise DeviceError(message)

    monkeypatch.setattr(doctor, "available_providers", absent)
    assert found(model)["model on cpu"] == Finding(
        part="model on cpu", state="broken", detail="no runtime is installed"
    )


def test_what_the_driver_says_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert states(model)["gpu"] == "absent"
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    answers = [
        subprocess.CompletedProcess([], 9, "", "couldn't communicate with the NVIDIA driver\n" + "x" * 500),
        subprocess.CompletedProcess([], 0, "GPU A, 555, 24 GiB\nGPU B, 555, 24 GiB\n", ""),
    ]
    monkeypatch.setattr("subprocess.run", lambda *_, **__: answers.pop(0))
    lost, there = found(model)["gpu"], found(model)["gpu"]
    assert (lost.state, len(lost.detail)) == ("absent", len("nvidia-smi: ") + 200)
    assert lost.detail.startswith("nvidia-smi: couldn't communicate")
    assert there == Finding(part="gpu", state="ok", detail="GPU A, 555, 24 GiB; GPU B, 555, 24 GiB")


def test_a_full_disk_is_broken(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((4.9e9, "broken"), (5.1e9, "ok")):
        monkeypatch.setattr(doctor, "free_bytes", lambda _out, free=free: free)
        disk = found(model)["disk"]
        assert (disk.state, disk.detail.startswith("5 GB free for results in ")) == (state, True)

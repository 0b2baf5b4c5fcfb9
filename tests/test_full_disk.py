"""Files of training on a disk without room: an error that says so, and nothing half-written."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from signetscan.errors import OutputError
from signetscan.training.checkpoint import load_checkpoint, save_checkpoint
from signetscan.training.export import export_model
from signetscan.training.logs import open_log
from signetscan.training.spec import make_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes; Python turns the refusal into the error of a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_has_no_room_leaves_the_one_before(trained: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(trained / "best.pt")
    save_checkpoint(tmp_path / "last.pt", checkpoint)
    before = (tmp_path / "last.pt").read_bytes()
    with room_for(10_000), pytest.raises(OutputError, match=r"last\.pt: cannot be written: File too large"):
        save_checkpoint(tmp_path / "last.pt", checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    assert (tmp_path / "last.pt").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("known_graphs")
def test_a_model_that_has_no_room_is_not_there(trained: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(trained / "best.pt")
    spec = make_spec(checkpoint, name="toy")
    export_model(checkpoint.make_network(), spec, tmp_path / "toy.onnx")
    (tmp_path / "toy.onnx").unlink()
    with room_for(10_000), pytest.raises(OutputError, match=r"toy\.onnx: cannot be written"):
        export_model(checkpoint.make_network(), spec, tmp_path / "toy.onnx")
    assert list(tmp_path.iterdir()) == []


def test_events_that_have_no_room_stop_the_run_with_a_word(tmp_path: Path) -> None:
    with (
        room_for(100),
        pytest.raises(OutputError, match="the run's events cannot be written: File too large"),
        open_log(tmp_path, 0) as log,
    ):
        log.epoch([{"epoch": 1, "loss_class": 0.5, "loss_box": 0.5}])

"""What a run writes down, read back by TensorBoard's own reader."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from toy_images import TINY

from signetscan.errors import OutputError
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.engine import train
from signetscan.training.logs import open_log

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset import Dataset


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of all scalars in a folder, by tag."""
    reader = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    reader.Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_losses_of_batches_are_means_over_ten(tmp_path: Path) -> None:
    with open_log(tmp_path, 0) as log:
        for number in range(25):
            log.batch({"loss_class": number, "loss_box": 2.0 * number})
    found = points(tmp_path)
    assert found["batch/loss_class"] == [(10, 4.5), (20, 14.5)]
    assert found["batch/loss_box"] == [(10, 9.0), (20, 29.0)]


def test_every_column_of_the_table_is_a_curve(tmp_path: Path) -> None:
    history = [{"epoch": 1.0, "froc": 0.25, "precision": float("nan")}, {"epoch": 2.0, "froc": 0.5, "precision": 0.125}]
    with open_log(tmp_path, 0) as log:
        for done in (1, 2):
            for _ in range(7):
                log.batch({"loss_class": 1.0})
            log.epoch(history[:done])
            assert len(points(tmp_path)["epoch/froc"]) == done, "on disk as soon as the epoch is done"
    found = points(tmp_path)
    assert found["epoch/froc"] == [(7, 0.25), (14, 0.5)]
    assert found["epoch/precision"] == [(14, 0.125)], "what is not defined has no point"
    assert "epoch/epoch" not in found
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["epoch", "froc", "precision"], ["1", "0.25", "nan"], ["2", "0.5", "0.125"]]


def test_a_later_start_takes_back_what_it_does_again(tmp_path: Path) -> None:
    """Killed in its third epoch, started anew after the second; and once more, from the beginning."""
    with open_log(tmp_path, 0) as log:
        for number in range(30):
            log.batch({"loss_class": float(number)})
        log.epoch([{"epoch": 3.0, "froc": 0.1}])
    with open_log(tmp_path, 20) as log:
        for _ in range(20):
            log.batch({"loss_class": 100.0})
        log.epoch([{"epoch": 3.0, "froc": 0.9}])
    found = points(tmp_path)
    assert found["batch/loss_class"] == [(10, 4.5), (20, 14.5), (30, 100.0), (40, 100.0)]
    assert found["epoch/froc"] == [(40, float(np.float32(0.9)))]
    for _ in range(10):  # so that names with two digits are read after those with one
        with open_log(tmp_path, 0) as log:
            for _ in range(10):
                log.batch({"loss_class": 7.0})
    assert points(tmp_path)["batch/loss_class"] == [(10, 7.0)]


class StopTrainingError(Exception):
    """Stands for a kill."""


def test_a_resumed_run_shows_each_batch_and_epoch_once(toy_set: Dataset, tmp_path: Path) -> None:
    options = replace(TINY, batches=10, batch_size=2, epochs=3)

    def stop(done: int, _total: int) -> None:
        if done == 20:  # the second epoch is trained, and not kept
            raise StopTrainingError

    with pytest.raises(StopTrainingError):
        train(toy_set, options, tmp_path, device="cpu", on_progress=stop)
    assert [step for step, _ in points(tmp_path)["batch/loss_class"]] == [10, 20]
    train(toy_set, options, tmp_path, device="cpu", resume=True)
    found = points(tmp_path)
    assert [step for step, _ in found["batch/loss_class"]] == [10, 20, 30]
    history = load_checkpoint(tmp_path / "last.pt").history
    for name in ("loss_class", "loss_box", "rate", "froc", "recall", "threshold", "seconds"):
        expected = [(10 * number, float(np.float32(row[name]))) for number, row in enumerate(history, start=1)]
        assert found[f"epoch/{name}"] == expected
    for one, row in zip(found["batch/loss_class"], history, strict=True):
        assert one[1] == pytest.approx(row["loss_class"]), "the mean over ten batches, which are an epoch here"
    files = sorted(path.name for path in tmp_path.iterdir())
    train(toy_set, options, tmp_path, device="cpu", resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == files, "nothing was left to do or to say"


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"), open_log(tmp_path / "file", 0):
        pass

"""The second stage: which detections become boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from image_results import detections, square
from toy_images import TINY

from signetscan.cli.main import cli
from signetscan.dataset import AnnotatedImage, hold_out
from signetscan.errors import OptionError, TrainingError
from signetscan.evaluation import ImageResult
from signetscan.training import pseudo_labels as pseudo_labels_module
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.pseudo_labels import (
    PRECISION,
    TYPICAL,
    add_sure_detections,
    label_dataset,
    scores_on_given,
    sure_score,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.dataset import Dataset

SCORES = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]), max_size=30).map(np.array)


def image(boxes: list[list[float]], *, normal: bool = False, labels: list[int] | None = None) -> AnnotatedImage:
    return AnnotatedImage(
        path=Path("n.png" if normal else "p.png"),
        width=1000,
        height=1000,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.array(labels or [0] * len(boxes), np.int64),
        normal=normal,
        slide="",
    )


def result(found: list[tuple[list[float], float]], labels: list[int] | None = None) -> ImageResult:
    boxes, scores = [box for box, _ in found], [score for _, score in found]
    return ImageResult(detections=detections(boxes, scores, labels), truth=np.empty((0, 4)), normal=False)


@given(scores=SCORES, false=SCORES, ratio=st.floats(0.1, 5), precision=st.sampled_from([0.5, 0.9, 1.0]))
def test_sure_score_is_the_lowest_that_keeps_its_promise(
    scores: np.ndarray, false: np.ndarray, ratio: float, precision: float
) -> None:
    def promise(level: float) -> bool:
        taken = sum(score >= level for score in scores)
        return bool(taken - ratio * sum(score >= level for score in false) >= precision * taken)

    expected = min((level for level in scores.tolist() if promise(level)), default=np.inf)
    assert sure_score(scores, false, ratio, precision) == expected


def test_detections_as_sure_as_the_given_boxes_are_added_behind_them() -> None:
    given_boxes = [square(100 * number, 0) for number in range(4)]
    found = [(box, score) for box, score in zip(given_boxes, (0.3, 0.5, 0.7, 0.9), strict=True)]
    typical = float(np.quantile([0.3, 0.5, 0.7, 0.9], TYPICAL))
    beside = [(square(0, 300), typical + 0.01), (square(100, 300), typical - 0.01), (square(5, 0), 0.29)]
    images = [image(given_boxes), image([], normal=True)]
    labels = add_sure_detections(images, [result(found + beside), result([])], classes=1)
    assert labels.added == 1
    assert labels.images[0].boxes.tolist() == [*given_boxes, square(0, 300)], "what lies on a given box is that cell"
    assert labels.images[0].labels.tolist() == [0] * 5
    assert labels.images[1] is images[1]
    assert labels.thresholds == pytest.approx([typical], abs=0.02)


def test_what_may_be_a_cell_once_more_is_left_out() -> None:
    images = [image([square(0, 0)]), image([], normal=True)]
    found = [
        (square(0, 0), 0.5),
        (square(35, 0), 0.9),
        (square(45, 0), 0.6),
        (square(48, 300), 0.7),
        (square(80, 300), 0.8),
    ]
    labels = add_sure_detections(images, [result(found), result([])], classes=1)
    added = labels.images[0].boxes[1:].tolist()
    assert added == [square(80, 300), square(45, 0)], "neighbours that hardly touch, and the surer of two that overlap"


def test_false_positives_in_normal_images_raise_the_bar() -> None:
    images = [image([square(0, 0)]), image([], normal=True)]
    beside = [(square(100 * number, 300), 0.60 + number / 100) for number in range(10)]
    seen = result([(square(0, 0), 0.5), *beside])
    assert add_sure_detections(images, [seen, result([])], classes=1).added == 10
    one_false = result([(square(0, 0), 0.605)])
    assert add_sure_detections(images, [seen, one_false], classes=1).added == 10, "1 false of 10 is what is allowed"
    two_false = result([(square(0, 0), 0.605), (square(500, 0), 0.645)])
    assert PRECISION == 0.9
    assert add_sure_detections(images, [seen, two_false], classes=1).added == 5


def test_each_class_has_its_own_bar_and_keeps_its_label() -> None:
    images = [image([square(0, 0), square(100, 0)], labels=[0, 1]), image([], normal=True)]
    found = [(square(0, 0), 0.9), (square(100, 0), 0.2), (square(0, 300), 0.5), (square(100, 300), 0.5)]
    labels = add_sure_detections(images, [result(found, [0, 1, 0, 1]), result([])], classes=2)
    assert labels.images[0].labels.tolist() == [0, 1, 1]
    assert labels.images[0].boxes[2].tolist() == square(100, 300)


def test_a_class_without_any_given_box_gets_none() -> None:
    images = [image([square(0, 0)]), image([], normal=True)]
    labels = add_sure_detections(images, [result([(square(300, 300), 0.9)], [1]), result([])], classes=2)
    assert labels.added == 0
    assert labels.thresholds[1] == np.inf


def test_a_given_box_that_nothing_found_counts_as_score_0() -> None:
    scores = scores_on_given(
        image([square(0, 0), square(500, 0)]), result([(square(2, 0), 0.4), (square(0, 0), 0.3)]), 0
    )
    assert scores == pytest.approx([0.4, 0.0])


CPU = torch.device("cpu")


def without_every_other_box(dataset: Dataset) -> Dataset:
    images = tuple(replace(one, boxes=one.boxes[::2], labels=one.labels[::2]) for one in dataset.images)
    return replace(dataset, images=images)


def test_dropped_cells_that_the_teacher_finds_come_back_but_not_where_it_is_judged(
    trained: Path, toy_set: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a teacher that finds every cell, and doubts what it sees in between."""
    partial = without_every_other_box(toy_set)
    truth = {one.path: one.boxes.tolist() for one in toy_set.images}

    def find_all(_network: object, _run: object, images: Sequence[AnnotatedImage], _where: object) -> list[ImageResult]:
        doubtful = [(square(x, 0, 20), 0.3) for x in (0, 100, 200)]
        return [result([*((box, 0.9) for box in truth[one.path]), *doubtful]) for one in images]

    monkeypatch.setattr(pseudo_labels_module, "detect_images", find_all)
    labelled, labels = label_dataset(partial, trained / "best.pt", TINY, CPU)
    _, held_out = hold_out(partial.images, TINY.validation_split, None, TINY.seed)
    added_positives = 0
    for whole, before, after in zip(toy_set.images, partial.images, labelled.images, strict=True):
        if any(before is one for one in held_out):
            assert after is before, "what validates is what people drew"
        else:
            assert sorted(after.boxes.tolist()) == sorted(whole.boxes.tolist())
            assert after.boxes[: len(before.boxes)].tolist() == before.boxes.tolist()
            added_positives += len(whole.boxes) - len(before.boxes)
    assert 0 < labelled.pseudo_labels == labels.added == added_positives


def test_nothing_is_labelled_without_normal_images_or_by_a_stranger(trained: Path, toy_set: Dataset) -> None:
    positives = replace(toy_set, images=tuple(one for one in toy_set.images if not one.normal))
    with pytest.raises(TrainingError, match="need images without cells"):
        label_dataset(positives, trained / "best.pt", TINY, CPU)
    with pytest.raises(OptionError, match=r"detects .* at 0.25 µm/px, but the data has .* at 0.5"):
        label_dataset(replace(toy_set, mpp=0.5), trained / "best.pt", TINY, CPU)
    with pytest.raises(TrainingError, match=r"none\.pt: cannot be read"):
        label_dataset(toy_set, trained / "none.pt", TINY, CPU)


def test_the_command_says_what_the_teacher_added_and_the_run_remembers_it(
    trained: Path, toy_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "partial"
    for source in toy_folder.rglob("*.*"):
        target = data / source.relative_to(toy_folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_bytes()
        if source.suffix == ".xml":
            head, *objects = text.split(b"<object>")
            tail = objects[-1].partition(b"</object>")[2] if objects else b""
            kept = [b"<object>" + one.partition(b"</object>")[0] + b"</object>" for one in objects[::2]]
            text = head + b"".join(kept) + tail
        target.write_bytes(text)
    arguments = [
        "train",
        data,
        "--preset",
        "fast",
        "--width",
        8,
        "--fpn-channels",
        16,
        "--crop",
        128,
        "--batch-size",
        2,
    ]
    arguments += ["--batches", 1, "--epochs", 1, "--pseudo-labels", trained / "best.pt", "--out", tmp_path / "run"]
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    said = next(line for line in result.stderr.splitlines() if line.startswith(str(trained)))
    count = int(said.removeprefix(f"{trained / 'best.pt'} adds ").partition(" ")[0])
    assert count > 0
    assert f"({count} pseudo-labels)" in load_checkpoint(tmp_path / "run" / "last.pt").data

"""Scoring a network on held-out images of two classes. What it finds is made up; the rest is the real thing."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from toy_images import TINY

from signetscan.detections import Detections
from signetscan.training import validation as validation_module
from signetscan.training.checkpoint import Checkpoint
from signetscan.training.retinanet import RetinaNet
from signetscan.training.validation import validate

if TYPE_CHECKING:
    from signetscan.dataset import Dataset
    from signetscan.evaluation import Scores


def scores_of(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, *, swapped: tuple[int, ...]) -> Scores:
    """Scores of a network that finds every cell, and takes those of some classes for the other one."""
    images = [replace(image, labels=np.arange(len(image.boxes)) % 2) for image in dataset.images]
    answers = iter(images)

    def detect_slide(*_args: object) -> SimpleNamespace:
        image = next(answers)
        labels = np.where(np.isin(image.labels, swapped), 1 - image.labels, image.labels)
        scores = np.full(len(labels), 0.9, np.float32)
        return SimpleNamespace(detections=Detections(boxes=image.boxes, scores=scores, labels=labels))

    monkeypatch.setattr(validation_module, "detect_slide", detect_slide)
    options = replace(TINY, architecture=replace(TINY.architecture, classes=2))
    checkpoint = Checkpoint(
        options=options,
        class_names=("ring", "disc"),
        mpp=0.25,
        data="",
        data_digest="",
        epoch=0,
        threshold=0.5,
        network={},
    )
    validation = validate(RetinaNet(options.architecture).eval(), checkpoint, images, torch.device("cpu"))
    assert validation is not None
    return validation.scores


def test_a_cell_found_as_the_other_class_is_not_found(toy_set: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    right = scores_of(toy_set, monkeypatch, swapped=())
    assert (right.froc, right.recall, right.precision, right.fps_score) == (1, 1, 1, 100)
    wrong = scores_of(toy_set, monkeypatch, swapped=(0, 1))
    assert (wrong.froc, wrong.recall, wrong.precision) == (0, 0, 0)


def test_froc_is_the_mean_over_classes_and_recall_is_of_all_cells(
    toy_set: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = scores_of(toy_set, monkeypatch, swapped=(0,))
    assert scores.froc == 0.5, "one class is found whole, the other not at all"
    second = sum(len(image.boxes) // 2 for image in toy_set.images)
    assert scores.recall == pytest.approx(second / scores.cells)
    assert scores.recall < 0.5

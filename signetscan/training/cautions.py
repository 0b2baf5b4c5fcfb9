"""What a user should know before relying on a run: data that teaches or tells too little, and choices without a basis.

The cautions of a checkpoint go into the model file, so that they are also said where the model is used.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, assert_never

import numpy as np

from signetscan.errors import TrainingError
from signetscan.plurals import counted
from signetscan.training.history import froc_of
from signetscan.training.thresholds import ThresholdBasis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from signetscan.dataset import AnnotatedImage
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import TrainOptions

FEW_NORMALS = 10
"""Normal images below which the false positives in them tell little."""
MOST_MISSING = 0.7
"""Largest share of boxes that are missing in the DGHM paper's experiments."""


def check_split(
    learn: Sequence[AnnotatedImage],
    held_out: Sequence[AnnotatedImage],
    class_names: Sequence[str],
    options: TrainOptions,
) -> None:
    """Check that there is something to learn from, and something to choose by if that was asked for.

    Raises:
        TrainingError: a class has no box to learn from, or images were to be held out and there is none with a box.
    """
    if not any(len(image.boxes) for image in learn):
        message = "no training image has a box: check the annotations, or hold out fewer images"
        raise TrainingError(message, options=("validation_split", "fold"))
    learnt = _boxes_by_class(learn, len(class_names))
    for name, count in zip(class_names, learnt, strict=True):
        if count == 0:
            message = (
                f"no training image has a box of the class {name}, because all of them are held out; hold out others, "
                "or leave the class out"
            )
            raise TrainingError(message, options=("validation_split", "fold", "seed", "classes"))
    wanted = options.fold is not None or options.validation_split > 0
    if wanted and not any(len(image.boxes) for image in held_out):
        message = (
            "no held-out image has a box, so no epoch and no threshold could be chosen: hold out more images, or none"
        )
        raise TrainingError(message, options=("validation_split", "fold"))


def split_cautions(
    learn: Sequence[AnnotatedImage], held_out: Sequence[AnnotatedImage], class_names: Sequence[str]
) -> list[str]:
    """What the images to learn from and the held-out ones lack."""
    cautions: list[str] = []
    normals = [sum(image.normal for image in images) for images in (learn, held_out)]
    if normals[1] and not normals[0]:
        cautions.append("All images without cells are held out, so the loss can trust no negative")
    if not held_out:
        return [*cautions, "No image is held out: the latest epoch counts as the best, and no threshold can be chosen"]
    if not normals[1]:
        cautions.append(
            "No normal image is held out, so FROC is unknown; AP50 and F1 on the given boxes choose in its place"
        )
    elif normals[1] < FEW_NORMALS:
        few = counted(normals[1], "normal image")
        cautions.append(f"Only {few} held out: FROC and the score threshold rest on the false positives in so few")
    counts = _boxes_by_class(held_out, len(class_names))
    absent = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
    if absent:
        cautions.append(f"No held-out image has a box of the class {', '.join(absent)}: nothing tells how it is found")
    return cautions


def _boxes_by_class(images: Sequence[AnnotatedImage], classes: int) -> list[int]:
    labels = np.concatenate([np.empty(0, np.int64), *(image.labels for image in images)])
    return list(np.bincount(labels, minlength=classes).tolist())


def cautions_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What a user of the model should know of how it was chosen; nothing of a checkpoint without a finished epoch."""
    if not checkpoint.history:
        return ()
    return tuple(filter(None, (_about_froc(checkpoint), *threshold_cautions(checkpoint))))


def _about_froc(checkpoint: Checkpoint) -> str:
    row = checkpoint.history[-1]
    if row.get("recall") == 0 and row.get("ap50", 0) == 0:
        return "it found no cell of the held-out images"
    froc = froc_of(row)
    if froc == 0:
        return "its FROC is 0: with at most 32 false positives per normal image, it found no held-out cell"
    if "froc" in row and math.isnan(froc):
        return "its FROC is unknown: no normal image was held out"
    return ""


def _about_what_lies_between(row: Mapping[str, float]) -> str:
    """Whether a network finds far more in images with cells than their boxes and the normal images explain.

    A loss that trusts the negatives of normal images alone, as DGHM-C does, learns nothing of tissue that only images
    with cells show: nothing contradicts it there.
    """
    precision, recall = row.get("precision", math.nan), row.get("recall", math.nan)
    if not (recall > 0 and precision > 0):
        return ""
    beside = recall * (1 - precision) / precision
    missing = beside / (1 + beside)
    if missing <= MOST_MISSING:
        return ""
    return (
        f"at its score threshold it finds {beside:.1f} times as much beside the boxes of the held-out images as there "
        f"are boxes: unless {missing:.0%} of the cells have no box, the normal images do not show what lies between "
        "cells"
    )


def threshold_cautions(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Why to doubt the score threshold of a checkpoint, and what it lets through."""
    between = _about_what_lies_between(checkpoint.history[-1]) if checkpoint.history else ""
    return tuple(filter(None, (_about_threshold(checkpoint), between)))


def _about_threshold(checkpoint: Checkpoint) -> str:
    score = f"its score threshold of {checkpoint.threshold:.3f}"
    match checkpoint.threshold_basis:
        case ThresholdBasis.FALSE_POSITIVES:
            normals = checkpoint.history[-1].get("normals", FEW_NORMALS) if checkpoint.history else FEW_NORMALS
            few = counted(int(normals), "normal image")
            return f"{score} rests on {few} only" if normals < FEW_NORMALS else ""
        case ThresholdBasis.FEW_FALSE_POSITIVES:
            return (
                f"{score} was chosen by F1, because the held-out normal images have fewer false positives than allowed "
                "at any score"
            )
        case ThresholdBasis.NO_NORMAL_IMAGE:
            return f"{score} was chosen by F1, because no normal image was held out"
        case ThresholdBasis.NOTHING_FOUND:
            return f"{score} is the start value, because no held-out cell was found"
        case ThresholdBasis.NOTHING_HELD_OUT:
            return f"{score} is the start value, because no image was held out"
        case None:  # an earlier version did not say
            return ""
        case _:
            assert_never(checkpoint.threshold_basis)

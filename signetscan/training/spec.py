"""The model contract of a network in training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from signetscan.dataset import CLASS_NAME
from signetscan.models.detection_spec import DetectionSpec
from signetscan.scan.detect import SCORE_DECIMALS
from signetscan.training.cautions import cautions_of, threshold_cautions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.training.checkpoint import Checkpoint

TILE_SIZE = 1024
"""Side of a tile, pixels: large, so that overlaps cost little."""
TILE_OVERLAP = 256
"""Overlap of tiles, pixels: the largest cell, and enough beside it for the effect of the tile's edge to fade."""
NMS_IOU = 0.4
"""IoU above which two boxes are the same cell. Signet ring cells lie wall to wall, so boxes of neighbours overlap."""


def intended_use_of(class_names: Sequence[str]) -> str:
    """What a model of some classes is for, unless somebody says otherwise, and what it is not for."""
    kind = "class" if len(class_names) == 1 else "classes"
    what = "signet ring cells" if list(class_names) == [CLASS_NAME] else f"cells of the {kind} {', '.join(class_names)}"
    return (
        f"Research. Points out candidate {what} in H&E whole-slide images to a pathologist who looks at each. Not a "
        "medical device; not for diagnosis."
    )


def make_spec(
    checkpoint: Checkpoint,
    *,
    name: str,
    training_data: str = "",
    licence: str = "unknown",
    intended_use: str | None = None,
    threshold: float | None = None,
) -> DetectionSpec:
    """The model contract of a checkpoint's network.

    Args:
        checkpoint: the training run.
        name: short name of the model.
        training_data: description of the training data; by default the checkpoint's.
        licence: licence of the weights.
        intended_use: what the model is for, and what it is not for; by default what `intended_use_of` says.
        threshold: score threshold that a person chose; by default the checkpoint's.
    """
    cautions, held_out = cautions_of(checkpoint), checkpoint.held_out
    if threshold is None:
        # Scores are reported with so many decimals. Rounded down, the threshold would let in detections below it.
        threshold = math.ceil(checkpoint.threshold * 10**SCORE_DECIMALS) / 10**SCORE_DECIMALS
    else:
        held_out = None  # at another threshold, nobody has measured it
        of_threshold = threshold_cautions(checkpoint)
        cautions = tuple(caution for caution in cautions if caution not in of_threshold)
    return DetectionSpec(
        name=name,
        mpp=checkpoint.mpp,
        tile_size=TILE_SIZE,
        tile_overlap=TILE_OVERLAP,
        stride=checkpoint.options.architecture.stride,
        class_names=checkpoint.class_names,
        score_threshold=threshold,
        nms_iou=NMS_IOU,
        training_data=training_data or checkpoint.data or "unknown",
        recipe=checkpoint.options.as_dict() | {"weights": checkpoint.weights},
        licence=licence,
        intended_use=intended_use or intended_use_of(checkpoint.class_names),
        cautions=cautions,
        held_out=held_out,
    )

"""The model contract of a network that segments, in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.dataset.masks.images import BACKGROUND
from signetscan.formats.colours import tissue_colours
from signetscan.models.segmentation_spec import SegmentationSpec, SlideScore
from signetscan.training.segmentation.cautions import cautions_of
from signetscan.training.segmentation.options import STRIDE

if TYPE_CHECKING:
    from signetscan.training.segmentation.checkpoint import SegmentationCheckpoint

TILE_SIZE = 1536
"""Side of a tile, pixels: large, so that margins cost little."""
MARGIN = 192
"""Pixels at each edge of a tile whose output is thrown away: beyond them the effect of the edge has faded. On real
tissue and an EfficientNet-Lite0, tiles of 640 px then gave 99.97% of the places the class that one pass gives (128 px:
99.82%, 64 px: 99.54%)."""

INTENDED_USE = (
    "Research. Points out regions of H&E whole-slide images to a pathologist who looks at each. Not a medical device; "
    "not for diagnosis."
)


def make_segmentation_spec(
    checkpoint: SegmentationCheckpoint,
    *,
    name: str,
    training_data: str = "",
    licence: str = "unknown",
    intended_use: str | None = None,
) -> SegmentationSpec:
    """The model contract of a checkpoint's network.

    Args:
        checkpoint: the training run.
        name: short name of the model.
        training_data: description of the training data; by default the checkpoint's.
        licence: licence of the weights.
        intended_use: what the model is for, and what it is not for; research by default, see `INTENDED_USE`.
    """
    return SegmentationSpec(
        name=name,
        mpp=checkpoint.mpp,
        tile_size=TILE_SIZE,
        stride=STRIDE,
        class_names=checkpoint.class_names,
        training_data=training_data or checkpoint.data or "unknown",
        recipe=checkpoint.options.as_dict() | {"weights": checkpoint.weights},
        licence=licence,
        intended_use=intended_use or INTENDED_USE,
        cautions=cautions_of(checkpoint),
        output_stride=checkpoint.options.architecture.output_stride,
        margin=MARGIN,
        class_colours=tissue_colours(len(checkpoint.class_names), BACKGROUND),
        background=BACKGROUND,
        slide_score=SlideScore(classes=checkpoint.scored, top_share=checkpoint.options.top_share),
        held_out=checkpoint.held_out,
    )

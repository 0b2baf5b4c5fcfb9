"""Model contracts for tests."""

from __future__ import annotations

from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.segmentation_spec import SegmentationSpec, SlideScore


def make_spec(**changes: object) -> DetectionSpec:
    """A valid contract, with some fields changed."""
    values: dict[str, object] = {
        "name": "test",
        "mpp": 0.25,
        "tile_size": 256,
        "tile_overlap": 96,
        "stride": 32,
        "class_names": ("Signet ring cell",),
        "score_threshold": 0.5,
        "nms_iou": 0.5,
        "training_data": "none",
        "recipe": {},
        "licence": "Apache-2.0",
        "intended_use": "tests",
    }
    return DetectionSpec(**(values | changes))  # type: ignore[arg-type]


def make_segmentation_spec(**changes: object) -> SegmentationSpec:
    """A valid contract of a model that segments, with some fields changed."""
    values: dict[str, object] = {
        "name": "test",
        "mpp": 0.5,
        "tile_size": 128,
        "stride": 16,
        "output_stride": 4,
        "margin": 8,
        "class_names": ("Background", "Low grade", "High grade"),
        "class_colours": ((200, 200, 200), (255, 127, 0), (227, 26, 28)),
        "background": 0,
        "slide_score": SlideScore(classes=(1, 2), top_share=0.1),
        "training_data": "none",
        "recipe": {},
        "licence": "Apache-2.0",
        "intended_use": "tests",
    }
    return SegmentationSpec(**(values | changes))  # type: ignore[arg-type]

"""Model contracts for tests."""

from __future__ import annotations

from signetscan.models.spec import ModelSpec


def make_spec(**changes: object) -> ModelSpec:
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
    return ModelSpec(**(values | changes))  # type: ignore[arg-type]

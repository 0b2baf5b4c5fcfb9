"""The contract of models that detect cells.

The graph has three outputs:

- `boxes`: float32, (B, K, 4), x0, y0, x1, y1 in tile pixels.
- `scores`: float32, (B, K), from 0 to 1, falling along K.
- `labels`: int64, (B, K), indices into `DetectionSpec.class_names`.

K may depend on H and W. The graph does the decoding of boxes and the choice of the K best. The score threshold,
non-maximum suppression and all that concerns the slide are outside of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from signetscan.errors import ModelError
from signetscan.json_values import JsonError, is_number
from signetscan.models.held_out import HeldOut
from signetscan.models.spec import ModelSpec, Task, multiple_problem, shared_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUT_NAMES = ("boxes", "scores", "labels")
LEAST_SCORE = 0.02
"""Lowest score that training looks at; a threshold below it lets through what nobody has looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSpec(ModelSpec):
    """What a model that detects cells says of itself.

    Raises:
        ModelError: a value is missing, of the wrong type or out of range; the message names the field.
    """

    task: ClassVar[Task] = Task.DETECTION
    version: ClassVar[int] = 1

    tile_overlap: int
    """Overlap of neighbouring tiles with which every cell is whole in at least one of them, tile pixels."""
    score_threshold: float
    """Lowest score of a detection, unless the user sets another."""
    nms_iou: float
    """Of two boxes with the same label that overlap by more than this IoU, only the one with the higher score stays."""
    held_out: HeldOut | None = None
    """How it did at its score threshold on held-out images; None if nobody measured it."""
    contract: int = 1
    """Version of the contract: 1 for detection."""

    def _task_problems(self) -> list[str]:
        problems = multiple_problem("tile_overlap", self.tile_overlap, of=self.stride, low=0)
        if not problems and self.tile_overlap >= self.tile_size:
            problems.append(f"tile_overlap {self.tile_overlap} must be below tile_size {self.tile_size}")
        for name in ("score_threshold", "nms_iou"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= 1:
                problems.append(f"{name} must be a number from 0 to 1, not {value!r}")
        return problems

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> DetectionSpec:
        """Read the contract from an ONNX file's metadata.

        Raises:
            ModelError: the model has another task, or an entry is missing, is not JSON, or is out of range; the message
                names the field.
        """
        table = cls._table(metadata)
        try:
            return cls(
                **shared_fields(table),
                tile_overlap=table.whole("tile_overlap"),
                score_threshold=table.number("score_threshold"),
                nms_iou=table.number("nms_iou"),
                held_out=HeldOut.from_json(table.table("held_out")) if "held_out" in table.values else None,
            )
        except JsonError as error:
            raise ModelError(str(error)) from error

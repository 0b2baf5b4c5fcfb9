"""Detections as arrays of boxes, scores and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.measurements import Measurements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """N detections. Functions that return them say in which frame the boxes are.

    Raises:
        ValueError: the arrays do not fit together, or hold a value that is not finite.
    """

    boxes: NDArray[np.float64]
    """(N, 4), x0, y0, x1, y1."""
    scores: NDArray[np.float32]
    """(N,), from 0 to 1."""
    labels: NDArray[np.int64]
    """(N,), index into the model's class names."""
    measured: Measurements | None = None
    """What was measured of each; None if nothing was."""

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,) or self.labels.shape != (count,):
            message = f"{self.boxes.shape} boxes do not match {self.scores.shape} scores and {self.labels.shape} labels"
            raise ValueError(message)
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            message = "detections hold a value that is not finite"
            raise ValueError(message)
        if self.measured is not None and len(self.measured) != count:
            message = f"{len(self.measured)} measurements do not match {count} detections"
            raise ValueError(message)

    @classmethod
    def empty(cls) -> Self:
        """No detections."""
        return cls(boxes=np.empty((0, 4)), scores=np.empty(0, np.float32), labels=np.empty(0, np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Self:
        """The detections of all parts, in that order."""
        if not parts:
            return cls.empty()
        measured = [part.measured for part in parts if part.measured is not None]
        return cls(
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            measured=Measurements.concatenate(measured) if len(measured) == len(parts) else None,
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The detections that a mask selects, or those at some indices, in that order."""
        index = np.flatnonzero(which) if which.dtype == np.bool_ else which
        return type(self)(
            boxes=self.boxes.take(index, axis=0),
            scores=self.scores.take(index),
            labels=self.labels.take(index),
            measured=None if self.measured is None else self.measured.select(index),
        )

    def with_boxes(self, boxes: NDArray[np.float64]) -> Self:
        """The same detections with other boxes, such as those in another frame."""
        return type(self)(boxes=boxes, scores=self.scores, labels=self.labels, measured=self.measured)

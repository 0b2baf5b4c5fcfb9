"""How a model did on the images that its training run held out: figures that travel with the model file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from signetscan.plurals import counted

if TYPE_CHECKING:
    from typing import Self

    from signetscan.json_values import JsonTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95% interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """The figure, and its interval if it has one."""
        if self.value is None:
            return "unknown"
        interval = "" if self.low is None or self.high is None else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Figures at the model's score threshold, on images by which epoch and threshold were chosen."""

    threshold: float
    """The score threshold."""
    cells: int
    """Cells of the images."""
    positives: int
    """Images with cells."""
    normals: int
    """Normal images."""
    intervals: str
    """From what the intervals are resampled, in words; empty if there are none."""
    recall: Estimate = field(metadata={"label": "recall"})
    """Part of the cells that is found."""
    precision: Estimate = field(metadata={"label": "precision in images with cells"})
    """Part of the detections in images with cells that finds one."""
    f1: Estimate = field(metadata={"label": "F1"})
    """Of all images, normal ones too."""
    false_positives_per_normal: Estimate = field(metadata={"label": "false positives per normal image"})
    """Mean number of detections in a normal image."""

    @property
    def figures(self) -> dict[str, Estimate]:
        """The figures by their labels."""
        return {entry.metadata["label"]: getattr(self, entry.name) for entry in fields(self) if entry.metadata}

    @property
    def images(self) -> str:
        """What the figures are from, in words."""
        cells = f"{counted(self.positives, 'image')} with {counted(self.cells, 'cell')}"
        return f"{cells} and {counted(self.normals, 'normal image')}"

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """The inverse of `dataclasses.asdict`.

        Raises:
            JsonError: a value is missing or of the wrong type.
        """
        return cls(
            threshold=table.number("threshold", low=0),
            cells=table.whole("cells", low=0),
            positives=table.whole("positives", low=0),
            normals=table.whole("normals", low=0),
            intervals=table.text("intervals"),
            recall=_estimate(table.table("recall")),
            precision=_estimate(table.table("precision")),
            f1=_estimate(table.table("f1")),
            false_positives_per_normal=_estimate(table.table("false_positives_per_normal")),
        )


def _estimate(table: JsonTable) -> Estimate:
    return Estimate(**{name: table.number_or_none(name, low=0) for name in ("value", "low", "high")})

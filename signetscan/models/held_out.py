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
    """Figures of a detector at its score threshold, on images by which epoch and threshold were chosen."""

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
        return _figures(self)

    @property
    def heading(self) -> str:
        """What the figures are, in words."""
        return f"At the threshold {self.threshold:.4f}, on held-out images ({self.images})"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutRegions:
    """Figures of a model that segments, on images by which its epoch was chosen, or that were used for nothing."""

    positives: int
    """Images that show a scored class."""
    negatives: int
    """Images that show none."""
    intervals: str
    """From what the intervals are resampled, in words; empty if there are none."""
    dice: Estimate = field(metadata={"label": "Dice of all classes but the background"})
    """Of the pixels of all images together: whether a pixel is background or not."""
    scored_dice: Estimate = field(metadata={"label": "Dice of the scored classes"})
    """Of the pixels of all images together: whether a pixel is of a scored class or not."""
    image_dice: Estimate = field(metadata={"label": "mean Dice of images with scored classes"})
    """The same for each image that shows a scored class, and its mean."""
    auc: Estimate = field(metadata={"label": "AUC of the slide score"})
    """Part of the pairs of an image with a scored class and one without, of which the first has the higher score."""

    @property
    def figures(self) -> dict[str, Estimate]:
        """The figures by their labels."""
        return _figures(self)

    @property
    def heading(self) -> str:
        """What the figures are, in words."""
        images = f"{counted(self.positives, 'image')} with scored classes, {self.negatives} without"
        return f"On held-out images ({images})"

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """The inverse of `dataclasses.asdict`.

        Raises:
            JsonError: a value is missing or of the wrong type.
        """
        return cls(
            positives=table.whole("positives", low=0),
            negatives=table.whole("negatives", low=0),
            intervals=table.text("intervals"),
            dice=_estimate(table.table("dice")),
            scored_dice=_estimate(table.table("scored_dice")),
            image_dice=_estimate(table.table("image_dice")),
            auc=_estimate(table.table("auc")),
        )


def _figures(held_out: HeldOut | HeldOutRegions) -> dict[str, Estimate]:
    return {entry.metadata["label"]: getattr(held_out, entry.name) for entry in fields(held_out) if entry.metadata}


def _estimate(table: JsonTable) -> Estimate:
    return Estimate(**{name: table.number_or_none(name, low=0) for name in ("value", "low", "high")})

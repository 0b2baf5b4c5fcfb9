"""What is measured of each detected cell: the names, the units, and the arrays of values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something that is measured."""

    column: str
    """Its column in tables."""
    title: str
    """Its name in QuPath, with the unit."""
    decimals: int
    """Decimals to which it is rounded."""
    meaning: str
    """What it is."""


MEASURES = (
    Measure(
        column="haematoxylin_od_mean",
        title="Haematoxylin OD mean",
        decimals=4,
        meaning="mean optical density of haematoxylin in the box, base 10",
    ),
    Measure(
        column="haematoxylin_od_sd",
        title="Haematoxylin OD std dev",
        decimals=4,
        meaning="its standard deviation over the pixels of the box",
    ),
    Measure(
        column="eosin_od_mean",
        title="Eosin OD mean",
        decimals=4,
        meaning="mean optical density of eosin in the box, base 10",
    ),
    Measure(
        column="eosin_od_sd",
        title="Eosin OD std dev",
        decimals=4,
        meaning="its standard deviation over the pixels of the box",
    ),
    Measure(
        column="pale_share",
        title="Pale share",
        decimals=4,
        meaning="part of the box, 0 to 1, that is as pale as mucin or glass",
    ),
    Measure(
        column="sharpness",
        title="Sharpness",
        decimals=2,
        meaning="variance of the Laplacian of the box's grey levels, which run from 0 to 255",
    ),
    Measure(
        column="nearest_um",
        title="Nearest neighbour µm",
        decimals=2,
        meaning="distance from the centre to that of the nearest other detection, µm",
    ),
)
"""All that is measured, in the order of columns; sizes follow from boxes, and tissue is a name."""
OF_PIXELS = len(MEASURES) - 1
"""So many of them, the first ones, are measured on the pixels of the box."""
TISSUE_COLUMN, TISSUE_TITLE = "tissue", "Tissue"
"""Column, and QuPath's key, of the class of tissue in which a cell lies."""
NO_TISSUE = 255
"""Stands for no tissue among the indices of tissues."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurements:
    """What was measured of N detections.

    Raises:
        ValueError: the arrays do not fit together.
    """

    values: NDArray[np.float64]
    """(N, len(MEASURES)), rounded; nan where there is none, as of the distance from an only cell to the next."""
    tissue: NDArray[np.uint8] | None = None
    """(N,), index into `tissues` or `NO_TISSUE`; None where no segmentation of the slide was there."""
    tissues: tuple[str, ...] = ()
    """Names of the classes of tissue."""

    def __post_init__(self) -> None:
        count = len(self.values)
        known = self.tissue is None or bool((self.tissue[self.tissue != NO_TISSUE] < len(self.tissues)).all())
        if self.values.shape != (count, len(MEASURES)) or not known or len(self) != count:
            message = f"measurements of the shape {self.values.shape} do not fit together"
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.values) if self.tissue is None else len(self.tissue)

    @classmethod
    def concatenate(cls, parts: Sequence[Measurements]) -> Self:
        """The measurements of all parts, in that order. All parts have the same classes of tissue, or none has any."""
        tissues = [part.tissue for part in parts if part.tissue is not None]
        return cls(
            values=np.concatenate([part.values for part in parts]),
            tissue=np.concatenate(tissues) if tissues else None,
            tissues=parts[0].tissues,
        )

    def select(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The measurements that a mask selects, or those at some indices, in that order."""
        return type(self)(
            values=self.values[which],
            tissue=None if self.tissue is None else self.tissue[which],
            tissues=self.tissues,
        )

    @property
    def tissue_names(self) -> list[str] | None:
        """The class of tissue of each detection, empty for none; None where no segmentation was there."""
        if self.tissue is None:
            return None
        names = [*self.tissues, *[""] * (NO_TISSUE + 1 - len(self.tissues))]
        return [names[index] for index in self.tissue.tolist()]


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (N, len(MEASURES)) as results have them, so that they are the same when they are read back."""
    columns = [values[:, index].round(measure.decimals) for index, measure in enumerate(MEASURES)]
    whole: NDArray[np.float64] = np.stack(columns, axis=1) + 0.0  # which makes 0 of -0
    return whole


def as_texts(values: NDArray[np.float64]) -> list[list[str]]:
    """The values of each measure as texts, a list for each measure; empty where there is no value."""
    columns = ((measure, values[:, index].tolist()) for index, measure in enumerate(MEASURES))
    return [
        ["" if math.isnan(value) else f"{value:.{measure.decimals}f}" for value in column]
        for measure, column in columns
    ]

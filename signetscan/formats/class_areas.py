"""How much of a slide's tissue is of which class, as CSV."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.formats.colours import Colour

CSV_COLUMNS = ("class", "mm2", "share_of_tissue", "regions")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassArea:
    """How much of a slide's tissue is of a class."""

    name: str
    """Name of the class."""
    mm2: float
    """Area on the map, mm²: of all regions, those among them that are too small to be written."""
    share: float
    """Its part of the scanned tissue that could be read, 0 to 1."""
    regions: int
    """Regions that were written; none for the background."""
    colour: Colour = (128, 128, 128)
    """Red, green and blue of the class, 0 to 255; grey in records that do not say."""


def write_class_areas(path: Path, areas: Sequence[ClassArea]) -> None:
    """Write the areas of the classes as CSV.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        writer.writerows((area.name, f"{area.mm2:.6f}", f"{area.share:.6f}", area.regions) for area in areas)

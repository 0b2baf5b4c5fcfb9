"""Tables of an experiment's runs, a row a run, from which a script that was stopped goes on."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """The runs finished so far."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """Write a table of runs, whole or not at all."""
    with atomic_text(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

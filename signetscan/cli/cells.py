"""`signetscan cells`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, json_result, note, result
from signetscan.cli.results import results_argument
from signetscan.cli.scanning import AS_JSON, QUIET
from signetscan.cli.statuses import FATAL
from signetscan.plurals import amount
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.results.cells_in_regions import CellsInRegions

NUMBERS = (2, 4, 5)
"""Columns of the table that hold numbers."""
NO_TISSUE = "outside of all tissue"
"""What the table calls the places that have no class."""


@click.command()
@results_argument
@click.option("--out", "-o", type=FILE, help="Folder for the files.  [default: the first folder of results]")
@AS_JSON
@QUIET
@click.pass_context
def cells(
    context: click.Context, /, results: tuple[Path, ...], out: Path | None, *, as_json: bool, quiet: bool
) -> None:
    """Count cells in each class of tissue.

    RESULT is a folder with results of detect and of segment, or any file of a slide with both; or there are folders of
    both kinds. Slides are paired by name.
    Prints the number of cells of each class in each class of tissue, and outside of all, and their number per mm² of
    it; writes the same as cells-in-regions.csv and cells-in-regions.json.

    Exit status: 0 all done, 1 some slides have results that do not fit together, 2 wrong usage.

    Example: signetscan cells results
    """
    from signetscan.results.cell_tables import tabulate_cells

    tables = tabulate_cells(results, out)
    if as_json:
        for name, slide in tables.slides.items():
            json_result({**slide.to_json(), "slide": name})
    else:
        for line in _table(tables.slides):
            result(line)
    for line in tables.notes:
        note(f"Note: {line}", quiet=quiet)
    for problem in tables.problems:
        note(f"Error: {problem}")
    if not as_json and not quiet:
        for path in tables.files:
            result(f"  {path}")
    if tables.problems:
        context.exit(FATAL)


def _table(slides: Mapping[str, CellsInRegions]) -> list[str]:
    """Lines of a table: for each slide one for each class of tissue and class of cells."""
    rows = [("slide", "tissue", "mm²", "cell", "cells", "per mm²")]
    for name, slide in slides.items():
        for tissue in slide.tissues:
            for cell, number in zip(slide.cell_classes, tissue.cells, strict=True):
                density = tissue.per_mm2(number)
                per_mm2 = "-" if density is None else amount(density, 2)
                rows.append((name, tissue.tissue, amount(tissue.mm2, 2), cell, str(number), per_mm2))
        rows += [
            (name, NO_TISSUE, "", cell, str(number), "")
            for cell, number in zip(slide.cell_classes, slide.outside, strict=True)
        ]
    shown = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if index in NUMBERS else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]

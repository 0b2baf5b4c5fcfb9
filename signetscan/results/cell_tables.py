"""Cells in regions of all slides in folders of results, and the files that hold them."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.annotations.packed import check_is_no_project
from signetscan.atomic import atomic_text, make_folder
from signetscan.errors import AnnotationError, ResultError
from signetscan.formats.csv_file import FORMULA
from signetscan.formats.result_files import CELLS_NAME, RECORD_SUFFIX, REGIONS
from signetscan.plurals import counted
from signetscan.results.cells_in_regions import cells_in_regions
from signetscan.results.folder import is_segmentation, list_slides, target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from signetscan.results.cells_in_regions import CellsInRegions

CSV_COLUMNS = ("slide", "tissue", "tissue_mm2", "cell", "cells", "cells_per_mm2")
OUTSIDE = "(outside)"
"""What the table calls the places that have no class."""
MOST_NAMED = 5
"""Most slides that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTables:
    """Cells in regions of some slides."""

    slides: Mapping[str, CellsInRegions]
    """The figures of each slide, by its name below its folder of results."""
    notes: tuple[str, ...]
    """Which slides were left out because they have results of one kind only, and what makes figures less sure."""
    problems: tuple[str, ...]
    """Why there are no figures of slides that have results of both kinds."""
    files: tuple[Path, ...]
    """The files that were written."""


def tabulate_cells(results: Sequence[Path], out: Path | None = None) -> CellTables:
    """Count the cells of slides in each class of their tissue, and write a CSV and a JSON file.

    Results that do not fit together do not stop the others.

    Args:
        results: folders of results, or files that belong to those of one slide. Those of detection and of segmentation
            may be in different folders; they are paired by name.
        out: folder for the files, made if it does not exist; by default that of the first results. Files of an earlier
            call are replaced.

    Raises:
        ResultError: no slide has results of both kinds that fit together, or there are several of one name.
        AnnotationError: a path is of a QuPath project.
        OutputError: a file cannot be written.
    """
    cells, regions = _records(results)
    names = sorted(cells.keys() & regions.keys())
    slides: dict[str, CellsInRegions] = {}
    problems: list[str] = []
    for name in names:
        try:
            slides[name] = cells_in_regions(cells[name], regions[name])
        except (ResultError, AnnotationError) as error:
            if len(names) == 1:
                raise
            problems.append(str(error))
    if not slides:
        raise ResultError(problems[0] if problems else _why_none(results, cells, regions))
    out = out or (results[0] if results[0].is_dir() else results[0].parent)
    make_folder(out)
    files = (out / f"{CELLS_NAME}.csv", out / f"{CELLS_NAME}.json")
    _write_csv(files[0], slides)
    _write_json(files[1], slides)
    notes = [f"{name}: {note}" for name, slide in slides.items() for note in slide.notes]
    return CellTables(slides=slides, notes=(*_left_out(cells, regions), *notes), problems=tuple(problems), files=files)


def _records(results: Iterable[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """The run records of detections and of segmentations, by the slide's name below its folder of results.

    Raises:
        ResultError: there are several of one name, or a file belongs to no results.
        AnnotationError: a path is of a QuPath project.
    """
    cells: dict[str, Path] = {}
    regions: dict[str, Path] = {}
    for path in dict.fromkeys(results):
        check_is_no_project(path)
        for name, record in _records_in(path):
            kind, short = (regions, name.removesuffix(REGIONS)) if _is_of_regions(record) else (cells, name)
            other = kind.setdefault(short, record)
            if other != record:
                message = f"{other} and {record}: two results of one name; name the one that counts"
                raise ResultError(message)
    return cells, regions


def _records_in(path: Path) -> Iterator[tuple[str, Path]]:
    """The run records that a path stands for, with the names of their results."""
    if path.is_dir():
        for slide in list_slides(path):
            if slide.record is not None:
                yield slide.name, slide.record
        for record in sorted(path.rglob(f"*{REGIONS}{RECORD_SUFFIX}")):
            if _is_of_regions(record):
                yield record.relative_to(path).as_posix().removesuffix(RECORD_SUFFIX), record
        return
    target = target_of(path)
    if target is None:
        message = f"{path}: no run record beside this file" if path.exists() else f"{path}: no such file"
        raise ResultError(message)
    short = target.name.removesuffix(REGIONS) if is_segmentation(target) else target.name
    # A file stands for its slide, and so for the results of the other kind beside it too.
    for name in (short, f"{short}{REGIONS}"):
        record = target.with_name(f"{name}{RECORD_SUFFIX}")
        if name == target.name or record.is_file():
            yield name, record


def _is_of_regions(record: Path) -> bool:
    return is_segmentation(record.with_name(record.name.removesuffix(RECORD_SUFFIX)))


def _why_none(results: Sequence[Path], cells: Mapping[str, Path], regions: Mapping[str, Path]) -> str:
    """Why no slide has results of both kinds."""
    where = " and ".join(map(str, results))
    if not cells:
        return f"{where}: no cells; detect cells on the slides first, and name those results too"
    if not regions:
        return f"{where}: no regions; segment the slides first, and name those results too"
    return (
        f"{where}: the results of cells ({_some(cells)}) and of regions ({_some(regions)}) have no name in common; "
        "name results of the same slides"
    )


def _left_out(cells: Mapping[str, Path], regions: Mapping[str, Path]) -> Iterator[str]:
    """Which slides have results of one kind only."""
    for what, names in (("regions", cells.keys() - regions.keys()), ("cells", regions.keys() - cells.keys())):
        if names:
            yield f"no {what} of {counted(len(names), 'slide')}: {_some(names)}"


def _some(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    named = [first, *rest[: MOST_NAMED - 1]]
    more = f" and {len(rest) + 1 - len(named)} more" if len(rest) >= MOST_NAMED else ""
    return f"{', '.join(named)}{more}"


def _write_csv(path: Path, slides: Mapping[str, CellsInRegions]) -> None:
    """Write a row for each slide, class of tissue and class of cells."""
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for name, slide in slides.items():
            for tissue in slide.tissues:
                for cell, number in zip(slide.cell_classes, tissue.cells, strict=True):
                    density = tissue.per_mm2(number)
                    per_mm2 = "" if density is None else f"{density:.3f}"
                    writer.writerow(
                        (_text(name), _text(tissue.tissue), f"{tissue.mm2:.6f}", _text(cell), number, per_mm2)
                    )
            for cell, number in zip(slide.cell_classes, slide.outside, strict=True):
                writer.writerow((_text(name), OUTSIDE, "", _text(cell), number, ""))


def _text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _write_json(path: Path, slides: Mapping[str, CellsInRegions]) -> None:
    with atomic_text(path) as file:
        table = {"slides": [{**slide.to_json(), "slide": name} for name, slide in slides.items()]}
        json.dump(table, file, indent=2, allow_nan=False)
        file.write("\n")

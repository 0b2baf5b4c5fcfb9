"""`signetscan report`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, result
from signetscan.cli.results import results_argument, slide_option, stored_results

if TYPE_CHECKING:
    from signetscan.results.reading import StoredResult


@click.command()
@results_argument
@slide_option
@click.option("--out", "-o", type=FILE, help="Folder for the reports.  [default: beside the results]")
def report(results: tuple[Path, ...], where: Path | None, out: Path | None) -> None:
    """Write an HTML report of each slide from earlier results.

    The reports are listed in index.html. RESULT is a folder of results, or any file of one slide's. Each report is one
    HTML file that needs nothing beside it: an overview with the density of detections and their hot spots, pictures of
    single detections, and their scores.

    Example: signetscan report results --slide slides
    """
    from signetscan.formats.result_files import REPORT_ENDING, check_libraries, with_ending
    from signetscan.reports.index import INDEX_NAME, find_entries, write_index

    if where is None:
        message = "reports show pictures of the slides, whose files results do not name: give --slide FILE or FOLDER"
        raise click.UsageError(message)
    check_libraries(["report"])
    folder = _common_folder(results)
    for stored in stored_results(results, where):
        target = stored.target if out is None else out / os.path.relpath(stored.target, folder)
        path = with_ending(target, REPORT_ENDING)
        _write(path, stored, stored.scanned.path or where)
        result(str(path))
    index = (out or folder) / INDEX_NAME
    write_index(index, find_entries(folder, out))
    result(str(index))


def _common_folder(results: tuple[Path, ...]) -> Path:
    """The folder that holds all that is named, of which the index is."""
    folders = [path if path.is_dir() else path.parent for path in results]
    return folders[0] if len(folders) == 1 else Path(os.path.commonpath([path.absolute() for path in folders]))


def _write(path: Path, stored: StoredResult, slide_path: Path) -> None:
    """Write a report of a slide, opened as it was when it was scanned."""
    from signetscan.atomic import make_folder
    from signetscan.reports.slide_report import write_slide_report
    from signetscan.slides import open_slide
    from signetscan.slides.mpp import SOURCE_USER

    mpp = stored.scanned.mpp
    make_folder(path.parent)
    with open_slide(slide_path, mpp=mpp.x if mpp.source == SOURCE_USER else None) as slide:
        write_slide_report(path, slide, stored.scanned, stored.record)

"""`signetscan report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, result
from signetscan.cli.results import overwrite_option, results_argument, slide_option

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.slides.addresses import AnyPlace


@click.command()
@results_argument
@slide_option
@click.option("--out", "-o", type=FILE, help="Folder for the reports.  [default: next to the results]")
@overwrite_option
def report(results: tuple[Path, ...], slide: AnyPlace | None, out: Path | None, *, overwrite: bool) -> None:
    """Write an HTML report of each slide from earlier results.

    RESULT is a folder of results, or any result file of one slide. Each report is one self-contained HTML file. Of
    detections: an overview with their density and hot spots, pictures of single ones, and their scores. Of regions: an
    overview with the classes, their areas, the slide's score, and the most suspicious fields. The page index.html lists
    the reports.

    Example: signetscan report results --slide slides
    """
    from signetscan.formats.result_files import check_libraries

    if slide is None:
        message = "reports show pictures of the slides, but results do not name the slides' files: give --slide"
        raise click.UsageError(message)
    check_libraries(["report"])  # before jinja2 is imported below
    from signetscan.reports.from_results import report_results

    for path in report_results(results, slide, out, overwrite=overwrite):
        result(str(path))

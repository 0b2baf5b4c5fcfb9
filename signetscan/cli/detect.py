"""`signetscan detect`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from signetscan.batch.options import LIST_COLUMNS, BatchOptions
from signetscan.cli.console import PLACE
from signetscan.cli.flags import flags_of, given
from signetscan.cli.scanning import AS_JSON, NOT_OF_DETECTION, QUIET, ends_cleanly, show
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from signetscan.slides.addresses import AnyPlace


@click.command()
@click.argument("paths", type=PLACE, nargs=-1, metavar="PATH...")
@click.option(
    "--list",
    "slide_list",
    type=click.File(encoding="utf-8-sig"),
    help=f"CSV of slides: path, and any of {', '.join(LIST_COLUMNS)}; - is stdin.  [default: none]",
)
@flags_of(BatchOptions, ScanOptions, leave_out=NOT_OF_DETECTION)
@AS_JSON
@QUIET
@click.pass_context
def detect(
    context: click.Context,
    /,
    paths: tuple[AnyPlace, ...],
    slide_list: IO[str] | None,
    *,
    as_json: bool,
    quiet: bool,
    **values: object,
) -> None:
    """Find signet ring cells in slides.

    Give files, folders or patterns, addresses of slides or studies in an archive that speaks DICOMweb, or a list of
    slides. Writes for each slide NAME.geojson (drag it onto the slide in QuPath), NAME.csv and NAME.run.json. A
    file appears only when it is complete. Slides that are already done with the same model and options are skipped.

    Exit status: 0 all done, 1 stopped by an error, or the log or what was to be printed is incomplete, 2 wrong usage,
    3 some slides failed, 4 the device or the model cannot be used, 130 interrupted.

    Example: signetscan detect biopsy.svs --out results
    """
    from signetscan.batch.run import scan_slides

    request, options = given(BatchOptions, values), given(ScanOptions, values)
    with ends_cleanly(context):
        events = scan_slides(paths, request, options, slide_list=slide_list)
        status = show(events, request, context.command, as_json=as_json, quiet=quiet)
    if status:
        context.exit(status)

"""`signetscan watch`."""

from __future__ import annotations

from pathlib import Path

import click

from signetscan.batch.options import BatchOptions, WatchOptions
from signetscan.cli.console import note
from signetscan.cli.flags import flags_of, given
from signetscan.cli.scanning import AS_JSON, NOT_OF_DETECTION, QUIET, ends_cleanly, show
from signetscan.scan.options import ScanOptions


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@flags_of(BatchOptions, ScanOptions, WatchOptions, leave_out=(*NOT_OF_DETECTION, "shard", "dask", "dry_run"))
@AS_JSON
@QUIET
@click.pass_context
def watch(context: click.Context, /, folder: Path, *, as_json: bool, quiet: bool, **values: object) -> None:
    """Find signet ring cells in slides as they arrive in FOLDER.

    Slides that are already in FOLDER are scanned too. A slide is scanned when its files have not changed for --settle
    seconds. A slide that failed is tried again when it changes. Runs until it is interrupted; finished slides are not
    scanned again.

    Exit status: as for detect.

    Example: signetscan watch scanner --out results
    """
    from signetscan.batch.watch import watch_folder

    request, options = given(BatchOptions, values), given(ScanOptions, values)
    watch_options = given(WatchOptions, values)
    note("Watching the folder." if request.private else f"Watching {folder}.", quiet=quiet)
    with ends_cleanly(context):
        events = watch_folder(folder, request, options, watch_options)
        status = show(events, request, context.command, as_json=as_json, quiet=quiet)
    if status:
        context.exit(status)

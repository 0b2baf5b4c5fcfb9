"""`signetscan watch`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from signetscan.cli.console import POSITIVE, note
from signetscan.cli.scan_options import check_roi, renamed, scan_options
from signetscan.cli.scanning import ends_cleanly, events_here, scan
from signetscan.cli.statuses import SOME_FAILED


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@scan_options
@click.option("--settle", type=POSITIVE, default=60.0, help="Seconds for which a slide must not change to be scanned.")
@click.option("--every", type=POSITIVE, default=10.0, help="Seconds between two looks at the folder.")
@click.option("--until-idle", is_flag=True, help="End when all that is there is done, not never.")
@click.pass_context
def watch(context: click.Context, /, folder: Path, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find signet ring cells in slides as they arrive in FOLDER.

    Slides that are there already are scanned too. A slide is scanned once its files have not changed for --settle
    seconds. It goes on until it is interrupted; what is done stays done. A slide that failed is tried again when it
    changes. Exit status as for detect.

    Example: signetscan watch scanner --out results
    """
    from signetscan.batch.journal import Journal
    from signetscan.batch.watch import Watcher

    watcher = Watcher(folder=folder, settle_s=options["settle"])
    check_roi(options["roi"], one_slide=False)
    failed = 0
    with ends_cleanly(context), Journal(options["log_file"]) as journal:
        note(f"Watching {folder}.", quiet=options["quiet"])
        while True:
            tasks = renamed(watcher.look(), options)
            if tasks:
                failed += scan(tasks, events_here(tasks, options), journal, options)
            elif options["until_idle"] and watcher.is_idle():
                break
            time.sleep(options["every"])
    if failed:
        context.exit(SOME_FAILED)

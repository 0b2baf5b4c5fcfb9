"""`signetscan watch`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import POSITIVE, note, stages
from signetscan.cli.detect_report import Report
from signetscan.cli.scan_options import (
    check_roi,
    end_on_sigterm,
    fail,
    renamed,
    request_of,
    scan_options,
    take_all,
    workers_of,
    write_reports_index,
)
from signetscan.cli.statuses import ENVIRONMENT, INTERRUPTED, SOME_FAILED

if TYPE_CHECKING:
    from signetscan.batch.journal import Journal


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@scan_options
@click.option("--settle", type=POSITIVE, default=60.0, help="Seconds for which a slide must not change to be scanned.")
@click.option("--every", type=POSITIVE, default=10.0, help="Seconds between two looks at the folder.")
@click.option("--until-idle", is_flag=True, help="End when all that is there is done, not never.")
@click.pass_context
def watch(context: click.Context, /, folder: Path, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find signet ring cells in slides as they arrive in FOLDER, and in those that are there.

    A slide is scanned once its files have not changed for --settle seconds. It goes on until it is interrupted; what is
    done stays done. A slide that failed is tried again when it changes. Exit status as for detect.

    Example: signetscan watch scanner --out results
    """
    from signetscan.batch.journal import Journal
    from signetscan.batch.watch import Watcher
    from signetscan.errors import DeviceError, ModelError

    watcher = Watcher(folder=folder, settle_s=options["settle"])
    check_roi(options["roi"], one_slide=False)
    failed = 0
    end_on_sigterm()
    try:
        with Journal(options["log_file"]) as journal:
            note(f"Watching {folder}.", quiet=options["quiet"])
            while True:
                tasks = watcher.look()
                if tasks:
                    failed += _scan(tasks, options, journal)
                elif options["until_idle"] and watcher.is_idle():
                    break
                time.sleep(options["every"])
    except (DeviceError, ModelError) as error:
        fail(str(error), ENVIRONMENT)
    except KeyboardInterrupt:
        note("Interrupted. Started again, it goes on with the slides that are not done.")
        context.exit(INTERRUPTED)
    if failed:
        context.exit(SOME_FAILED)


def _scan(tasks: list[Any], options: dict[str, Any], journal: Journal) -> int:
    """Scan some slides; gives how many failed."""
    from signetscan.batch.run import Batch

    workers, environments = workers_of(options)
    tasks = renamed(tasks, options)
    batch = Batch(
        request=request_of(options, workers=workers),
        tasks=tasks,
        workers=workers,
        slide_timeout=options["slide_timeout"],
        environments=environments,
    )
    with stages(quiet=options["quiet"]) as stage:
        report = Report(tasks, journal, stage, options)
        take_all(batch.run(), report)
    report.close(index=write_reports_index(options))
    return report.failed

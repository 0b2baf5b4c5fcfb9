"""`signetscan detect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import FILE, note, stages
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
    from collections.abc import Generator

    from signetscan.batch.find import SlideTask
    from signetscan.batch.run import Event


@click.command()
@click.argument("paths", type=FILE, nargs=-1, metavar="PATH...")
@click.option(
    "--list",
    "listed",
    type=click.File(encoding="utf-8-sig"),
    help="CSV of slides: path, and any of mpp, threshold, nms_iou, tile_size, overlap; - is stdin.",
)
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts of the slides, such as 3/10.")
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Scan on a Dask cluster: its scheduler's address or file, or local (see --workers).",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@scan_options
@click.pass_context
def detect(context: click.Context, /, paths: tuple[Path, ...], **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find signet ring cells in slides: files, folders, patterns, and those of a list.

    For each writes NAME.geojson (drag it onto the slide in QuPath), NAME.csv and NAME.run.json. A file appears only
    when it is whole. What is done already, with the same model and options, is skipped.

    Exit status: 0 all done, 1 stopped by an error, 2 wrong usage, 3 some slides failed, 4 no such device or model,
    130 interrupted.

    Example: signetscan detect biopsy.svs --out results
    """
    from signetscan.batch.journal import Journal
    from signetscan.errors import DeviceError, ModelError

    tasks = _tasks(paths, options)
    check_roi(options["roi"], one_slide=len(tasks) == 1)
    end_on_sigterm()
    try:
        events = _events(tasks, options)
        with Journal(options["log_file"]) as journal:
            with stages(quiet=options["quiet"]) as stage:
                report = Report(tasks, journal, stage, options)
                take_all(events, report)
            report.close(index=write_reports_index(options))
    except (DeviceError, ModelError) as error:
        fail(str(error), ENVIRONMENT)
    except KeyboardInterrupt:
        note("Interrupted. Started again, the run goes on with the slides that are not done.")
        context.exit(INTERRUPTED)
    if report.failed:
        context.exit(SOME_FAILED)


def _tasks(paths: tuple[Path, ...], options: dict[str, Any]) -> list[SlideTask]:
    from signetscan.batch.find import find_slides, read_list, shard_of

    listed = []
    if options["listed"] is not None:
        source = getattr(options["listed"], "name", "<stdin>")
        listed = read_list(options["listed"], source, Path() if source == "<stdin>" else Path(source).parent)
    if not paths and not listed:
        message = "name slides, folders of slides, or a list of them by --list"
        raise click.UsageError(message)
    tasks = renamed(find_slides(paths, listed), options)
    return tasks if options["shard"] is None else shard_of(tasks, options["shard"])


def _events(tasks: list[SlideTask], options: dict[str, Any]) -> Generator[Event]:
    """What happens when the slides are scanned, here or on a cluster."""
    workers, environments = workers_of(options)
    request = request_of(options, workers=workers, dry_run=options["dry_run"])
    if options["dask"] is None:
        from signetscan.batch.run import Batch

        timeout = options["slide_timeout"]
        batch = Batch(request=request, tasks=tasks, workers=workers, slide_timeout=timeout, environments=environments)
        return batch.run()
    if options["dry_run"] or options["slide_timeout"]:
        message = "--dask goes with neither --dry-run nor --slide-timeout"
        raise click.UsageError(message)
    from signetscan.batch.cluster import run_on_cluster

    return run_on_cluster(options["dask"], request, tasks, workers=workers)

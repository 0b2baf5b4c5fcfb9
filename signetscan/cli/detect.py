"""`signetscan detect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import FILE
from signetscan.cli.scan_options import check_roi, renamed, request_of, scan_options, workers_of
from signetscan.cli.scanning import ends_cleanly, events_here, scan
from signetscan.cli.statuses import SOME_FAILED

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
    help="CSV of slides: path, and any of mpp, threshold, nms_iou, tile_size, overlap; - is stdin.  [default: none]",
)
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts of the slides, such as 3/10.  [default: all]")
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Scan on a Dask cluster: its scheduler's address or file, or local (see --workers).  [default: this machine]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@scan_options
@click.pass_context
def detect(context: click.Context, /, paths: tuple[Path, ...], **options: Any) -> None:  # noqa: ANN401 - click's values
    """Find signet ring cells in slides.

    Name files, folders or patterns, or give a list of slides. For each slide it writes NAME.geojson (drag it onto the
    slide in QuPath), NAME.csv and NAME.run.json. A file appears only when it is whole. What is done already, with the
    same model and options, is skipped.

    Exit status: 0 all done, 1 stopped by an error, 2 wrong usage, 3 some slides failed, 4 no such device or model,
    130 interrupted.

    Example: signetscan detect biopsy.svs --out results
    """
    from signetscan.batch.journal import Journal

    tasks = _tasks(paths, options)
    check_roi(options["roi"], one_slide=len(tasks) == 1)
    with ends_cleanly(context):
        events = _events(tasks, options)
        with Journal(options["log_file"]) as journal:
            failed = scan(tasks, events, journal, options)
    if failed:
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
    if options["dask"] is None:
        return events_here(tasks, options)
    if options["dry_run"] or options["slide_timeout"]:
        message = "--dask goes with neither --dry-run nor --slide-timeout"
        raise click.UsageError(message)
    from signetscan.batch.cluster import run_on_cluster

    workers, _ = workers_of(options)
    return run_on_cluster(options["dask"], request_of(options, workers=workers), tasks, workers=workers)

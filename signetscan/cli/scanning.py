"""How `detect` and `watch` run a scan, and how they end."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from signetscan.cli.console import note, stages
from signetscan.cli.scan_messages import ScanMessages
from signetscan.cli.scan_options import request_of, workers_of
from signetscan.cli.statuses import ENVIRONMENT, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from signetscan.batch.find import SlideTask
    from signetscan.batch.journal import Journal
    from signetscan.batch.run import Event


class EnvironmentFailure(click.ClickException):
    """The device or the model cannot be used here."""

    exit_code = ENVIRONMENT


@contextmanager
def ends_cleanly(context: click.Context) -> Iterator[None]:
    """Give a device or a model that cannot be used, and an interruption, an exit status of its own."""
    from signetscan.errors import DeviceError, ModelError

    end_on_sigterm()
    try:
        yield
    except (DeviceError, ModelError) as error:
        raise EnvironmentFailure(str(error)) from error
    except KeyboardInterrupt:
        note("Interrupted. Started again, the run goes on with the slides that are not done.")
        context.exit(INTERRUPTED)


def end_on_sigterm() -> None:
    """Let a request to end the process be like Ctrl-C."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def events_here(tasks: Sequence[SlideTask], options: dict[str, Any]) -> Generator[Event]:
    """What happens when slides are scanned on this machine."""
    from signetscan.batch.run import Batch

    workers, environments = workers_of(options)
    batch = Batch(
        request=request_of(options, workers=workers),
        tasks=tasks,
        workers=workers,
        slide_timeout=options["slide_timeout"],
        environments=environments,
    )
    return batch.run()


def scan(tasks: Sequence[SlideTask], events: Generator[Event], journal: Journal, options: dict[str, Any]) -> int:
    """Run a scan to its end, say what happens, and write the index of reports; gives how many slides failed."""
    with stages(quiet=options["quiet"]) as stage:
        messages = ScanMessages(tasks, journal, stage, options)
        try:
            for event in events:
                messages.take(event)
        finally:
            events.close()
    messages.close(index=_reports_index(options))
    return messages.failed


def _reports_index(options: dict[str, Any]) -> Path | None:
    """Write the index of all reports in the output folder, where reports are wanted; gives its path."""
    if not options["report"] or options.get("dry_run"):  # watch has no --dry-run
        return None
    from signetscan.reports.index import INDEX_NAME, find_entries, write_index

    path: Path = options["out"] / INDEX_NAME
    write_index(path, find_entries(options["out"]))
    return path

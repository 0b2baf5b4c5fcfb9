"""Showing the progress and setting the exit status of `detect`, `segment` and `watch`."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import note
from signetscan.cli.flags import with_flags
from signetscan.cli.scan_messages import ScanMessages
from signetscan.cli.signals import ended_by_signals
from signetscan.cli.statuses import ENVIRONMENT, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from signetscan.batch.events import Event
    from signetscan.batch.options import BatchOptions
    from signetscan.batch.outcome import SlideScanned, SlideSkipped

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per slide.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and results.")
NOT_OF_DETECTION = ("trim_tiles", "region_formats")
"""Options of batches that commands which detect do not offer."""


class EnvironmentFailure(click.ClickException):
    """The device or the model cannot be used here."""

    exit_code = ENVIRONMENT


@contextmanager
def ends_cleanly(context: click.Context) -> Iterator[None]:
    """Exit with a status of its own if the device or the model cannot be used, or if the scan is interrupted."""
    from signetscan.errors import DeviceError, ModelError

    try:
        with ended_by_signals():
            yield
    except (DeviceError, ModelError) as error:
        raise EnvironmentFailure(with_flags(error, context.command)) from error
    except KeyboardInterrupt:
        note("Interrupted. Run the same command again to continue with the slides that are not done.")
        context.exit(INTERRUPTED)


def show(
    events: Generator[Event],
    request: BatchOptions,
    command: click.Command,
    *,
    as_json: bool,
    quiet: bool,
    tell: Callable[[SlideScanned | SlideSkipped], str] | None = None,
) -> int:
    """Print the events of a scan until it ends; gives the exit status. Arguments are those of `ScanMessages`."""
    with closing(events), ScanMessages(request, command, as_json=as_json, quiet=quiet, tell=tell) as messages:
        for event in events:
            messages.take(event)
    return messages.status

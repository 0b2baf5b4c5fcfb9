"""How `detect` and `watch` show a scan, and how they end."""

from __future__ import annotations

import signal
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from signetscan.cli.console import note
from signetscan.cli.flags import with_flags
from signetscan.cli.scan_messages import ScanMessages
from signetscan.cli.statuses import ENVIRONMENT, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from signetscan.batch.events import Event
    from signetscan.batch.options import BatchOptions

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per slide.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and results.")


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
        raise EnvironmentFailure(with_flags(error, context.command)) from error
    except KeyboardInterrupt:
        note("Interrupted. Started again, the run goes on with the slides that are not done.")
        context.exit(INTERRUPTED)


def end_on_sigterm() -> None:
    """Treat a request to end the process like Ctrl-C."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def show(events: Generator[Event], request: BatchOptions, command: click.Command, *, as_json: bool, quiet: bool) -> int:
    """Say what happens, to the end; gives how many slides failed."""
    with closing(events), ScanMessages(request, command, as_json=as_json, quiet=quiet) as messages:
        for event in events:
            messages.take(event)
    return messages.failed_in_all

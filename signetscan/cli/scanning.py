"""Showing the progress and setting the exit status of `detect`, `segment` and `watch`."""

from __future__ import annotations

import atexit
import signal
import time
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import note
from signetscan.cli.flags import with_flags
from signetscan.cli.scan_messages import ScanMessages
from signetscan.cli.statuses import ENVIRONMENT, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from types import FrameType

    from signetscan.batch.events import Event
    from signetscan.batch.options import BatchOptions
    from signetscan.batch.outcome import SlideScanned, SlideSkipped

    _Handler = Callable[[int, FrameType | None], object] | int | None

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per slide.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and results.")

ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2")
"""Signals that end a process: Ctrl-C, the system, a closed terminal, Ctrl-\\, a limit, and those of batch systems."""
TIDY_S = 15.0
"""Seconds in which a process that was asked to end stops its workers and releases its claims."""


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


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Treat requests to end the process, such as that of a terminal that is closed, like Ctrl-C, until the block ends.

    Further ones are passed over while the process tidies up, until it is gone. Signals that are ignored stay so, as
    nohup wants.
    """
    tidy_until = 0.0

    def interrupt(*_: object) -> None:
        nonlocal tidy_until
        now = time.monotonic()
        if now >= tidy_until:
            tidy_until = now + TIDY_S
            raise KeyboardInterrupt

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]  # Windows lacks most
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    _handle(dict.fromkeys(before, interrupt))
    with ExitStack() as stack:
        stack.callback(_handle, before)
        try:
            yield
        except KeyboardInterrupt:
            stack.pop_all()
            # Python takes its handlers back before the process is gone, and a signal would change the exit status.
            atexit.register(_handle, dict.fromkeys(before, signal.SIG_IGN))
            raise


def _handle(handlers: Mapping[signal.Signals, _Handler]) -> None:
    """Set the handlers of signals; none is the system's own."""
    for number, handler in handlers.items():
        signal.signal(number, handler or signal.SIG_DFL)


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

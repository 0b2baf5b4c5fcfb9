"""What people see while they wait: a bar on a terminal, plain lines elsewhere. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    Update = Callable[[int, int], None]

LINE_EVERY_S = 10.0
"""Seconds between two plain lines: enough for a log to show life, few enough not to fill it."""


FILE = click.Path(path_type=Path, readable=False)
"""Type of arguments that are files or folders. Whether they are there, and may be read, the library finds out, so that
it is said in one way and one slide without permission does not stop a batch."""
POSITIVE = click.FloatRange(min=0, min_open=True)
"""Type of options that are sizes."""
SHARE = click.FloatRange(0, 1)
"""Type of options that are shares and scores."""


def note(message: str, *, quiet: bool = False) -> None:
    """Say something that is not a result."""
    if not quiet:
        print(message, file=sys.stderr)  # which rich keeps clear of a bar, unlike click's own way to stderr


def counted(number: int, thing: str) -> str:
    """A number of things as they stand in a sentence: "1 tile", "2 tiles", "3 signet ring cells"."""
    if thing[:1].isupper() and thing[1:2].islower():
        thing = thing[0].lower() + thing[1:]
    return f"{number} {thing}" if number == 1 or thing.endswith("s") else f"{number} {thing}s"


_bars_shown: list[Progress] = []
"""The bars on the terminal, of which there is one set at most."""


def result(text: str) -> None:
    """Print a result on stdout; bars make way for it."""
    for bars in _bars_shown:
        bars.stop()
    click.echo(text)
    for bars in _bars_shown:
        bars.start()


class Stage(Protocol):
    """Begins a stage of a job; see `stages`."""

    def __call__(self, what: str, unit: str, /, *, brief: bool) -> Update:
        """Gives a function to call with (done, total)."""


@contextmanager
def progress(what: str, *, unit: str, quiet: bool = False) -> Iterator[Update]:
    """Show how far a job is.

    Args:
        what: what is being done.
        unit: what is counted.
        quiet: whether to show nothing.

    Yields:
        A function to call with (done, total).
    """
    with stages(quiet=quiet) as stage:
        yield stage(what, unit, brief=False)


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Stage]:
    """Show how far a job is that has stages, some of which come again and again.

    Args:
        quiet: whether to show nothing.

    Yields:
        A function to call with what is done in a stage and what is counted, which gives one to call with
        (done, total). A `brief` stage is shown only while it lasts.
    """
    if quiet:
        yield _no_stage
    elif sys.stderr.isatty():
        with _bars() as stage:
            yield stage
    else:
        yield _lines


def _no_stage(_what: str, _unit: str, *, brief: bool) -> Update:  # noqa: ARG001 - one signature
    return lambda _done, _total: None


@contextmanager
def _bars() -> Iterator[Stage]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:
        _bars_shown.append(bars)

        def stage(what: str, _unit: str, *, brief: bool) -> Update:
            task = bars.add_task(what, total=None, visible=not brief)

            def update(done: int, total: int) -> None:
                if brief and done <= 1:
                    bars.reset(task, visible=True)
                bars.update(task, completed=done, total=total, visible=not brief or done < total)

            return update

        try:
            yield stage
        finally:
            _bars_shown.remove(bars)


def _lines(what: str, unit: str, *, brief: bool) -> Update:
    started = last = time.monotonic()
    first = latest = 0

    def update(done: int, total: int) -> None:
        nonlocal started, last, first, latest
        now = time.monotonic()
        if done <= latest or (brief and not latest):  # the stage begins, now or again
            started, last, first = now, now, done
        latest = done
        if now - last < LINE_EVERY_S and (brief or done < total):
            return
        last = now
        # Of a stage that is over with its first step no rate is known.
        rate = f", {(done - first) / (now - started):.1f} a second" if done > first and now > started else ""
        click.echo(f"{what}: {done} of {total} {unit}{rate}", err=True)

    return update

"""What people see while they wait: a bar on a terminal, plain lines elsewhere. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINE_EVERY_S = 10.0
"""Seconds between two plain lines: enough for a log to show life, few enough not to fill it."""


POSITIVE = click.FloatRange(min=0, min_open=True)
"""Type of options that are sizes."""


def note(message: str, *, quiet: bool = False) -> None:
    """Say something that is not a result."""
    if not quiet:
        click.echo(message, err=True)


@contextmanager
def progress(what: str, *, unit: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show how far a job is.

    Args:
        what: what is being done.
        unit: what is counted.
        quiet: whether to show nothing.

    Yields:
        A function to call with (done, total).
    """
    if quiet:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with _bar(what) as update:
            yield update
    else:
        yield _lines(what, unit)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str, unit: str) -> Callable[[int, int], None]:
    started = last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LINE_EVERY_S and done < total:
            return
        last = now
        rate = done / max(now - started, 1e-9)
        click.echo(f"{what}: {done} of {total} {unit}, {rate:.1f} a second", err=True)

    return update

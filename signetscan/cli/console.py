"""Output of the command line: results on stdout; notes and progress (bars, or lines without a terminal) on stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

from signetscan.texts import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, Task

    from signetscan.slides.addresses import AnyPlace

    Update = Callable[[int, int], None]

SHORTEST_RATE_S = 1.0
"""Stages shorter than this have no rate: a clock's tick would decide it."""
LINE_EVERY_S = 10.0
"""Seconds between two lines: they show that the run is alive without filling a log."""

FILE = click.Path(path_type=Path, readable=False)
"""Type of arguments that are files or folders. The library checks whether they exist and can be read, so that its
messages are the same everywhere and a slide without permission does not stop a batch."""


# click 8.3 and later want to know what it makes; earlier ones cannot be told.
class PlaceType(click.ParamType):  # type: ignore[type-arg]
    """Type of arguments that are slides: files, folders and patterns, and addresses in archives."""

    name = "place"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> AnyPlace:
        """A path or an address."""
        from signetscan.errors import OptionError
        from signetscan.slides.addresses import parse_place

        try:
            return parse_place(str(value))
        except OptionError as error:
            self.fail(str(error), param, context)


PLACE = PlaceType()
POSITIVE = click.FloatRange(min=0, min_open=True)
"""Type of options that are sizes."""


def note(message: str, *, quiet: bool = False) -> None:
    """Print a message that is not a result; what strangers wrote in it is escaped."""
    if not quiet:
        print(printable(message), file=sys.stderr)  # not click.echo: rich keeps only print clear of its bars


_bars_shown: list[Progress] = []
"""The bars on the terminal; there is at most one set."""


def result(text: str) -> None:
    """Print a result for people on stdout, with what strangers wrote in it escaped; bars make way for it."""
    for bars in _bars_shown:
        bars.stop()
    click.echo(printable(text))
    for bars in _bars_shown:
        bars.start()


def json_result(value: object, *, indent: int | None = None) -> None:
    """Print a result for programs on stdout, which may be a terminal: as JSON, with no letter that moves the cursor."""
    click.echo(printable_json(json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)))


def _finite(value: object) -> object:
    """A value in which null stands for numbers that JSON has not: the recipe of a model may hold any."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case _:
            return value


class Stage(Protocol):
    """Starts showing a stage of a job; see `stages`."""

    def __call__(self, what: str, unit: str, /, *, brief: bool) -> Update:
        """Start a stage; gives a function to call with (done, total)."""


@contextmanager
def progress(what: str, *, unit: str, quiet: bool = False) -> Iterator[Update]:
    """Show the progress of a job.

    Args:
        what: name of the job.
        unit: what is counted, in the plural.
        quiet: whether to show nothing.

    Yields:
        A function to call with (done, total).
    """
    with stages(quiet=quiet) as stage:
        yield stage(what, unit, brief=False)


@contextmanager
def stages(*, quiet: bool = False) -> Iterator[Stage]:
    """Show the progress of a job with several stages, some of which may recur.

    Args:
        quiet: whether to show nothing.

    Yields:
        A function to call with the name of a stage and what it counts. It gives a function to call with (done, total).
        A `brief` stage is shown only while it lasts.
    """
    if quiet:
        yield _no_stage
    elif sys.stderr.isatty():
        with _bars() as stage:
            yield stage
    else:
        yield _lines


def _no_stage(_what: str, _unit: str, *, brief: bool) -> Update:  # noqa: ARG001 - same signature for all stages
    return lambda _done, _total: None


@contextmanager
def _bars() -> Iterator[Stage]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Counts(MofNCompleteColumn):
        """The steps done of all, once it is known how many there are: not `0/?`."""

        def render(self, task: Task) -> Text:
            return Text("") if task.total is None else super().render(task)

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), Counts(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bars:
        _bars_shown.append(bars)

        def stage(what: str, _unit: str, *, brief: bool) -> Update:
            task = bars.add_task(what, total=None, visible=not brief)

            def update(done: int, total: int) -> None:
                if brief and done <= 1:  # the stage begins, for the first time or again
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
        if done <= latest or (brief and not latest):  # the stage begins, for the first time or again
            started, last, first = now, now, done
        latest = done
        if now - last < LINE_EVERY_S and (brief or done < total or total == 1):
            return  # a single step that is over at once is not worth a line
        last = now
        note(f"{what}: {done} of {total} {unit}{_rate(done - first, now - started)}")

    return update


def _rate(steps: int, seconds: float) -> str:
    """How fast a stage is, in a unit that shows it; nothing if it is too short to tell."""
    if steps <= 0 or seconds < SHORTEST_RATE_S:
        return ""
    for unit, length in (("second", 1), ("minute", 60)):
        if steps * length >= seconds:
            return f", {steps * length / seconds:.1f} a {unit}"
    return f", {steps * 3600 / seconds:.1f} an hour"

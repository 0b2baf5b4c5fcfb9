"""The logs of a run: a table of its epochs, and events for TensorBoard.

The table is rewritten after each epoch. Event files grow, as TensorBoard expects. Each start of the run has one of its
own, which begins by discarding all earlier events from its first batch on. So a run that was stopped and resumed shows
each batch once, although it began one epoch twice. A point lies at the number of batches done so far.
"""

from __future__ import annotations

import csv
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensorboardX import RecordWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from signetscan.atomic import atomic_text
from signetscan.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

METRICS = "metrics.csv"
"""A table of all epochs."""
EVENTS = "events.out.tfevents"
"""Prefix of the names of event files; TensorBoard reads them in alphabetical order."""

BATCHES_PER_POINT = 10
"""Losses of batches are logged as means over this many: single ones are noisy, and would fill the disk."""


@contextmanager
def open_log(folder: Path, batches_done: int) -> Iterator[RunLog]:
    """Open the log of a run.

    Args:
        folder: the run's folder.
        batches_done: batches that the run has done before.

    Raises:
        OutputError: a file cannot be written.
    """
    try:
        writer = RecordWriter(str(_next_event_file(folder)))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield RunLog(folder, writer, batches_done)
    finally:
        try:
            writer.close()
        except OSError as error:  # closing flushes, so a full disk can fail here once more
            raise _cannot_write(folder, error) from error


class RunLog:
    """The open log of a run; made by `open_log`.

    Args:
        folder: the run's folder.
        writer: writes events.
        batches_done: batches that the run has done before; events of later ones are discarded.
    """

    def __init__(self, folder: Path, writer: RecordWriter, batches_done: int) -> None:
        self._folder, self._writer = folder, writer
        self._done = batches_done
        self._waiting: list[Mapping[str, float]] = []
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=batches_done + 1, session_log=start))

    def batch(self, losses: Mapping[str, float]) -> None:
        """Log the losses of the next batch, by name."""
        self._done += 1
        self._waiting.append(losses)
        if self._done % BATCHES_PER_POINT == 0:
            count = len(self._waiting)
            self._scalars({f"batch/{name}": sum(each[name] for each in self._waiting) / count for name in losses})
            self._waiting.clear()

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log an epoch that is done.

        Args:
            history: the metrics of all epochs, the latest one last.

        Raises:
            OutputError: a file cannot be written.
        """
        latest = history[-1]
        self._scalars({f"epoch/{name}": value for name, value in latest.items() if name != "epoch"})
        try:
            self._writer.flush()
        except OSError as error:
            raise _cannot_write(self._folder, error) from error
        with atomic_text(self._folder / METRICS) as file:
            table = csv.DictWriter(file, list(latest), lineterminator="\n")
            table.writeheader()
            for row in history:
                table.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def _scalars(self, values: Mapping[str, float]) -> None:
        """Write values as points at the current batch, except for nan."""
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items() if not math.isnan(value)]
        self._write(Event(wall_time=time.time(), step=self._done, summary=Summary(value=points)))

    def _write(self, event: Event) -> None:
        try:
            self._writer.write(event.SerializeToString())
        except OSError as error:
            raise _cannot_write(self._folder, error) from error


def _next_event_file(folder: Path) -> Path:
    """A name that sorts after those of all earlier starts; by number, because the clock may have been set back."""
    numbers = [int(path.suffix[1:]) for path in folder.glob(f"{EVENTS}.*") if path.suffix[1:].isdecimal()]
    return folder / f"{EVENTS}.{max(numbers, default=0) + 1:06d}"


def _cannot_write(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"{folder}: the run's events cannot be written: {error.strerror or error}")

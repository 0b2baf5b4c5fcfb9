"""The log file of a batch: one line of JSON for each event."""

from __future__ import annotations

import errno
import io
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from signetscan.batch.events import Awaited, Begun, Ended, Event, Finished, LogLost, Noted, Progressed, Retried, Started
from signetscan.batch.messages import Ready
from signetscan.batch.outcome import outcome_facts
from signetscan.errors import OutputError
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from signetscan.json_values import Json


class Journal:
    """Appends to a log file; without one, does nothing.

    Args:
        path: the file.

    Raises:
        OutputError: the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: io.FileIO | None = None
        if path is not None:
            try:
                self._file = io.FileIO(path, "a")
            except OSError as error:
                message = f"{path}: the log cannot be written: {error.strerror}"
                raise OutputError(message, options=("log_file",)) from error

    def follow(self, events: Iterable[Event]) -> Iterator[Event]:
        """Write a line for each event with the time, its kind and its facts, and give it.

        If a line cannot be written, it gives `LogLost` too, and writes no more: the log has no gaps.
        """
        for event in events:
            facts = _facts(event) if self._file is not None else None
            if self._file is not None and self._path is not None and facts is not None:
                time = datetime.now(UTC).isoformat(timespec="milliseconds")
                try:
                    _write(self._file, json.dumps({"time": time} | facts))
                except OSError as error:
                    self._close()
                    yield LogLost(path=self._path, reason=error.strerror or str(error))
            yield event

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # nothing waits to be written
                self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._close()


def _write(file: io.FileIO, line: str) -> None:
    """Append a line.

    Raises:
        OSError: it cannot be written, or not all of it.
    """
    data = f"{line}\n".encode()
    if file.write(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _facts(event: Event) -> dict[str, Json] | None:  # noqa: PLR0911 - one return for each event
    """The content of an event's line apart from the time; None for events that are not logged."""
    match event:
        case Begun():
            return {"event": "begins", "slides": len(event.tasks)}
        case Noted():
            return {"event": "note", "text": printable(event.text)}
        case Ready():
            return {"event": "ready", "model": event.model, "provider": event.runs_on.name}
        case Started():
            return {"event": "started", "slide": printable(event.name)}
        case Retried():
            return {"event": "retried", "slide": printable(event.name), "reason": printable(event.reason)}
        case Ended():
            return {"event": "ended"} | outcome_facts(event.outcome)
        case Finished():
            return {"event": "ends", "done": event.done, "skipped": event.skipped, "failed": event.failed}
        case Progressed() | Awaited() | LogLost():
            return None
        case _:
            assert_never(event)

"""The log file of a batch: one line of JSON for each event."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, assert_never

from signetscan.batch.events import Awaited, Begun, Ended, Event, Finished, Progressed, Retried, Started
from signetscan.batch.messages import Ready
from signetscan.batch.outcome import outcome_facts
from signetscan.errors import OutputError
from signetscan.texts import printable

if TYPE_CHECKING:
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
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                message = f"{path}: the log cannot be written: {error.strerror}"
                raise OutputError(message, options=("log_file",)) from error

    def write(self, event: Event) -> None:
        """Write a line with the time, the kind of event and its facts."""
        facts = _facts(event) if self._file is not None else None
        if self._file is not None and facts is not None:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._file.write(json.dumps({"time": time} | facts) + "\n")
            self._file.flush()

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _facts(event: Event) -> dict[str, Json] | None:  # noqa: PLR0911 - one return for each event
    """The content of an event's line apart from the time; None for events that are not logged."""
    match event:
        case Begun():
            return {"event": "begins", "slides": len(event.tasks)}
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
        case Progressed() | Awaited():
            return None
        case _:
            assert_never(event)

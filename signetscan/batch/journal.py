"""The log file of a batch: a line of JSON for each thing that happened."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class Journal:
    """Appends to a log file; without one, does nothing.

    Args:
        path: the file.

    Raises:
        OutputError: it cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: IO[str] | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                message = f"{path}: the log cannot be written: {error.strerror}"
                raise OutputError(message) from error

    def note(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - whatever JSON takes
        """Write a line: the time, what happened, and facts about it."""
        if self._file is not None:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._file.write(json.dumps({"time": time, "event": event} | facts) + "\n")
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

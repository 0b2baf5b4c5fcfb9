"""Failures: NAME.failed.json, which says that a slide could not be scanned, and why."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text
from signetscan.errors import ResultError
from signetscan.formats.result_files import FAILURE_SUFFIX, REGIONS, add_suffix
from signetscan.json_values import JsonError, JsonTable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from signetscan.json_values import Json

SCHEMA = 1
"""Version of the file's layout."""
ATTEMPTS = 2
"""How often a slide is tried: a network share may have stalled, or memory been short for a moment."""
MOST_BYTES = 1 << 20
"""Largest file that is read; a failure is one sentence."""
MOST_SHOWN = 500
"""Longest reason that is shown, characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A slide that could not be scanned."""

    slide: str
    """Name of its results below the folder of the batch."""
    reason: str
    """Why it failed; the text may name the slide's file."""
    attempts: int = ATTEMPTS
    """How often it was tried."""
    finished: str = ""
    """When the last attempt failed, UTC, ISO 8601."""

    @classmethod
    def from_json(cls, table: JsonTable) -> Self:
        """Make a failure from the contents of a file, of which only the reason is required.

        Raises:
            JsonError: a value is missing or of another type.
        """
        return cls(
            slide=table.text_or("slide", ""),
            reason=table.text("reason"),
            attempts=table.whole("attempts", low=0) if "attempts" in table.values else ATTEMPTS,
            finished=table.text_or("finished", ""),
        )

    def to_json(self) -> dict[str, Json]:
        """The contents of the file."""
        return {
            "schema": SCHEMA,
            "slide": self.slide,
            "reason": self.reason,
            "attempts": self.attempts,
            "finished": self.finished,
        }

    def short_reason(self, name: str) -> str:
        """The reason for a message or a page: short, and without folders, which may tell of patients.

        Args:
            name: the slide's name in results, of cells or of regions, with "/" between folders.
        """
        return without_folders(self.reason, name.removesuffix(REGIONS))[:MOST_SHOWN]


def without_folders(reason: str, name: str) -> str:
    """Remove the folders from a reason that begins with the path of the slide."""
    file_name = re.escape(name.rpartition("/")[2])
    return re.sub(rf"^[^\n]*?[/\\](?={file_name}[^/\\]*: )", "", reason, count=1)


def write_failure(out: Path, name: str, reason: str, *, attempts: int) -> None:
    """Write NAME.failed.json.

    Args:
        out: folder of the results.
        name: the slide's name below it, with "/" between folders.
        reason: why the slide failed.
        attempts: how often it was tried.

    Raises:
        OutputError: the file cannot be written.
    """
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    failure = Failure(slide=name, reason=reason, attempts=attempts, finished=finished)
    with atomic_text(failure_path(out, name)) as file:
        json.dump(failure.to_json(), file, indent=2)
        file.write("\n")


def read_failure(path: Path) -> Failure:
    """Read the record of a failure.

    Raises:
        ResultError: the file cannot be read, or is not the record of a failure.
    """
    try:
        return Failure.from_json(JsonTable.of_file(path, MOST_BYTES))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise ResultError(message) from error
    except JsonError as error:
        message = f"{path}: not the record of a failure: {error}"
        raise ResultError(message) from error


def forget_failure(out: Path, name: str) -> None:
    """Remove the record of a failure, once the slide is scanned."""
    failure_path(out, name).unlink(missing_ok=True)


def failure_path(out: Path, name: str) -> Path:
    """Path of the file that records a slide's failure."""
    return add_suffix(out / name, FAILURE_SUFFIX)

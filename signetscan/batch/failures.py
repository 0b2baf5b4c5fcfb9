"""Files that say which slides failed, and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from signetscan.atomic import atomic_text
from signetscan.formats.result_files import FAILURE_ENDING, with_ending

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPTS = 2
"""Times that a slide is tried: a share may have stuttered, or memory been short for a moment."""


def write_failure(out: Path, name: str, reason: str) -> None:
    """Write NAME.failed.json.

    Raises:
        OutputError: it cannot be written.
    """
    record = {"schema": 1, "slide": name, "reason": reason, "attempts": ATTEMPTS}
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    with atomic_text(_path(out, name)) as file:
        json.dump(record, file, indent=2)
        file.write("\n")


def forget_failure(out: Path, name: str) -> None:
    """Remove it: the slide is done."""
    _path(out, name).unlink(missing_ok=True)


def _path(out: Path, name: str) -> Path:
    return with_ending(out / name, FAILURE_ENDING)

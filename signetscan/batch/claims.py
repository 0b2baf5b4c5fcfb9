"""Claims: files that say which run works on which slide, so that runs on several machines can share a results folder.

To claim a slide, a run creates a file that must not exist yet, which works on network shares too, and touches it every
few seconds. A claim that has not been touched for a while, or whose process is gone from this machine, is stale:
another run may take it over. Only one can, because it must first create a file, named after the stale claim, that must
not exist either.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

HEARTBEAT_S = 10.0
"""Seconds between two touches of a claim."""
STALE_S = 120.0
"""Seconds after which an untouched claim is stale: a dozen missed touches, longer than a busy share delays any."""
MOST_BYTES = 4096
"""Bytes read of a claim, which is one line of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """This run's claim to a slide."""

    path: Path
    """The claim's file."""
    token: str
    """A random text that only this claim's file holds."""

    def touch(self) -> None:
        """Show that this run is still working on the slide."""
        with contextlib.suppress(OSError):  # if the share is gone, writing the results reports it
            os.utime(self.path)

    def is_held(self) -> bool:
        """Whether the claim is still ours; another run may have taken it over if it was not touched for long."""
        return _token(self.path) == self.token

    def release(self) -> None:
        """Remove the claim, unless another run has taken it over."""
        if self.is_held():
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Makes claims for this process."""

    stale_s: float = STALE_S
    """Seconds after which a claim that is not touched is stale."""
    host: str = field(default_factory=socket.gethostname)
    """Name of this machine."""

    def take(self, target: Path) -> Claim | None:
        """Claim a slide.

        Args:
            target: path of the slide's results without a suffix; its folder exists.

        Returns:
            The claim, or None if another run holds it.

        Raises:
            OutputError: the folder is not writable.
        """
        path = target.with_name(f".{target.name}.claim")
        token = uuid.uuid4().hex
        text = json.dumps({"token": token, "host": self.host, "pid": os.getpid()})
        try:
            if not _create(path, text):
                stale_token = self._stale_token(path)
                if stale_token is None or not _take_over(path, stale_token, text, self.stale_s):
                    return None
        except OSError as error:
            message = f"{path.parent}: results cannot be written here: {error.strerror or error}"
            raise OutputError(message) from error
        return Claim(path=path, token=token)

    def _stale_token(self, path: Path) -> str | None:
        """The token of a claim if it is stale, else None."""
        token, holder = _token(path), _read(path)
        try:
            untouched = _file_system_time(path.parent) - path.stat().st_mtime
        except FileNotFoundError:
            return None  # just released: the next try will get it
        is_gone = holder.get("host") == self.host and not _is_alive(holder.get("pid"))
        return token if untouched > self.stale_s or is_gone else None


def _create(path: Path, text: str) -> bool:
    """Create a file with a text; False if it exists."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _take_over(path: Path, token: str, text: str, stale_s: float) -> bool:
    """Replace the stale claim of that token by ours; False if another process was first."""
    turn = path.with_name(f"{path.name}.{token}")
    if not _create(turn, ""):
        with contextlib.suppress(FileNotFoundError):  # the other process has just finished its turn
            if _file_system_time(path.parent) - turn.stat().st_mtime > stale_s:
                turn.unlink(missing_ok=True)  # the other process died in its turn; the next try may take over
        return False
    if _token(path) != token:  # another process took the claim over before our turn
        turn.unlink(missing_ok=True)
        return False
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    turn.unlink(missing_ok=True)
    return True


def _file_system_time(folder: Path) -> float:
    """The time by the clock of the folder's file system, which may be another machine's."""
    probe = folder / f".signetscan-clock.{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, object]:
    """The values in a claim's file; none if it cannot be read or is just being written."""
    try:
        with path.open(encoding="utf-8") as file:
            values = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _token(path: Path) -> str:
    """A claim's token. It is part of file names, so a file that gives anything else counts as unreadable."""
    token = _read(path).get("token")
    return token if isinstance(token, str) and token.isalnum() and len(token) <= 64 else "unreadable"


def _is_alive(pid: object) -> bool:
    """Whether a process of this machine is running; assumed where it cannot be determined."""
    if not isinstance(pid, int) or pid <= 0 or os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

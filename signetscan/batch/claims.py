"""Claims: files that say who works on which slide, so that runs on several machines share a folder of results.

A claim is made by creating a file that must not be there yet, which works on network shares as well. Its maker touches
it every few seconds. One that was not touched for a while, or whose process is gone from this machine, is stale and
may be taken over; by one taker only, because that one too must create a file that is not there, named after the claim.
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
"""A claim not touched for so many seconds is stale: a dozen missed touches, more than a busy share delays."""
MOST_BYTES = 4096
"""A claim is a line of text; more is none of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim of ours to one slide."""

    path: Path
    """The file that says so."""
    token: str
    """What only our file holds."""

    def touch(self) -> None:
        """Show that we are still working on it."""
        with contextlib.suppress(OSError):  # if the share is gone, writing results will say so
            os.utime(self.path)

    def is_held(self) -> bool:
        """Whether it is still ours: another run takes over a claim that was not touched for long."""
        return _token(self.path) == self.token

    def release(self) -> None:
        """Give it up, unless another run took it over."""
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
        """Claim what results are written to.

        Args:
            target: path of the results, without an ending; its folder exists.

        Returns:
            The claim, or None where somebody else has it.

        Raises:
            OutputError: the folder cannot be written to.
        """
        path = target.with_name(f".{target.name}.claim")
        token = uuid.uuid4().hex
        text = json.dumps({"token": token, "host": self.host, "pid": os.getpid()})
        try:
            if not _create(path, text):
                stale = self._stale(path)
                if stale is None or not _take_over(path, stale, text, self.stale_s):
                    return None
        except OSError as error:
            message = f"{path.parent}: results cannot be written here: {error.strerror or error}"
            raise OutputError(message) from error
        return Claim(path=path, token=token)

    def _stale(self, path: Path) -> str | None:
        """The token of a claim that is stale; None where it is not."""
        token, holder = _token(path), _read(path)
        try:
            untouched = _now_there(path.parent) - path.stat().st_mtime
        except FileNotFoundError:
            return None  # just released; the next try finds out
        gone = holder.get("host") == self.host and not _is_alive(holder.get("pid"))
        return token if untouched > self.stale_s or gone else None


def _create(path: Path, text: str) -> bool:
    """Create a file, whole, if there is none of its name."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _take_over(path: Path, token: str, text: str, stale_s: float) -> bool:
    """Put our claim in place of a stale one of that token, if no other process does."""
    turn = path.with_name(f"{path.name}.{token}")
    if not _create(turn, ""):
        with contextlib.suppress(FileNotFoundError):  # its maker is done with it
            if _now_there(path.parent) - turn.stat().st_mtime > stale_s:
                turn.unlink(missing_ok=True)  # whoever took it over died in between; the next try may
        return False
    if _token(path) != token:  # somebody else had a turn before us
        turn.unlink(missing_ok=True)
        return False
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    turn.unlink(missing_ok=True)
    return True


def _now_there(folder: Path) -> float:
    """The time by the clock of the file system, which may be another machine's."""
    probe = folder / f".signetscan-clock.{uuid.uuid4().hex}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, object]:
    """What a claim says; nothing where it cannot be read or is being written."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _token(path: Path) -> str:
    """A claim's token, fit for the name of a file whatever it says."""
    token = _read(path).get("token")
    return token if isinstance(token, str) and token.isalnum() and len(token) <= 64 else "unreadable"


def _is_alive(pid: object) -> bool:
    """Whether a process of this machine runs; one that cannot be told is taken to."""
    if not isinstance(pid, int) or pid <= 0 or os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

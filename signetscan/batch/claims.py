"""Claims: files that say which run works on which slide, so that runs on several machines can share a results folder.

To claim a slide, a run puts a file in place that must not exist yet, which works on network shares too, and touches it
every few seconds. A claim that has not been touched for a while, or whose process is gone from this machine, is stale:
another run may take it over. Only one can, because it must first create a file, named after the stale claim, that must
not exist either.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from typing import Self

HEARTBEAT_S = 10.0
"""Seconds between two touches of a claim."""
STALE_S = 120.0
"""Seconds after which an untouched claim is stale: a dozen missed touches, longer than a busy share delays any."""
BROKEN_S = 20.0
"""Seconds after which a file that takes milliseconds to write is taken for that of a killed run: a claim without
contents, and the file of a run's turn to take over."""
MOST_BYTES = 4096
"""Bytes read of a claim, which is one line of text."""
BROKEN = "unreadable"
"""Stands for the token of a claim that has none."""


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
        return _Holder.read(self.path).token == self.token

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
    taken: dict[Path, Claim] = field(default_factory=dict)
    """Claims by the files of those that were taken, or were about to be when a signal came."""

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
        claim = Claim(path=path, token=uuid.uuid4().hex)
        holder = _Holder(token=claim.token, host=self.host, pid=os.getpid(), pid_namespace=pid_namespace())
        before = self.taken.get(path)
        self.taken[path] = claim
        part = path.with_name(f"{path.name}.{claim.token}")
        try:
            part.write_text(holder.to_json(), encoding="utf-8")
            if _put(part, path) or self._take_over(path, part, holder):
                return claim
        except OSError as error:
            message = f"{path.parent}: results cannot be written here: {error.strerror or error}"
            raise OutputError(message) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        self._forget(path, before)
        return None

    def release_all(self) -> None:
        """Remove all claims of this process that are still held."""
        for claim in self.taken.values():
            with contextlib.suppress(OSError):  # the share itself may be gone
                claim.release()
        self.taken.clear()

    def _forget(self, path: Path, before: Claim | None) -> None:
        if before is None:
            del self.taken[path]
        else:
            self.taken[path] = before

    def _take_over(self, path: Path, part: Path, ours: _Holder) -> bool:
        """Replace a stale claim by the part; False if it is not stale, or another process was first."""
        holder = _Holder.read(path)
        if holder.token == ours.token:  # a share said that it had not put the part in place, but it had
            return True
        try:
            now = part.stat().st_mtime  # by the clock of the file system, which may be another machine's
            untouched = now - path.stat().st_mtime
        except FileNotFoundError:
            return False  # just released: the next try will get it
        is_stale = untouched > (min(BROKEN_S, self.stale_s) if holder.is_broken else self.stale_s)
        return (is_stale or holder.is_gone(ours)) and _replace(path, holder.token, part, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """What a claim's file says."""

    token: str
    """The claim's token, or `BROKEN`."""
    host: str = ""
    """Name of the machine."""
    pid: int = 0
    """The process; 0 if it is unknown."""
    pid_namespace: str = ""
    """Where the process has that number; empty if it is unknown, as in claims of former versions."""
    is_broken: bool = False
    """Whether the file can be read, but is no claim: its run was killed, or the disk was full."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a claim's file, which may be damaged or missing. The token becomes part of file names."""
        try:
            with path.open(encoding="utf-8") as file:
                values = json.loads(file.read(MOST_BYTES))
        except OSError:
            return cls(token=BROKEN)
        except (ValueError, RecursionError):
            return cls(token=BROKEN, is_broken=True)
        values = values if isinstance(values, dict) else {}
        token, host, pid, namespace = (values.get(name) for name in ("token", "host", "pid", "pid_namespace"))
        if not isinstance(token, str) or not re.fullmatch(r"[0-9A-Za-z]{1,64}", token):
            return cls(token=BROKEN, is_broken=True)
        return cls(
            token=token,
            host=host if isinstance(host, str) else "",
            pid=pid if isinstance(pid, int) else 0,
            pid_namespace=namespace if isinstance(namespace, str) else "",
        )

    def to_json(self) -> str:
        """The contents of the file."""
        return json.dumps(
            {"token": self.token, "host": self.host, "pid": self.pid, "pid_namespace": self.pid_namespace}
        )

    def is_gone(self, ours: _Holder) -> bool:
        """Whether the process has ended for certain.

        Containers may have the name of their host, but their processes have numbers of their own. A number says nothing
        in another namespace.
        """
        is_ours = self.host == ours.host and self.pid_namespace in {"", ours.pid_namespace}
        return is_ours and not _is_alive(self.pid)


def remove_leftovers(target: Path, suffixes: frozenset[str]) -> None:
    """Remove what killed processes left of a slide that is claimed: parts of results, and files of turns.

    Args:
        target: path of the slide's results without a suffix.
        suffixes: those that results may have. They tell parts of this slide from those of one whose name goes on.
    """
    prefix = f".{target.name}"
    endings = "|".join(map(re.escape, suffixes))
    leftover = re.compile(rf"(?:{endings})\.\d+\.(?:[0-9a-f]+\.)?part|\.claim\.(?:[0-9a-f]{{32}}|{BROKEN})")
    with os.scandir(target.parent) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
    for name in names:
        if leftover.fullmatch(name.removeprefix(prefix)):
            target.with_name(name).unlink(missing_ok=True)


def pid_namespace() -> str:
    """Where numbers of processes mean the same: this start of this machine, and a namespace of Linux; empty if unknown.

    Two machines, or containers, may have the same name.
    """
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{start} {Path('/proc/self/ns/pid').readlink()}"
    except (OSError, ValueError):
        return ""


def _put(part: Path, path: Path) -> bool:
    """Put a file in place together with its contents, so that nobody sees it empty; False if there is one already."""
    try:
        path.hardlink_to(part)
    except (FileExistsError, FileNotFoundError):  # the part is gone if another run claimed the slide, and cleaned up
        return False
    except OSError:  # a file system without links
        return _create(path, part.read_text(encoding="utf-8"))
    return True


def _create(path: Path, text: str) -> bool:
    """Create a file with a text; False if it exists."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _replace(path: Path, token: str, part: Path, now: float) -> bool:
    """Replace the stale claim of that token by the part; False if another process was first."""
    turn = path.with_name(f"{path.name}.{token}")
    if not _create(turn, ""):
        with contextlib.suppress(FileNotFoundError):  # the other process has just finished its turn
            if now - turn.stat().st_mtime > BROKEN_S:
                turn.unlink(missing_ok=True)  # the other process died in its turn; the next try may take over
        return False
    try:
        if _Holder.read(path).token != token:  # another process took the claim over before our turn
            return False
        part.replace(path)
    except FileNotFoundError:  # another run claimed the slide, and cleaned up
        return False
    finally:
        turn.unlink(missing_ok=True)
    return True


def _is_alive(pid: int) -> bool:
    """Whether a process of this machine is running; assumed where it cannot be determined."""
    if pid <= 0 or os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True

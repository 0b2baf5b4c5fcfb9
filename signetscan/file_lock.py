"""A lock on a file that several programs read, change and write, also on a network share.

The lock is the operating system's, on a hidden file beside the other. It ends with the process that holds it, however
that ends, so that a crash leaves nothing locked.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from signetscan.errors import OutputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

PATIENCE_S = 20.0
"""Seconds to wait for another program, which holds the lock for as long as it takes to read and write a file."""
PAUSE_S = 0.02
"""Seconds between two tries."""
BUSY = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
"""Codes of system errors that mean that another program holds the lock."""
UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""Codes of system errors of file systems that have no locks."""


@contextmanager
def locked(path: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock of a file, which need not exist. Without locks in the file system, nothing is locked.

    Raises:
        OutputError: the folder cannot be written to, or another program holds the lock for too long.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = _taken(lock, time.monotonic() + patience_s)
    except TimeoutError as error:
        message = f"{path}: another program has been writing it for {patience_s:g} s; try again"
        raise OutputError(message) from error
    except OSError as error:
        message = f"{path}: cannot be written: {error.strerror or error}"
        raise OutputError(message) from error
    try:
        yield
    finally:
        with suppress(OSError):  # while the lock is held, so that nobody else's is removed; Windows refuses
            lock.unlink()
        os.close(descriptor)


def _taken(lock: Path, until: float) -> int:
    """The descriptor of the open lock file, which this process has locked.

    Raises:
        TimeoutError: another program holds it.
        OSError: the file cannot be made.
    """
    while True:
        with ExitStack() as unless_locked:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            unless_locked.callback(os.close, descriptor)
            if _try(descriptor) and _is_at(descriptor, lock):
                unless_locked.pop_all()
                return descriptor
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(PAUSE_S)


def _try(descriptor: int) -> bool:
    """Lock an open file; False if another program holds the lock."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            return False
        if error.errno not in UNSUPPORTED:
            raise
        logger.warning("this folder's file system has no locks: two programs must not write one file here")
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that path: who held the lock before may have removed it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False

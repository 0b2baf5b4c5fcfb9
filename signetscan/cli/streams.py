"""Standard streams that may fail without ending the work: closed, on a full disk, or read by a program that ended."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from signetscan.cli.statuses import FATAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer


class Tolerant(io.RawIOBase):
    """Passes bytes on until that fails; from then on it drops them, and says why in `lost`."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        """Why bytes were dropped; None if none were."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write or drop bytes; gives how many."""
        if self.lost is None:
            try:
                while (written := self._stream.write(data)) is None:  # it is set not to wait, and is busy
                    select.select([], [self._stream], [])
            except OSError as error:
                self.lost = error
            else:
                return written
        return memoryview(data).nbytes

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """Number of the open file."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether people read it."""
        return self._stream.isatty()


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Keep the work of the block going when its output cannot be printed.

    If results are lost by that, the exit status is not 0. Lost notes change no status: slides are scanned all the same.
    """
    _open_closed_streams()
    before = sys.stdout, sys.stderr
    sys.stdout, results = _tolerant(sys.stdout, by_line=sys.stdout.isatty())
    sys.stderr, _ = _tolerant(sys.stderr, by_line=True)
    try:
        yield
    except SystemExit as end:
        sys.stdout.flush()
        if results is None or results.lost is None:
            raise
        print(f"Error: not all results could be printed: {results.lost.strerror}.", file=sys.stderr)
        raise SystemExit(end.code or FATAL) from None
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _open_closed_streams() -> None:
    """Open the standard streams that are closed, as for some daemons, on nothing.

    Otherwise a file of results might get the number of standard error, and what libraries complain of.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


def _tolerant(stream: TextIO, *, by_line: bool) -> tuple[TextIO, Tolerant | None]:
    """The same stream over a tolerant one; itself if it is no file, as in tests."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # Python can be told not to buffer
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
        return stream, None
    tolerant = Tolerant(raw)
    # A name that the terminal's encoding lacks is no reason to end either.
    text = io.TextIOWrapper(
        io.BufferedWriter(tolerant),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=by_line or stream.write_through,
    )
    return text, tolerant

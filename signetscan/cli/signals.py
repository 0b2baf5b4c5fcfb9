"""Ending in order when the user or the system asks for it, so that nothing half-written is left behind."""

from __future__ import annotations

import atexit
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    _Handler = Callable[[int, FrameType | None], object] | int | None

ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2")
"""Signals that end a process: Ctrl-C, the system, a closed terminal, Ctrl-\\, a limit, and those of batch systems."""
TIDY_S = 15.0
"""Seconds in which a process that was asked to end stops its workers and removes what is half-written."""


class _Interruption:
    """A handler of signals that raises what Ctrl-C raises; further signals are passed over for a while."""

    def __init__(self) -> None:
        self.tidy_until = 0.0

    def __call__(self, *_: object) -> None:
        now = time.monotonic()
        if now >= self.tidy_until:
            self.tidy_until = now + TIDY_S
            raise KeyboardInterrupt


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Treat requests to end the process, such as that of a terminal that is closed, like Ctrl-C, until the block ends.

    Further ones are passed over while the process tidies up, until it is gone. Signals that are ignored stay so, as
    nohup wants. Within another such block, or on another thread than the first, the block does nothing.
    """
    if threading.current_thread() is not threading.main_thread():  # Python lets no other set handlers
        yield
        return
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]  # Windows lacks most
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    if any(isinstance(handler, _Interruption) for handler in before.values()):
        yield
        return
    interruption = _Interruption()
    _handle(dict.fromkeys(before, interruption))
    try:
        yield
    finally:
        if interruption.tidy_until:
            # Python takes its handlers back before the process is gone, and a signal would change the exit status.
            atexit.register(_handle, dict.fromkeys(before, signal.SIG_IGN))
        else:
            _handle(before)


def _handle(handlers: Mapping[signal.Signals, _Handler]) -> None:
    """Set the handlers of signals; none is the system's own."""
    for number, handler in handlers.items():
        signal.signal(number, handler or signal.SIG_DFL)

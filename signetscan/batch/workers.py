"""Processes that scan slides: each has the model loaded, may die at any time, and dies with its parent.

A decoder that ends the process, a kill for want of memory, or a hang, so costs one slide.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from signetscan.batch.outcome import hidden
from signetscan.errors import (
    AnnotationError,
    DeviceError,
    ModelError,
    MppError,
    OptionError,
    OutputError,
    SignetscanError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.outcome import ScanRequest, SlideOutcome
    from signetscan.models.detector import Detector

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""Linux's prctl for a signal at the parent's death."""
STOP_S = 10.0
"""Seconds that a worker gets to leave nothing half-written."""

Kind = Literal["ready", "progress", "done", "failed", "refused", "full", "unusable"]
FAILED = ("failed", "refused")
"""Kinds of what is said of a slide that is not done."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a worker says."""

    kind: Kind
    """It is ready; how far it is; a slide is done, or has failed, or can never be done as it is; results cannot be
    written any more; it cannot work at all."""
    content: Any = None
    """Facts of its model; (tiles done, tiles to scan); the `SlideOutcome`; or why."""


class Worker:
    """A process that scans slides one after another.

    Args:
        request: what is wanted of every slide.
        environment: environment variables that it has beside this process's.
    """

    def __init__(self, request: ScanRequest, environment: dict[str, str] | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Nothing is ever sent through the lifeline: that its other end is gone says that this process is.
        theirs_alive, self._lifeline = context.Pipe(duplex=False)
        self.process = context.Process(
            target=work, args=(request, theirs, theirs_alive, environment or {}), daemon=True, name="signetscan-worker"
        )
        self.process.start()
        theirs.close()
        theirs_alive.close()

    def give(self, task: SlideTask, claim: Claim | None) -> None:
        """Let it scan a slide, on a claim to it."""
        self.connection.send((task, claim))

    def stop(self) -> None:
        """End it, if need be by force; nothing it wrote is half a file."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(STOP_S)
        self.kill()

    def kill(self) -> None:
        """End it by force."""
        self.process.kill()
        self.process.join()
        self.connection.close()
        self._lifeline.close()

    def why_dead(self) -> str:
        """What ended the process."""
        self.process.join(STOP_S)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"its process ended with status {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = {
            "SIGSEGV": " (a decoder crashed on it: the file is damaged)",
            "SIGABRT": " (a decoder gave up: the file is damaged, or memory ran out)",
            "SIGKILL": " (probably for want of memory: try fewer --workers or a smaller --tile-size)",
        }.get(name, "")
        return f"its process was ended by {name}{hint}"


def work(request: ScanRequest, connection: Connection, lifeline: Connection, environment: dict[str, str]) -> None:
    """A worker's whole life."""
    os.environ.update(environment)
    _die_with_parent(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides what it means
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that files being written are removed
    if request.verbose and not request.private:  # what is logged names files
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")
    try:
        from signetscan.batch.scan import plan_slide, scan_slide, speed_of  # noqa: PLC0415 - too heavy for the parent
        from signetscan.models.detector import load_detector  # noqa: PLC0415

        detector = load_detector(request.model, device=request.device, threads=request.threads)
    except (DeviceError, ModelError) as error:
        connection.send(Message("unusable", (type(error).__name__, str(error))))
        return
    extra = {"megapixels_per_s": speed_of(detector)} if request.dry_run else {}
    connection.send(Message("ready", about(detector) | extra))

    def tell(done: int, total: int) -> None:
        connection.send(Message("progress", (done, total)))

    def job(task: SlideTask, claim: Claim | None) -> SlideOutcome:
        if request.dry_run:
            return plan_slide(task, request, detector)
        return scan_slide(task, request, detector, tell, claim=claim)

    while True:
        try:
            task, claim = connection.recv()
        except EOFError:
            return
        connection.send(answer(partial(job, task, claim), task, private=request.private))


def about(detector: Detector) -> dict[str, object]:
    """What a worker says of its model."""
    spec = detector.spec
    return {"model": spec.name, "precision": spec.precision, "provider": detector.provider}


def answer(job: Callable[[], SlideOutcome], task: SlideTask, *, private: bool) -> Message:
    """What a worker says of a slide, whatever it does.

    Args:
        job: scans it.
        task: the slide.
        private: whether nothing may say its real name.
    """

    def said(error: Exception, text: str = "") -> str:
        text = text or str(error)
        return hidden(text, task.path, task.name) if private else text

    try:
        return Message("done", job())
    except OutputError as error:
        return Message("full" if error.stops_all else "failed", said(error))
    except OptionError as error:
        return Message("unusable", (type(error).__name__, said(error)))
    except (AnnotationError, MppError) as error:
        return Message("refused", said(error))
    except (SignetscanError, MemoryError) as error:
        return Message("failed", said(error, str(error) or "out of memory"))
    except Exception as error:  # the slide boundary: whatever a slide does costs that slide alone
        logger.debug("%s", task.path, exc_info=True)
        return Message("failed", said(error, f"{type(error).__name__}: {error}"))


def _die_with_parent(lifeline: Connection) -> None:
    """Make sure that no worker outlives the process that started it, even one killed by force."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        try:
            lifeline.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Processes that scan slides: each loads the model once, may die at any time, and dies with its parent.

A decoder that crashes the process, a kill for lack of memory, or a hang thus costs only one slide.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from signetscan.batch.messages import Answer, Done, Failed, Full, NameTaken, Progress, Ready, Refused, Unusable
from signetscan.batch.outcome import hidden
from signetscan.batch.privacy import hush_process, private_reason
from signetscan.concurrency import check_working_folder
from signetscan.errors import (
    AnnotationError,
    DeviceError,
    ModelError,
    MppError,
    NameTakenError,
    OptionError,
    OutputError,
    SignetscanError,
    is_refusal,
)
from signetscan.texts import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.messages import WorkerMessage
    from signetscan.batch.options import BatchOptions
    from signetscan.batch.outcome import SlideOutcome
    from signetscan.models.detector import Detector
    from signetscan.models.segmenter import Segmenter

    Assignment: TypeAlias = tuple[SlideTask, Claim | None]

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""The option of Linux's prctl that asks for a signal when the parent dies."""
FROM_TERMINAL = ("SIGINT", "SIGQUIT", "SIGHUP")
"""Signals that a terminal sends to all processes of a job; the parent handles them."""
STOP_S = 10.0
"""Seconds that a worker gets to remove partial files when it is asked to end."""


class _Escaping(logging.Formatter):
    """Lines of a log, in which what strangers wrote is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def process_context() -> SpawnContext:
    """How workers are started: as processes of their own, because a fork of one with threads may hang."""
    return multiprocessing.get_context("spawn")


class Worker:
    """A process that scans slides one after another.

    Args:
        request: options of the batch.
        environment: environment variables that it gets in addition to those of this process.

    Raises:
        OutputError: the working folder was removed.
    """

    def __init__(self, request: BatchOptions, environment: dict[str, str] | None = None) -> None:
        check_working_folder()
        context = process_context()
        self.connection: Connection[Assignment, WorkerMessage]
        self.connection, theirs = context.Pipe()
        # Nothing is ever sent through the lifeline: that it closes tells the worker that this process has ended.
        theirs_alive, self._lifeline = context.Pipe(duplex=False)
        self.process = context.Process(
            target=work, args=(request, theirs, theirs_alive, environment or {}), daemon=True, name="signetscan-worker"
        )
        self.process.start()
        # With this process's copies closed, reading fails as soon as the worker is dead.
        theirs.close()
        theirs_alive.close()

    def give(self, task: SlideTask, claim: Claim | None) -> None:
        """Let the worker scan a slide, which was claimed before."""
        self.connection.send((task, claim))

    def stop(self) -> None:
        """Ask the worker to end, so that it removes partial files; kill it if it does not."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(STOP_S)
        self.kill()

    def kill(self) -> None:
        """Kill the worker. One that waits for a share that is gone cannot be killed yet, and is left behind."""
        self.process.kill()
        self.process.join(STOP_S)
        self.connection.close()
        self._lifeline.close()

    def cause_of_death(self) -> Failed:
        """Why the process ended."""
        self.process.join(STOP_S)
        code = self.process.exitcode
        if code is None or code >= 0:
            return Failed(reason=f"its process ended with status {code}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        hint = {
            "SIGSEGV": " (a decoder crashed: the file is damaged)",
            "SIGABRT": " (a decoder gave up: the file is damaged, or memory ran out)",
            "SIGKILL": " (probably for lack of memory: try fewer workers or smaller tiles)",
        }.get(name, "")
        options = ("workers", "tile_size") if name == "SIGKILL" else ()
        return Failed(reason=f"its process was ended by {name}{hint}", options=options)


def work(
    request: BatchOptions,
    connection: Connection[WorkerMessage, Assignment],
    lifeline: Connection[None, None],
    environment: dict[str, str],
) -> None:
    """The main function of a worker process."""
    _begin_process(request, lifeline, environment)
    try:
        from signetscan.batch.jobs import load_jobs  # noqa: PLC0415 - too heavy for the parent

        jobs = load_jobs(request)
        ready = ready_with(jobs.model, megapixels_per_s=jobs.speed() if request.dry_run else None)
    except (DeviceError, ModelError) as error:
        connection.send(Unusable(error=error))
        return
    connection.send(ready)

    def report_progress(done: int, total: int) -> None:
        connection.send(Progress(done=done, total=total))

    def job(task: SlideTask, claim: Claim | None) -> SlideOutcome:
        if request.dry_run:
            return jobs.plan(task, request)
        return jobs.scan(task, request, report_progress, claim=claim)

    while True:
        try:
            task, claim = connection.recv()
        except EOFError:
            return
        connection.send(answer(partial(job, task, claim), task, private=request.private))


def _begin_process(request: BatchOptions, lifeline: Connection[None, None], environment: dict[str, str]) -> None:
    """Set up the environment, signals and output of a worker process."""
    os.environ.update(environment)
    _die_with_parent(lifeline)
    for name in FROM_TERMINAL:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exception, so that partial files are removed
    if request.private:
        hush_process()
    elif request.verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(_Escaping("%(name)s: %(message)s"))
        logging.basicConfig(level=logging.DEBUG, handlers=[handler])


def ready_with(model: Detector | Segmenter, *, megapixels_per_s: float | None = None) -> Ready:
    """The message that a worker has loaded its model."""
    return Ready(
        model=model.spec.name,
        precision=model.spec.precision,
        runs_on=model.runs_on,
        cautions=model.spec.cautions,
        megapixels_per_s=megapixels_per_s,
        learnt_from=model.spec.learnt_from,
    )


def answer(job: Callable[[], SlideOutcome], task: SlideTask, *, private: bool) -> Answer:
    """Run the job of a slide, and give the message about its outcome, whatever happens.

    Args:
        job: scans the slide.
        task: the slide.
        private: whether the message must not contain the slide's name or path.
    """
    try:
        return Done(outcome=job())
    except Exception as error:  # the slide boundary: whatever a slide does costs that slide alone
        if not isinstance(error, SignetscanError | MemoryError):
            logger.debug("%s", task.place, exc_info=True)
        return _answer_to(error, task, private=private)


def _answer_to(error: Exception, task: SlideTask, *, private: bool) -> Answer:  # noqa: PLR0911 - one return for each kind
    """The message about an error."""
    options = error.options if isinstance(error, SignetscanError) else ()
    reason = private_reason(error) if private else str(error)
    about_all = hidden(str(error), task.place, task.name) if private else str(error)
    match error:
        case OutputError() if error.stops_all:
            return Full(reason=reason)
        case OptionError():
            return Unusable(error=OptionError(about_all, options=options))
        case ModelError():  # it breaks the contract, whatever the slide
            return Unusable(error=ModelError(about_all, options=options))
        case AnnotationError() | MppError():
            return Refused(reason=reason, options=options)
        case NameTakenError():
            return NameTaken(reason=reason, options=options)
        case SignetscanError():
            return (Refused if is_refusal(error) else Failed)(reason=reason, options=options)
        case MemoryError():
            return Failed(reason=reason or "out of memory", options=("tile_size",))
        case _:
            reason = reason if private else f"{type(error).__name__}: {error}"
            return (Refused if is_refusal(error) else Failed)(reason=reason)


def _die_with_parent(lifeline: Connection[None, None]) -> None:
    """Make sure that the worker ends when the process that started it does, even if that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        try:
            lifeline.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""A batch on this machine: claims slides, hands them to worker processes, and reports what becomes of each."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, assert_never

from signetscan.atomic import make_folder
from signetscan.batch.claims import HEARTBEAT_S, Claims, remove_leftovers
from signetscan.batch.events import Awaited, Ended, Progressed, Retried, Started
from signetscan.batch.messages import Done, Failed, Full, NameTaken, Progress, Ready, Refused, Unusable
from signetscan.batch.outcome import SlideFailed
from signetscan.batch.workers import Worker
from signetscan.errors import DeviceError, OutputError, SlideError
from signetscan.formats.result_files import ALL_SUFFIXES, FAILURE_SUFFIX, RECORD_SUFFIX, REPORT_SUFFIX
from signetscan.results.failures import ATTEMPTS, failure_path, forget_failure, write_failure
from signetscan.results.namesakes import may_record_failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from signetscan.batch.claims import Claim
    from signetscan.batch.events import SlideEvent
    from signetscan.batch.find import SlideTask
    from signetscan.batch.messages import WorkerMessage
    from signetscan.batch.options import BatchOptions

RESULT_SUFFIXES = frozenset({*ALL_SUFFIXES, RECORD_SUFFIX, REPORT_SUFFIX, FAILURE_SUFFIX})
"""Suffixes of the files that a batch writes of a slide."""
PAUSE_S = 60.0
"""Seconds between two looks at the workers after which this process itself must have been stopped."""
LOOK_AGAIN_S = 1.0
"""Seconds between two tries to claim the slides that other runs are working on."""


@dataclass(slots=True, kw_only=True)
class _Job:
    """A slide that a worker is scanning."""

    task: SlideTask
    claim: Claim | None
    """None in a dry run, which writes nothing."""
    started: float

    def release_claim(self) -> None:
        """Release the claim, if there is one."""
        if self.claim is not None:
            self.claim.release()


@dataclass(slots=True, kw_only=True, eq=False)
class _Slot:
    """A worker and what it is doing; a worker that dies is replaced."""

    environment: dict[str, str]
    worker: Worker | None = None
    heard: float = 0.0
    """When the worker last said something, or was given something to do."""
    ready: bool = False
    job: _Job | None = None

    @property
    def current_job(self) -> _Job:
        """The job that the worker reports on."""
        if self.job is None:
            message = "a worker reports on a slide, but has none"
            raise RuntimeError(message)
        return self.job


@dataclass(slots=True, kw_only=True)
class LocalBatch:
    """Scans many slides in processes on this machine."""

    request: BatchOptions
    """The options of the batch."""
    tasks: Sequence[SlideTask]
    """The slides."""
    environments: Sequence[dict[str, str]] = ({},)
    """Environment variables given to the workers in turn, such as which GPU to use."""
    claims: Claims = field(default_factory=Claims)
    """How slides are claimed."""
    _waiting: deque[SlideTask] = field(default_factory=deque)
    _held: deque[SlideTask] = field(default_factory=deque)
    _attempts: dict[str, int] = field(default_factory=dict)
    _slots: list[_Slot] = field(default_factory=list)
    _beat: float = 0.0
    _looked: float = field(default_factory=time.monotonic)

    def run(self) -> Generator[SlideEvent]:
        """Scan all slides. Closing the generator, or an error, ends all workers and releases all claims.

        Raises:
            DeviceError: the device asked for cannot be used, or the model takes too long to load.
            ModelError: the model cannot be loaded.
            OptionError: an option makes no sense.
            OutputError: results cannot be written: the disk is full, or the folder is gone.
            SlideError: the folder of the slides is gone.
        """
        if not self.request.dry_run:
            make_folder(self.request.out)
        self._waiting.extend(self.tasks)
        # More workers than slides would load the model for nothing.
        count = max(1, min(self.request.workers or 1, len(self.tasks)))
        self._slots = [_Slot(environment=self.environments[i % len(self.environments)]) for i in range(count)]
        try:
            while self._waiting or self._held or any(slot.job for slot in self._slots):
                yield from self._hand_out()
                yield from self._listen()
                yield from self._end_overdue()
                self._touch_claims()
        finally:
            self._close()

    def _hand_out(self) -> Generator[SlideEvent]:
        """Give slides to idle workers, and start workers that are missing."""
        for slot in self._slots:
            if slot.job is not None or not (self._waiting or self._held):
                continue
            if slot.worker is None:
                slot.worker, slot.ready = Worker(self.request, slot.environment), False
                slot.heard = time.monotonic()
            if not slot.ready:
                continue
            slot.job = self._next_job()
            if slot.job is not None:
                slot.worker.give(slot.job.task, slot.job.claim)
                slot.heard = time.monotonic()
                yield Started(name=slot.job.task.name)
            elif self._held:
                yield Awaited(name=self._held[0].name)

    def _next_job(self) -> _Job | None:
        """The next slide that no other run is working on; the others are put aside and tried again later."""
        if not self._waiting:
            self._waiting, self._held = self._held, self._waiting
        while self._waiting:
            task = self._waiting.popleft()
            if self.request.dry_run:
                return _Job(task=task, claim=None, started=time.monotonic())
            claim = claim_slide(self.claims, self.request.out, task)
            if claim is not None:
                return _Job(task=task, claim=claim, started=time.monotonic())
            self._held.append(task)
        return None

    def _listen(self) -> Generator[SlideEvent]:
        """Handle the messages of workers, or wait a little for them."""
        staffed = [(slot, slot.worker) for slot in self._slots if slot.worker is not None]
        readable = wait([worker.connection for _, worker in staffed], timeout=LOOK_AGAIN_S)
        for slot, worker in staffed:
            if worker.connection not in readable:
                continue
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._replace(slot, worker)
            else:
                yield from self._take(slot, message)

    def _take(self, slot: _Slot, message: WorkerMessage) -> Generator[SlideEvent]:
        """Handle a message of a worker."""
        slot.heard = time.monotonic()
        match message:
            case Ready():
                slot.ready = True
                yield message
            case Progress():
                yield Progressed(name=slot.current_job.task.name, done=message.done, total=message.total)
            case Done():
                job, slot.job = slot.current_job, None
                if not self.request.dry_run:
                    forget_failure(self.request.out, job.task.name)
                job.release_claim()
                yield Ended(outcome=message.outcome)
            case Failed() | Refused():
                job, slot.job = slot.current_job, None
                yield from self._failed(job, message)
            case NameTaken():
                job, slot.job = slot.current_job, None
                job.release_claim()
                yield Ended(outcome=failed_slide(self.request, job.task, message))
            case Full():
                text = f"{message.reason}. The run stops here. Start it again to continue with this slide"
                raise OutputError(text)
            case Unusable():
                raise message.error
            case _:
                assert_never(message)

    def _replace(self, slot: _Slot, worker: Worker) -> Generator[SlideEvent]:
        """Handle the death of a worker: its slide has failed, or, if it had none, no worker can run here."""
        failure = worker.cause_of_death()
        worker.kill()
        slot.worker = None
        if slot.job is None:
            message = f"the model cannot be loaded: {failure.reason}"
            raise DeviceError(message, options=failure.options)
        job, slot.job = slot.job, None
        yield from self._failed(job, failure)

    def _end_overdue(self) -> Generator[SlideEvent]:
        """Kill workers that exceed the time limit for a slide, or make no progress.

        Raises:
            DeviceError: a worker does not get as far as loading the model.
        """
        now = time.monotonic()
        if now - self._looked > PAUSE_S:  # this process was stopped, and so, perhaps, were its workers
            for slot in self._slots:
                slot.heard = now
        self._looked = now
        for slot in self._slots:
            if slot.worker is None or (failure := self._overdue(slot, now)) is None:
                continue
            if not slot.ready:
                raise DeviceError(f"the model: {failure.reason}", options=failure.options)
            slot.worker.kill()
            slot.worker = None
            job, slot.job = slot.current_job, None
            yield from self._failed(job, failure)

    def _overdue(self, slot: _Slot, now: float) -> Failed | None:
        """Why a worker must be killed, if it must be."""
        limit, patience = self.request.slide_timeout, self.request.stall_timeout
        if slot.job is not None and limit is not None and now - slot.job.started > limit:
            return Failed(reason=f"not done after {limit:g} s", options=("slide_timeout",))
        if (slot.job is not None or not slot.ready) and now - slot.heard > patience:
            return Failed(reason=f"no progress for {patience:g} s", options=("stall_timeout",))
        return None

    def _failed(self, job: _Job, failure: Failed | Refused) -> Generator[SlideEvent]:
        """Queue a slide for another try, or record that it failed. A refused slide gets none: it would fail again."""
        task = job.task
        # If the folder is gone the run stops, but other runs must still be able to claim the slide.
        try:
            check_root(task, private=self.request.private)
        finally:
            job.release_claim()
        self._attempts[task.name] = self._attempts.get(task.name, 0) + 1
        if self._attempts[task.name] < ATTEMPTS and isinstance(failure, Failed) and not self.request.dry_run:
            self._waiting.append(task)
            yield Retried(name=task.name, reason=failure.reason, options=failure.options)
            return
        files: tuple[Path, ...] = ()
        if not self.request.dry_run:
            files = record_failure(self.request.out, task, failure.reason, attempts=self._attempts[task.name])
        yield Ended(outcome=failed_slide(self.request, task, failure, files))

    def _jobs(self) -> Iterable[_Job]:
        return [slot.job for slot in self._slots if slot.job is not None]

    def _touch_claims(self) -> None:
        if time.monotonic() - self._beat >= HEARTBEAT_S:
            self._beat = time.monotonic()
            for job in self._jobs():
                if job.claim is not None:
                    job.claim.touch()

    def _close(self) -> None:
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:  # all are asked to end before any is waited for
            worker.process.terminate()
        for worker in workers:
            worker.stop()
        self.claims.release_all()


def failed_slide(
    request: BatchOptions, task: SlideTask, failure: Failed | Refused | NameTaken, files: tuple[Path, ...] = ()
) -> SlideFailed:
    """The outcome of a slide that failed; `files` are what was written of it."""
    return SlideFailed(
        name=task.name,
        reason=failure.reason,
        options=failure.options,
        path=task.place_unless(private=request.private),
        files=files,
    )


def claim_slide(claims: Claims, out: Path, task: SlideTask) -> Claim | None:
    """Claim a slide, and remove partial files that a killed process left; None if another run holds the claim.

    Raises:
        OutputError: the folder of its results is not writable.
    """
    target = out / task.name
    make_folder(target.parent)
    claim = claims.take(target)
    if claim is not None:
        remove_leftovers(target, RESULT_SUFFIXES)
    return claim


def record_failure(out: Path, task: SlideTask, reason: str, *, attempts: int) -> tuple[Path, ...]:
    """Write the record of a slide's failure, unless the results of another slide of this name are there.

    Returns:
        The file, if it was written.

    Raises:
        OutputError: the file cannot be written.
    """
    if not may_record_failure(out / task.name, task.place):
        return ()
    write_failure(out, task.name, reason, attempts=attempts)
    return (failure_path(out, task.name),)


def check_root(task: SlideTask, *, private: bool) -> None:
    """Make sure that the folder of the slides exists: if it is gone, every other slide would fail too.

    Args:
        task: a slide.
        private: whether the message must not contain the folder.

    Raises:
        SlideError: the folder is gone.
    """
    if task.root is not None and not task.root.exists():
        folder = "" if private else f"{task.root}: "
        message = f"{folder}the folder of the slides is gone. The run stops here. Start it again to continue"
        raise SlideError(message)

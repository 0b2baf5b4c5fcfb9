"""The batch itself: hands slides to workers, claims them, watches over both, and tells what became of each slide."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Literal

from signetscan.atomic import make_folder
from signetscan.batch.claims import HEARTBEAT_S, Claims
from signetscan.batch.outcome import SlideOutcome
from signetscan.batch.workers import FAILED, Worker
from signetscan.errors import DeviceError, ModelError, OptionError, OutputError, SlideError
from signetscan.results.failures import ATTEMPTS, forget_failure, write_failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.outcome import ScanRequest
    from signetscan.batch.workers import Message

LOOK_AGAIN_S = 1.0
"""Seconds between two looks at slides that other runs work on."""
ERRORS = {error.__name__: error for error in (DeviceError, ModelError, OptionError)}
"""What a worker may say of itself."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened."""

    kind: Literal["ready", "started", "progress", "retried", "awaited", "ended"]
    """A worker is ready; a slide was started, is at some tile, is to be tried again, is being worked on by another run,
    or has ended."""
    name: str = ""
    """The slide."""
    content: Any = None
    """What a worker said of itself; (tiles done, tiles to scan); why; or the `SlideOutcome`."""


@dataclass(slots=True, kw_only=True)
class _Job:
    """A slide that a worker is at."""

    task: SlideTask
    claim: Claim | None
    """None where nothing is written."""
    started: float

    def let_go(self) -> None:
        """Give the claim back."""
        if self.claim is not None:
            self.claim.release()


@dataclass(slots=True, kw_only=True, eq=False)
class _Slot:
    """A place for a worker, who may be replaced."""

    environment: dict[str, str]
    worker: Worker | None = None
    ready: bool = False
    job: _Job | None = None


@dataclass(slots=True, kw_only=True)
class Batch:
    """A run over many slides."""

    request: ScanRequest
    """What is wanted of each."""
    tasks: Sequence[SlideTask]
    """The slides."""
    workers: int = 1
    """Processes, and so slides at a time."""
    slide_timeout: float | None = None
    """Seconds after which a slide's process is taken to hang, and ended."""
    environments: Sequence[dict[str, str]] = ({},)
    """Environment variables of the workers, in turn; such as which GPU to use."""
    claims: Claims = field(default_factory=Claims)
    """How slides are claimed."""
    _waiting: deque[SlideTask] = field(default_factory=deque)
    _held: deque[SlideTask] = field(default_factory=deque)
    _attempts: dict[str, int] = field(default_factory=dict)
    _slots: list[_Slot] = field(default_factory=list)
    _beat: float = 0.0

    def run(self) -> Generator[Event]:
        """Scan all slides. Closing the generator, or an error, ends all workers and gives all claims back.

        Raises:
            DeviceError: the device asked for cannot be used.
            ModelError: the model cannot be loaded.
            OptionError: an option makes no sense.
            OutputError: results cannot be written: the disk is full, or the folder is gone.
            SlideError: the folder of the slides is gone.
        """
        if not self.request.dry_run:
            make_folder(self.request.out)
        self._waiting.extend(self.tasks)
        count = max(1, min(self.workers, len(self.tasks)))
        self._slots = [_Slot(environment=self.environments[i % len(self.environments)]) for i in range(count)]
        try:
            while self._waiting or self._held or any(slot.job for slot in self._slots):
                yield from self._hand_out()
                yield from self._listen()
                yield from self._end_hanging()
                self._touch_claims()
        finally:
            self._close()

    def _hand_out(self) -> Generator[Event]:
        """Give slides to workers that have none."""
        for slot in self._slots:
            if slot.job is not None or not (self._waiting or self._held):
                continue
            if slot.worker is None:
                slot.worker, slot.ready = Worker(self.request, slot.environment), False
            if not slot.ready:
                continue
            slot.job = self._next_job()
            if slot.job is not None:
                slot.worker.give(slot.job.task, slot.job.claim)
                yield Event("started", slot.job.task.name)
            elif self._held:
                yield Event("awaited", self._held[0].name)

    def _next_job(self) -> _Job | None:
        """The next slide that nobody else is at; those that somebody is come again later."""
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

    def _listen(self) -> Generator[Event]:
        """Take what workers say, or wait a little."""
        staffed = [(slot, slot.worker) for slot in self._slots if slot.worker is not None]
        heard = wait([worker.connection for _, worker in staffed], timeout=LOOK_AGAIN_S)
        for slot, worker in staffed:
            if worker.connection not in heard:
                continue
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                yield from self._replace(slot, worker)
            else:
                yield from self._take(slot, message)

    def _take(self, slot: _Slot, message: Message) -> Generator[Event]:
        """What a worker said."""
        if message.kind == "unusable":
            name, text = message.content
            raise ERRORS[name](text)
        if message.kind == "ready":
            slot.ready = True
            yield Event("ready", content=message.content)
        elif slot.job is not None and message.kind == "progress":
            yield Event("progress", slot.job.task.name, message.content)
        elif slot.job is not None and message.kind == "full":
            text = f"{message.content}. The run stops here; started again, it goes on with this slide"
            raise OutputError(text)
        elif slot.job is not None:
            job, slot.job = slot.job, None
            if message.kind in FAILED:
                yield from self._failed(job, message.content, is_final=message.kind == "refused")
            else:
                if not self.request.dry_run:
                    forget_failure(self.request.out, job.task.name)
                job.let_go()
                yield Event("ended", job.task.name, message.content)

    def _replace(self, slot: _Slot, worker: Worker) -> Generator[Event]:
        """A worker died: the slide it was at has failed, or no worker can live here."""
        why = worker.why_dead()
        worker.kill()
        slot.worker = None
        if slot.job is None:
            message = f"the model cannot be loaded: {why}"
            raise DeviceError(message)
        job, slot.job = slot.job, None
        yield from self._failed(job, why)

    def _end_hanging(self) -> Generator[Event]:
        for slot in self._slots:
            if slot.job is None or slot.worker is None or self.slide_timeout is None:
                continue
            if time.monotonic() - slot.job.started > self.slide_timeout:
                slot.worker.kill()
                slot.worker = None
                job, slot.job = slot.job, None
                yield from self._failed(job, f"not done after {self.slide_timeout:g} s (--slide-timeout)")

    def _failed(self, job: _Job, reason: str, *, is_final: bool = False) -> Generator[Event]:
        """Try a slide once more, at the end, or record that it failed; a final failure would only come again."""
        task = job.task
        try:
            check_root(task)
        finally:
            job.let_go()
        self._attempts[task.name] = self._attempts.get(task.name, 0) + 1
        if self._attempts[task.name] < ATTEMPTS and not is_final and not self.request.dry_run:
            self._waiting.append(task)
            yield Event("retried", task.name, reason)
            return
        if not self.request.dry_run:
            write_failure(self.request.out, task.name, reason)
        yield Event("ended", task.name, SlideOutcome(name=task.name, status="failed", reason=reason))

    def _jobs(self) -> Iterable[_Job]:
        return [slot.job for slot in self._slots if slot.job is not None]

    def _touch_claims(self) -> None:
        if time.monotonic() - self._beat >= HEARTBEAT_S:
            self._beat = time.monotonic()
            for job in self._jobs():
                if job.claim is not None:
                    job.claim.touch()

    def _close(self) -> None:
        living = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in living:
            worker.process.terminate()
        for worker in living:
            worker.stop()
        for job in self._jobs():
            with contextlib.suppress(OSError):  # the share may be what is gone
                job.let_go()


def claim_slide(claims: Claims, out: Path, task: SlideTask) -> Claim | None:
    """Claim a slide, and clear away what a process that was killed left of it; None where somebody else has it.

    Raises:
        OutputError: the folder of its results cannot be written to.
    """
    target = out / task.name
    make_folder(target.parent)
    claim = claims.take(target)
    if claim is not None:
        for part in target.parent.glob(f".{_escaped(target.name)}.*.part"):
            part.unlink(missing_ok=True)
    return claim


def check_root(task: SlideTask) -> None:
    """Stop everything if not only a slide but the folder of the slides cannot be found.

    Raises:
        SlideError: it cannot.
    """
    if not task.root.exists():
        message = f"{task.root}: the folder of the slides is gone. The run stops here; started again, it goes on"
        raise SlideError(message)


def _escaped(name: str) -> str:
    """A name as a pattern that fits it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)

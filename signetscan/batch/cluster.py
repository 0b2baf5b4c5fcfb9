"""A batch on a Dask cluster: one task per slide. Workers write results to the shared disk and return a summary."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from signetscan.atomic import make_folder
from signetscan.batch.claims import HEARTBEAT_S, Claims
from signetscan.batch.events import Ended, Retried
from signetscan.batch.local import LOOK_AGAIN_S, check_root, claim_slide, failed_slide, record_failure
from signetscan.batch.messages import ClusterAnswer, Done, Failed, Full, NameTaken, Refused, Unusable
from signetscan.batch.privacy import hush_logs
from signetscan.batch.workers import answer, ready_with
from signetscan.errors import DeviceError, ModelError, OutputError
from signetscan.extras import require
from signetscan.json_values import JsonTable, parse_json
from signetscan.results.failures import ATTEMPTS, forget_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from distributed import Client, Future

    from signetscan.batch.claims import Claim
    from signetscan.batch.events import SlideEvent
    from signetscan.batch.find import SlideTask
    from signetscan.batch.jobs import DetectionJobs, SegmentationJobs
    from signetscan.batch.messages import Answer
    from signetscan.batch.options import BatchOptions

STALLED = 75
"""Exit status of a worker that made no progress; its nanny starts another."""


def run_on_cluster(
    request: BatchOptions, tasks: Sequence[SlideTask], *, claims: Claims | None = None
) -> Generator[SlideEvent]:
    """Scan slides on the workers of a cluster, which must see the same files under the same paths.

    If a worker dies, Dask gives its slide to another. A slide that fails is tried once more.

    Args:
        request: the batch's options: `dask` is the scheduler's address or its file.
        tasks: the slides.
        claims: how slides are claimed.

    Raises:
        MissingExtraError: Dask is not installed.
        DeviceError: the cluster cannot be reached, or is lost, or a worker cannot use the device.
        ModelError: a worker cannot load the model.
        OptionError: an option makes no sense.
        OutputError: results cannot be written.
        SlideError: the folder of the slides is gone.
    """
    require("distributed")
    from distributed import as_completed  # noqa: PLC0415 - an extra

    make_folder(request.out)
    claims = claims or Claims()
    with ExitStack() as stack:
        client = _connect(stack, request.dask or "", request.stall_timeout)

        def submit(task: SlideTask) -> Future[ClusterAnswer]:
            # Not pure: Dask would give a second try the first one's answer.
            future: Future[ClusterAnswer] = client.submit(scan_here, task, request, claims, pure=False)
            return future

        running = {submit(task): task for task in tasks}
        stack.callback(lambda: client.cancel(list(running)))
        attempts: dict[str, int] = {}
        done = as_completed(list(running))
        for future in done:
            task = running.pop(future)
            received = _result(future)
            if received.ready is not None:
                yield received.ready
            if isinstance(received.answer, Failed) and attempts.setdefault(task.name, 1) < ATTEMPTS:
                attempts[task.name] += 1
                check_root(task, private=request.private)
                again = submit(task)
                running[again] = task
                done.add(again)
                yield Retried(name=task.name, reason=received.answer.reason, options=received.answer.options)
            else:
                yield _ended(request, task, received.answer, attempts=attempts.get(task.name, 1))


def _ended(request: BatchOptions, task: SlideTask, answer: Answer, *, attempts: int) -> Ended:
    match answer:
        case Done():
            forget_failure(request.out, task.name)
            return Ended(outcome=answer.outcome)
        case Failed() | Refused():
            check_root(task, private=request.private)
            files = record_failure(request.out, task, answer.reason, attempts=attempts)
            return Ended(outcome=failed_slide(request, task, answer, files))
        case NameTaken():
            return Ended(outcome=failed_slide(request, task, answer))
        case Full():
            raise OutputError(answer.reason)
        case Unusable():
            raise answer.error
        case _:
            assert_never(answer)


def _result(future: Future[ClusterAnswer]) -> ClusterAnswer:
    """A worker's answer, or a failure if every worker that was given the slide died.

    Raises:
        DeviceError: the scheduler is gone.
    """
    from concurrent.futures import CancelledError  # noqa: PLC0415

    from distributed.scheduler import KilledWorker  # noqa: PLC0415

    try:
        received: ClusterAnswer = future.result()
    except KilledWorker as error:
        reason = f"every worker that scanned it died ({error.allowed_failures + 1} in all)"
        return ClusterAnswer(answer=Failed(reason=reason))
    except (CancelledError, OSError) as error:
        message = (
            "the connection to the cluster's scheduler is lost. Slides that are done stay so: start the cluster and "
            "this command again to continue"
        )
        raise DeviceError(message, options=("dask",)) from error
    return received


def _connect(stack: ExitStack, address: str, patience: float) -> Client:
    """Connect to the cluster, and wait for a worker; the stack closes the connection.

    Raises:
        DeviceError: the cluster cannot be reached, or no worker joins it within `patience` seconds.
    """
    from distributed import Client  # noqa: PLC0415 - an extra

    _hush(stack, logging.getLogger("distributed.client"))
    try:
        file = Path(address)
        client = Client(JsonTable.of(parse_json(file.read_bytes())).text("address") if file.is_file() else address)
        stack.enter_context(client)
    except (OSError, ValueError) as error:
        message = f"{address}: cannot connect to this cluster: {error}"
        raise DeviceError(message, options=("dask",)) from error
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        message = f"{address}: this cluster has had no worker for {patience:g} s"
        raise DeviceError(message, options=("dask", "stall_timeout")) from error
    return client


def _hush(stack: ExitStack, logger: logging.Logger) -> None:
    """Keep Dask from printing tracebacks when the scheduler is gone, which is said in words, until the stack ends."""
    stack.callback(logger.setLevel, logger.level)
    logger.setLevel(logging.CRITICAL)


def scan_here(task: SlideTask, request: BatchOptions, claims: Claims) -> ClusterAnswer:
    """Scan a slide in this process, a worker of a cluster, once no other run is working on it."""
    if request.private:
        hush_logs()
    try:
        jobs = _jobs(request)
        claim = claim_slide(claims, request.out, task)
        while claim is None:
            time.sleep(LOOK_AGAIN_S)
            claim = claim_slide(claims, request.out, task)
    except (DeviceError, ModelError) as error:
        return ClusterAnswer(answer=Unusable(error=error))
    except OutputError as error:
        return ClusterAnswer(answer=Full(reason=str(error)))
    with _heartbeat(claim, request.stall_timeout) as report_progress:
        scan = partial(jobs.scan, task, request, report_progress, claim=claim)
        slide_answer = answer(scan, task, private=request.private)
    return ClusterAnswer(answer=slide_answer, ready=ready_with(jobs.model))


def _jobs(request: BatchOptions) -> DetectionJobs | SegmentationJobs:
    """The model, loaded once in each worker, and again for a batch with another one, or on another device."""
    return _loaded(replace(request, out=Path(), roi=None, log_file=None))


@lru_cache(maxsize=1)
def _loaded(request: BatchOptions) -> DetectionJobs | SegmentationJobs:
    from signetscan.batch.jobs import load_jobs  # noqa: PLC0415 - heavy, and the client does not need it

    return load_jobs(request)


@contextmanager
def _heartbeat(claim: Claim, patience: float) -> Iterator[Callable[[int, int], None]]:
    """Touch a claim until the block ends, then release it; end the process if there is no progress for `patience` s.

    Yields:
        A function to call when there is progress.
    """
    ended = threading.Event()
    last = time.monotonic()

    def progress(_done: int, _total: int) -> None:
        nonlocal last
        last = time.monotonic()

    def beat() -> None:
        while not ended.wait(min(HEARTBEAT_S, patience)):
            claim.touch()
            if time.monotonic() - last > patience:  # nothing else ends a decoder that hangs
                claim.release()
                os._exit(STALLED)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        ended.set()
        thread.join()
        claim.release()

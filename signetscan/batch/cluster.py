"""The batch on a Dask cluster: one task a slide; summaries come back, results go to the shared disk."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signetscan.atomic import make_folder
from signetscan.batch.claims import HEARTBEAT_S, Claims
from signetscan.batch.outcome import SlideOutcome
from signetscan.batch.run import ERRORS, LOOK_AGAIN_S, Event, check_root, claim_slide
from signetscan.batch.workers import FAILED, Message, about, answer
from signetscan.errors import DeviceError, ModelError, OutputError
from signetscan.results.failures import ATTEMPTS, forget_failure, write_failure

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.outcome import ScanRequest
    from signetscan.models.detector import OnnxDetector

NO_DASK = 'Dask is not installed: pip install "signetscan[dask]"'
LOCAL = "local"
"""Address of a cluster that is started on this machine, for this run."""


def run_on_cluster(
    address: str,
    request: ScanRequest,
    tasks: Sequence[SlideTask],
    *,
    workers: int = 1,
    claims: Claims | None = None,
) -> Generator[Event]:
    """Scan slides on the workers of a cluster, which see the same files by the same names.

    A slide whose worker dies is given to another, by Dask; one that fails is tried once more.

    Args:
        address: of the scheduler, or its file, or `LOCAL`.
        request: what is wanted of every slide.
        tasks: the slides.
        workers: processes of a local cluster.
        claims: how slides are claimed.

    Raises:
        DeviceError: Dask is not installed, there is no such cluster, or a worker cannot use the device.
        ModelError: a worker cannot load the model.
        OptionError: an option makes no sense.
        OutputError: results cannot be written.
        SlideError: the folder of the slides is gone.
    """
    try:
        from distributed import as_completed  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise DeviceError(NO_DASK) from error
    make_folder(request.out)
    claims = claims or Claims()
    with ExitStack() as stack:
        client = _connect(stack, address, workers)

        def submit(task: SlideTask) -> Any:  # noqa: ANN401 - a future
            return client.submit(scan_here, task, request, claims, pure=False)

        running = {submit(task): task for task in tasks}
        stack.callback(lambda: client.cancel(list(running)))
        attempts: dict[str, int] = {}
        done = as_completed(list(running))
        for future in done:
            task = running.pop(future)
            message = _result(future)
            if message.kind == "failed" and attempts.setdefault(task.name, 1) < ATTEMPTS:
                attempts[task.name] += 1
                check_root(task)
                again = submit(task)
                running[again] = task
                done.add(again)
                yield Event("retried", task.name, message.content)
            else:
                yield from _ended(request, task, message)


def _ended(request: ScanRequest, task: SlideTask, message: Message) -> Generator[Event]:
    if message.kind == "unusable":
        name, text = message.content
        raise ERRORS[name](text)
    if message.kind == "full":
        raise OutputError(message.content)
    if message.kind in FAILED:
        check_root(task)
        write_failure(request.out, task.name, message.content)
        yield Event("ended", task.name, SlideOutcome(name=task.name, status="failed", reason=message.content))
        return
    provider, outcome = message.content
    forget_failure(request.out, task.name)
    yield Event("ready", content=provider)
    yield Event("ended", task.name, outcome)


def _result(future: Any) -> Message:  # noqa: ANN401
    """What a worker said, or that it died, again and again."""
    from distributed.scheduler import KilledWorker  # noqa: PLC0415

    try:
        message: Message = future.result()
    except KilledWorker as error:
        return Message("failed", f"every worker that had it died, {error.allowed_failures + 1} of them")
    return message


def _connect(stack: ExitStack, address: str, workers: int) -> Any:  # noqa: ANN401 - a client
    """A client of the cluster, closed with the stack.

    Raises:
        DeviceError: there is no such cluster.
    """
    from distributed import Client, LocalCluster  # noqa: PLC0415 - an extra

    where: dict[str, Any] = {"address": address}
    try:
        if address == LOCAL:
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            where = {"address": stack.enter_context(cluster)}
        elif Path(address).is_file():
            where = {"scheduler_file": address}
        return stack.enter_context(Client(**where))
    except (OSError, ValueError) as error:
        message = f"--dask {address}: no such cluster: {error}"
        raise DeviceError(message) from error


def scan_here(task: SlideTask, request: ScanRequest, claims: Claims) -> Message:
    """Scan a slide in this process, a worker of a cluster, once nobody else is at it."""
    from signetscan.batch.scan import scan_slide  # noqa: PLC0415 - heavy, and of no use to the client

    try:
        detector = _detector(str(request.model), request.device, request.threads)
        claim = claim_slide(claims, request.out, task)
        while claim is None:
            time.sleep(LOOK_AGAIN_S)
            claim = claim_slide(claims, request.out, task)
    except (DeviceError, ModelError) as error:
        return Message("unusable", (type(error).__name__, str(error)))
    except OutputError as error:
        return Message("full", str(error))
    with _heartbeat(claim):
        message = answer(partial(scan_slide, task, request, detector, claim=claim), task, private=request.private)
    return Message("done", (about(detector), message.content)) if message.kind == "done" else message


@lru_cache(maxsize=1)
def _detector(model: str, device: Any, threads: int | None) -> OnnxDetector:  # noqa: ANN401 - a Device
    """The model, loaded once in each worker."""
    from signetscan.models.detector import load_detector  # noqa: PLC0415

    return load_detector(model, device=device, threads=threads)


@contextmanager
def _heartbeat(claim: Claim) -> Iterator[None]:
    """Touch a claim until the block ends, and give it back."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            claim.touch()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        claim.release()

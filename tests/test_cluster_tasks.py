"""What a batch on a cluster does with the answers of workers, and what a worker does; with a cluster that is none.

`test_cluster.py` has real clusters, whose processes say nothing to whoever counts the lines that ran.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from wards import Ward, failure, new_ward, statuses

from signetscan.batch import cluster
from signetscan.batch.claims import Claims
from signetscan.batch.cluster import run_on_cluster, scan_here
from signetscan.batch.events import Ended, Retried
from signetscan.batch.find import find_slides
from signetscan.batch.local import LOOK_AGAIN_S
from signetscan.batch.messages import ClusterAnswer, Done, Failed, Full, NameTaken, Ready, Unusable
from signetscan.errors import DeviceError, ModelError, OutputError
from signetscan.results.failures import failure_path
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from signetscan.batch.find import SlideTask
    from signetscan.batch.messages import Answer
    from signetscan.batch.outcome import SlideOutcome


class KilledWorker(Exception):  # noqa: N818 - Dask's own
    """As Dask's: every worker that had the task died."""

    allowed_failures = 3


class Client:
    """Stands for Dask's: scans at once, in this process."""

    answers: Callable[[SlideTask], ClusterAnswer] | None = None
    """What workers answer instead."""
    has_workers = True
    asked: tuple[str, ...] = ()
    cancelled: int | None = None

    def __init__(self, address: str) -> None:
        if address == "tcp://nowhere:1":
            message = "Timed out trying to connect"
            raise OSError(message)
        Client.asked = (*Client.asked, address)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        """Closed."""

    def wait_for_workers(self, _count: int, *, timeout: float) -> None:
        if not self.has_workers:
            raise TimeoutError(timeout)

    def submit(self, function: Callable[..., ClusterAnswer], *arguments: Any, pure: bool) -> Future[ClusterAnswer]:  # noqa: ANN401
        assert not pure
        future: Future[ClusterAnswer] = Future()
        try:
            future.set_result(function(*arguments) if Client.answers is None else Client.answers(arguments[0]))
        except (KilledWorker, CancelledError, OSError) as error:
            future.set_exception(error)
        return future

    def cancel(self, futures: list[Future[ClusterAnswer]]) -> None:
        Client.cancelled = len(futures)


class AsCompleted:
    """Stands for Dask's: futures in turn, also those that are added while it goes on."""

    def __init__(self, futures: list[Future[ClusterAnswer]]) -> None:
        self._waiting = list(futures)

    def add(self, future: Future[ClusterAnswer]) -> None:
        self._waiting.append(future)

    def __iter__(self) -> Iterator[Future[ClusterAnswer]]:
        while self._waiting:
            yield self._waiting.pop(0)


@pytest.fixture(autouse=True)
def dask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the stand-ins in the place of Dask."""
    top, scheduler = ModuleType("distributed"), ModuleType("distributed.scheduler")
    top.__dict__.update(Client=Client, as_completed=AsCompleted, scheduler=scheduler)
    scheduler.__dict__.update(KilledWorker=KilledWorker)
    monkeypatch.setitem(sys.modules, "distributed", top)
    monkeypatch.setitem(sys.modules, "distributed.scheduler", scheduler)
    monkeypatch.setattr(cluster, "require", lambda _library: None)
    monkeypatch.setattr(Client, "answers", None)
    monkeypatch.setattr(Client, "has_workers", True)
    monkeypatch.setattr(Client, "asked", ())
    monkeypatch.setattr(Client, "cancelled", None)
    cluster._loaded.cache_clear()


@pytest.fixture
def ward(tmp_path: Path, small_slide: Path) -> Ward:
    return new_ward(tmp_path, small_slide)


def tasks_of(ward: Ward) -> list[SlideTask]:
    return list(find_slides([ward.slides], options=ScanOptions(threshold=0.1)))


def run(ward: Ward, **values: Any) -> tuple[dict[str, SlideOutcome], list[str]]:  # noqa: ANN401
    """What became of each slide, and the names of those that were tried again."""
    request = ward.request(**{"dask": "tcp://scheduler:1"} | values)
    events = list(run_on_cluster(request, tasks_of(ward)))
    ended = [event.outcome for event in events if isinstance(event, Ended)]
    assert len({outcome.name for outcome in ended}) == len(ended)
    return {outcome.name: outcome for outcome in ended}, [event.name for event in events if isinstance(event, Retried)]


def test_a_cluster_writes_what_one_process_writes(ward: Ward, tmp_path: Path) -> None:
    ward.add("b")
    (ward.slides / "cut.svs").write_bytes((ward.slides / "a.svs").read_bytes()[:20000])
    outcomes, again = run(ward)
    assert statuses(outcomes) == {"a": "done", "b": "done", "cut": "failed"}
    assert again == ["cut"]
    assert failure_path(ward.out, "cut").is_file()
    alone = ward._replace(out=tmp_path / "alone")
    (ward.slides / "cut.svs").unlink()
    alone.scan_here()
    assert ward.results() == alone.results() != {}
    assert ward.leftovers() == []
    assert Client.cancelled == 0, "nothing was left to do"
    (ward.slides / "cut.svs").write_bytes((ward.slides / "a.svs").read_bytes())
    assert statuses(run(ward)[0]) == {"a": "skipped", "b": "skipped", "cut": "done"}
    assert not failure_path(ward.out, "cut").exists()


def test_a_slide_that_kills_every_worker_is_recorded(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_task: SlideTask) -> ClusterAnswer:
        raise KilledWorker

    monkeypatch.setattr(Client, "answers", staticmethod(killed))
    outcomes, again = run(ward)
    assert (failure(outcomes["a"]).reason, again) == ("every worker that scanned it died (4 in all)", ["a"])


def test_a_name_that_is_taken_is_not_recorded(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = staticmethod(lambda _task: ClusterAnswer(answer=NameTaken(reason="taken")))
    monkeypatch.setattr(Client, "answers", answers)
    outcomes, again = run(ward)
    assert (failure(outcomes["a"]).reason, again) == ("taken", [])
    assert not failure_path(ward.out, "a").exists()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (Full(reason="No space left"), OutputError, "No space left"),
        (Unusable(error=ModelError("breaks the contract")), ModelError, "breaks the contract"),
    ],
)
def test_what_concerns_all_slides_ends_the_run(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, answer: Answer, error: type[Exception], said: str
) -> None:
    ward.add("b", "c")
    monkeypatch.setattr(Client, "answers", staticmethod(lambda _task: ClusterAnswer(answer=answer)))
    with pytest.raises(error, match=said):
        run(ward)
    assert Client.cancelled == 2, "what waits is not scanned"


@pytest.mark.parametrize("lost", [CancelledError(), ConnectionResetError("by peer")])
def test_a_scheduler_that_is_gone_is_told_in_words(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, lost: BaseException
) -> None:
    def gone(_task: SlideTask) -> ClusterAnswer:
        raise lost

    monkeypatch.setattr(Client, "answers", staticmethod(gone))
    with pytest.raises(DeviceError, match="the connection to the cluster's scheduler is lost") as caught:
        run(ward)
    assert caught.value.options == ("dask",)


def test_the_address_is_an_address_or_in_a_file(ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://there:8786"}')
    run(ward, dask=str(file))
    assert Client.asked == ("tcp://there:8786",)
    for content in ("{}", "no JSON", '{"address": 5}'):
        file.write_text(content)
        with pytest.raises(DeviceError, match=r"scheduler\.json: cannot connect to this cluster: "):
            run(ward, dask=str(file))
    level = logging.getLogger("distributed.client").level
    with pytest.raises(DeviceError, match="tcp://nowhere:1: cannot connect to this cluster: Timed out") as caught:
        run(ward, dask="tcp://nowhere:1")
    assert caught.value.options == ("dask",)
    monkeypatch.setattr(Client, "has_workers", False)
    with pytest.raises(DeviceError, match="this cluster has had no worker for 7 s"):
        run(ward, stall_timeout=7)
    assert logging.getLogger("distributed.client").level == level, "it is hushed for a run only"


# ---- workers --------------------------------------------------------------------------------------------------------


def test_a_worker_waits_for_a_slide_that_another_run_holds(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = tasks_of(ward)
    ward.out.mkdir()
    theirs = Claims(host="elsewhere").take(ward.out / "a")
    assert theirs is not None
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        theirs.release()

    monkeypatch.setattr(cluster, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    received = scan_here(task, ward.request(), Claims())
    assert slept == [LOOK_AGAIN_S]
    assert isinstance(received.answer, Done)
    assert isinstance(received.ready, Ready)
    assert ward.leftovers() == []


def test_a_worker_loads_the_model_once(ward: Ward) -> None:
    ward.add("b")
    for task in tasks_of(ward):
        scan_here(task, ward.request(), Claims())
    scan_here(tasks_of(ward)[0], ward.request(out=ward.out / "other"), Claims())
    assert cluster._loaded.cache_info().misses == 1, "where results go does not matter"


def test_a_worker_answers_what_concerns_all_slides(ward: Ward, tmp_path: Path) -> None:
    (task,) = tasks_of(ward)
    answer = scan_here(task, ward.request(model=str(tmp_path / "none.onnx")), Claims()).answer
    assert isinstance(answer, Unusable)
    assert "none.onnx" in str(answer.error)
    (tmp_path / "file").touch()
    full = scan_here(task, ward.request(out=tmp_path / "file"), Claims()).answer
    assert isinstance(full, Full)
    assert "file" in full.reason


def test_a_worker_says_nothing_of_a_slide_with_a_pseudonym(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = tasks_of(ward)
    (ward.slides / "a.svs").write_bytes(b"no slide")
    hushed: list[bool] = []
    monkeypatch.setattr(cluster, "hush_logs", lambda: hushed.append(True))
    key = ward.out.with_name("key")
    key.write_bytes(bytes(range(32)))
    answer = scan_here(task, ward.request(pseudonymise=key), Claims()).answer
    assert hushed == [True]
    assert not isinstance(answer, Done)
    assert "a.svs" not in repr(answer)


def test_a_worker_without_progress_gives_its_slide_back_and_ends(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    statuses: list[int] = []

    def end(status: int) -> None:
        statuses.append(status)
        ended.set()

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(cluster, "HEARTBEAT_S", 0.01)
    ward.out.mkdir()
    claim = Claims().take(ward.out / "a")
    assert claim is not None
    os.utime(claim.path, (1.0, 1.0))
    with cluster._heartbeat(claim, 0.05) as progress:
        progress(1, 2)
        assert ended.wait(10)
        assert not claim.path.exists(), "another worker may take it"
    assert set(statuses) == {cluster.STALLED}


def test_a_worker_with_progress_keeps_its_claim_fresh(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "HEARTBEAT_S", 0.01)
    ward.out.mkdir()
    claim = Claims().take(ward.out / "a")
    assert claim is not None
    os.utime(claim.path, (1.0, 1.0))
    with cluster._heartbeat(claim, 60.0) as progress:
        progress(1, 2)
        end = time.monotonic() + 10
        while claim.path.stat().st_mtime == 1.0:
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)
    assert not claim.path.exists()


def test_a_failure_of_one_try_is_no_failure(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def first_fails(task: SlideTask) -> ClusterAnswer:
        tried.append(task.name)
        if len(tried) == 1:
            return ClusterAnswer(answer=Failed(reason="a crash"))
        return scan_here(task, ward.request(), Claims())

    monkeypatch.setattr(Client, "answers", staticmethod(first_fails))
    outcomes, again = run(ward)
    assert (statuses(outcomes), again, tried) == ({"a": "done"}, ["a"], ["a", "a"])

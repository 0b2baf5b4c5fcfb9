"""Workers that make no progress are not waited for."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from signetscan.batch import local
from signetscan.batch.events import Ended, Retried
from signetscan.batch.find import SlideTask
from signetscan.batch.local import LocalBatch
from signetscan.batch.messages import Done, Progress, Ready
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideFailed
from signetscan.errors import DeviceError, OptionError
from signetscan.models.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from signetscan.batch.claims import Claim
    from signetscan.batch.messages import WorkerMessage

READY = Ready(model="m", precision="fp32", runs_on=Placement(name="CPU", on_gpu=False))


class Puppet:
    """Stands for a worker: says what it is told to, then nothing."""

    lines: tuple[WorkerMessage, ...] = ()
    killed = 0

    def __init__(self, _request: BatchOptions, _environment: dict[str, str]) -> None:
        self.connection, self.theirs = Pipe()
        self.process = SimpleNamespace(terminate=lambda: None)
        for line in self.lines:
            self.theirs.send(line)

    def give(self, task: SlideTask, claim: Claim | None) -> None:
        """Take a slide."""

    def kill(self) -> None:
        Puppet.killed += 1

    stop = kill


@dataclass(kw_only=True)
class Clock:
    """Stands for the time, which passes only while workers are listened to, however busy the machine is."""

    now: float = field(default_factory=time.monotonic)
    look_s: float = 0.1

    def monotonic(self) -> float:
        return self.now

    def wait(self, connections: Sequence[Connection], timeout: float) -> list[Any]:  # noqa: ARG002 - as it is called
        self.now += self.look_s
        return wait(connections, timeout=0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(local, "time", clock)
    monkeypatch.setattr(local, "wait", clock.wait)
    return clock


@pytest.fixture
def puppets(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> type[Puppet]:
    monkeypatch.setattr(local, "Worker", Puppet)
    monkeypatch.setattr(Puppet, "killed", 0)
    return Puppet


def batch(folder: Path, patience: float = 0.25) -> LocalBatch:
    request = BatchOptions(out=folder / "out", stall_timeout=patience)
    return LocalBatch(request=request, tasks=[SlideTask(place=folder / "a.svs", name="a", root=folder)])


def test_a_slide_without_progress_fails_with_the_reason(
    tmp_path: Path, puppets: type[Puppet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puppets, "lines", (READY, Progress(done=1, total=2)))
    *_, retried, _, _, _, ended = batch(tmp_path).run()
    assert isinstance(retried, Retried)
    assert retried.reason == "no progress for 0.25 s"
    assert isinstance(ended, Ended)
    record = tmp_path / "out" / "a.failed.json"
    assert ended.outcome == SlideFailed(
        name="a",
        reason="no progress for 0.25 s",
        options=("stall_timeout",),
        path=tmp_path / "a.svs",
        files=(record,),
    )
    assert record.exists()
    assert puppets.killed == 2
    assert list((tmp_path / "out").glob(".*")) == []


def test_a_model_that_never_loads_ends_the_run(tmp_path: Path, puppets: type[Puppet]) -> None:
    with pytest.raises(DeviceError, match=r"the model: no progress for 0\.25 s") as error:
        list(batch(tmp_path).run())
    assert error.value.options == ("stall_timeout",)
    assert puppets.killed == 1


def test_progress_is_waited_for(
    tmp_path: Path, puppets: type[Puppet], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = clock.now
    outcome = SlideFailed(name="a", reason="by its own words")
    steps = [Progress(done=step, total=50) for step in range(50)]
    monkeypatch.setattr(puppets, "lines", (READY, *steps, Done(outcome=outcome)))
    events = batch(tmp_path).run()
    assert [event for event in events if isinstance(event, Ended)] == [Ended(outcome=outcome)]
    assert clock.now - began > 5, "many times the patience"


def test_a_run_that_was_stopped_itself_gives_its_workers_time(
    tmp_path: Path, puppets: type[Puppet], clock: Clock
) -> None:
    stopped = batch(tmp_path, patience=1000)
    slot = local._Slot(environment={}, worker=puppets(stopped.request, {}), heard=clock.now - 5000)  # type: ignore[arg-type]
    stopped._slots.append(slot)
    stopped._looked -= 5000
    assert list(stopped._end_overdue()) == []
    slot.heard -= 5000
    with pytest.raises(DeviceError):
        list(stopped._end_overdue())


def test_the_limit_is_on_unless_changed_and_must_be_a_time() -> None:
    assert BatchOptions().stall_timeout == 1800
    with pytest.raises(OptionError):
        BatchOptions(stall_timeout=0)


def test_a_worker_of_a_cluster_ends_when_it_makes_no_progress(tmp_path: Path) -> None:
    job = (
        "import sys, time\nfrom pathlib import Path\nfrom signetscan.batch import cluster\n"
        "from signetscan.batch.claims import Claims\nclaim = Claims().take(Path(sys.argv[1]))\n"
        "with cluster._heartbeat(claim, 1) as progress:\n"
        "    for step in range(12):\n        time.sleep(0.1)\n        progress(step, 12)\n"
        "    print('still there', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", job, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)  # noqa: S603
    assert (done.returncode, done.stdout) == (75, "still there\n"), done.stderr
    assert list(tmp_path.iterdir()) == []

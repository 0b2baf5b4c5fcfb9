"""Batches with real worker processes, and all kinds of failures of slides and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from wards import Ward, failure, new_ward, statuses

from signetscan.batch.claims import Claims
from signetscan.batch.events import Ended, Retried, Started
from signetscan.errors import OutputError, SlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from signetscan.batch.claims import Claim

linux = pytest.mark.skipif(sys.platform != "linux", reason="signals and processes of Linux")

TROUBLE = '''
"""A sitecustomize module: in workers, reading a slide named after a kind of failure causes that failure."""
import os, pathlib, signal, sys, time

real, real_sync = pathlib.Path.stat, os.fsync

def stat(self, **options):
    name, found = self.name, real(self, **options)
    if name.endswith(".svs") and "once" in name:
        marker = self.with_suffix(".tried")
        if not os.path.exists(marker):
            marker.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "segfault.svs":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "memory.svs":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "hang.svs":
        time.sleep(1000)
    elif name == "bug.svs":
        raise ZeroDivisionError("a bug")
    elif name == "gone.svs":
        import shutil
        shutil.rmtree(self.parent)
        raise OSError(5, "Input/output error")
    elif name == "refused.svs":
        raise PermissionError(13, "Permission denied")
    elif name == "full.svs":
        os.fsync = full
    return found

def full(number):
    raise OSError(28, "No space left on device")

if "multiprocessing.spawn" in " ".join(sys.orig_argv):
    pathlib.Path.stat = stat
'''


@pytest.fixture
def ward(tmp_path: Path, small_slide: Path) -> Ward:
    return new_ward(tmp_path, small_slide)


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(TROUBLE)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *([before] if before else [])]))


# ---- one slide's fault ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@linux
@pytest.mark.usefixtures("trouble")
def test_a_bad_slide_does_not_affect_the_others(ward: Ward) -> None:
    ward.add("b", "bug", "hang", "memory", "once", "segfault", "z")
    (ward.slides / "cut.svs").write_bytes((ward.slides / "a.svs").read_bytes()[:20000])
    outcomes = ward.run(workers=2, slide_timeout=3)
    assert statuses(outcomes) == dict.fromkeys(("a", "b", "once", "z"), "done") | dict.fromkeys(
        ("bug", "cut", "hang", "memory", "segfault"), "failed"
    )
    for name, said in {
        "bug": "ZeroDivisionError: a bug",
        "cut": "cut short",
        "hang": "not done after 3 s",
        "memory": "SIGKILL (probably for lack of memory",
        "segfault": "SIGSEGV (a decoder crashed",
    }.items():
        assert said in failure(outcomes[name]).reason
        record = json.loads((ward.out / f"{name}.failed.json").read_text())
        assert (record["slide"], record["attempts"]) == (name, 2)
        assert said in record["reason"]
        assert not (ward.out / f"{name}.run.json").exists()
    assert failure(outcomes["hang"]).options == ("slide_timeout",)
    assert failure(outcomes["memory"]).options == ("workers", "tile_size")
    results = ward.results()
    assert len(results["a.geojson"]) > 200
    for name in ("b", "once", "z"):
        assert (results[f"{name}.geojson"], results[f"{name}.csv"]) == (results["a.geojson"], results["a.csv"])
    assert ward.leftovers() == []


@linux
@pytest.mark.usefixtures("trouble")
def test_a_slide_is_tried_twice(ward: Ward) -> None:
    ward.add("once", "refused", "segfault")
    events = [
        (type(event), event.outcome.name if isinstance(event, Ended) else event.name)
        for event in ward.batch().run()
        if isinstance(event, Started | Retried | Ended)
    ]
    assert [kind for kind, name in events if name == "once"] == [Started, Retried, Started, Ended]
    assert [kind for kind, name in events if name == "segfault"] == [Started, Retried, Started, Ended]
    assert [kind for kind, name in events if name == "refused"] == [Started, Ended], "the system would refuse it again"
    assert events[-1][1] == "segfault", "the second try comes last"


@linux
@pytest.mark.usefixtures("trouble")
def test_a_full_disk_stops_the_run_and_the_next_one_goes_on(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.add("b", "full", "z")
    with pytest.raises(OutputError, match=r"full\.geojson: cannot be written: No space left.*Start it again to cont"):
        ward.run()
    assert set(ward.results()) == {"a.geojson", "a.csv", "b.geojson", "b.csv"}
    assert ward.leftovers() == []
    monkeypatch.delenv("PYTHONPATH")
    assert statuses(ward.run()) == {"a": "skipped", "b": "skipped", "full": "done", "z": "done"}


@linux
@pytest.mark.usefixtures("trouble")
def test_a_share_that_is_gone_stops_the_run(ward: Ward) -> None:
    ward.add("gone", "z")
    with pytest.raises(SlideError, match=r"slides: the folder of the slides is gone.*Start it again to continue"):
        ward.run()
    assert sorted(path.name for path in ward.out.iterdir()) == ["a.csv", "a.geojson", "a.run.json"]


# ---- whole processes ------------------------------------------------------------------------------------------------


def start(ward: Ward, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "signetscan", "detect", str(ward.slides), "--out", str(ward.out)]
    command += ["--model", str(ward.model), "--device", "cpu", "--workers", "2"]
    command += ["--tile-size", "96", "--overlap", "32", *options]
    return subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.03)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def records(ward: Ward) -> int:
    """How many slides are done."""
    return len(list(ward.out.glob("*.run.json")))


def release(held: dict[str, Claim | None], count: int) -> None:
    """Release the first of some claims."""
    for name in list(held)[:count]:
        claim = held.pop(name)
        assert claim is not None
        claim.release()


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.fixture
def default_signal() -> Iterator[Callable[[signal.Signals], None]]:
    """Gives a signal its usual handler, for the processes to be started, until the test ends."""
    ignored: list[signal.Signals] = []

    def reset(number: signal.Signals) -> None:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            ignored.append(number)

    yield reset
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


INTERRUPTIONS: list[tuple[list[signal.Signals], bool]] = [
    ([signal.SIGINT], True),
    ([signal.SIGTERM], False),
    ([signal.SIGHUP], True),
    ([signal.SIGQUIT], True),
    ([signal.SIGUSR1], False),
    ([signal.SIGTERM, signal.SIGHUP, signal.SIGINT], False),
]
"""Signals sent in turn, and whether to all processes of the run."""


@pytest.mark.slow
@linux
def test_an_interrupted_run_leaves_nothing_half_done(
    ward: Ward, default_signal: Callable[[signal.Signals], None]
) -> None:
    """As Ctrl-C and closed terminals do to all processes of a job, and systems to one; each run goes on with the last.

    Before each, three more slides are left to the run, which cannot end because another one holds the rest.
    """
    names = [f"s{index:02}" for index in range(3 * len(INTERRUPTIONS) + 1)]
    ward.add(*names)
    (ward.slides / "a.svs").unlink()
    ward.out.mkdir()
    for number in {number for numbers, _ in INTERRUPTIONS for number in numbers}:  # ignored in a shell's background
        default_signal(number)
    held = {name: Claims(host="elsewhere").take(ward.out / name) for name in names}
    done = 0
    for numbers, to_all in INTERRUPTIONS:
        release(held, 3)
        before = done
        process = start(ward)
        wait_for(lambda: records(ward) > before)  # noqa: B023 - called in this round
        workers = children_of(process.pid)
        for number in numbers:
            os.killpg(process.pid, number) if to_all else process.send_signal(number)
            time.sleep(0.05)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, (numbers, err)
        assert err.splitlines()[-1].startswith("Interrupted."), numbers
        assert "Traceback" not in err, numbers
        assert workers, numbers
        wait_for(lambda: not any(is_running(pid) for pid in workers))  # noqa: B023
        assert sorted(ward.leftovers()) == [f".{name}.claim" for name in held], numbers
        done = records(ward)
        assert before < done <= len(names) - len(held)
        assert before <= len(out.splitlines()) <= done, "only slides that are done are reported as done"
        assert sum(line.endswith("already done") for line in out.splitlines()) == before, numbers
    release(held, len(held))
    again = start(ward)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert sum(line.endswith("already done") for line in out.splitlines()) == done
    assert len(ward.results()) == 2 * len(names)
    assert ward.leftovers() == []


@pytest.mark.slow
@linux
def test_a_killed_run_leaves_no_process_and_can_be_continued(ward: Ward) -> None:
    ward.add(*(f"s{index}" for index in range(6)))
    ward.out.mkdir()
    held = {"s5": Claims(host="elsewhere").take(ward.out / "s5")}  # so that the run cannot end before it is killed
    process = start(ward)
    wait_for(lambda: records(ward) >= 2)
    workers = children_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(is_running(pid) for pid in workers))
    release(held, 1)
    again = start(ward)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert any(line.endswith("already done") for line in out.splitlines())
    results = ward.results()
    assert len(results) == 14
    assert len(set(results.values())) == 2, "all slides are alike"
    assert ward.leftovers() == []


@pytest.mark.slow
@linux
def test_two_runs_at_once_share_the_slides(ward: Ward) -> None:
    ward.add(*(f"s{index}" for index in range(5)))
    runs = [start(ward, "--json") for _ in range(2)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    lines = [json.loads(line) for out, _ in said for line in out.splitlines()]
    assert len(lines) == 12
    done = [line["slide"] for line in lines if line["status"] == "done"]
    assert sorted(done) == sorted({line["slide"] for line in lines}), "each was scanned by one of them"
    assert len(ward.results()) == 12
    assert ward.leftovers() == []

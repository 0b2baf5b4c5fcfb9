"""Batches with real worker processes, and all kinds of failures of slides and workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from signetscan.batch import slide as slide_module
from signetscan.batch.claims import Claims
from signetscan.batch.events import Awaited, Begun, Ended, Finished, Retried, Started
from signetscan.batch.find import find_slides
from signetscan.batch.local import LocalBatch
from signetscan.batch.options import BatchOptions
from signetscan.batch.outcome import SlideFailed, SlidePlanned, SlideScanned, SlideSkipped, outcome_facts
from signetscan.batch.run import scan_slides
from signetscan.batch.slide import scan_slide
from signetscan.errors import DeviceError, ModelError, OptionError, OutputError, SlideError
from signetscan.models.detector import load_detector
from signetscan.scan.options import ScanOptions
from signetscan.simulate.options import SlideOptions
from signetscan.simulate.slide_file import write_slide
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from signetscan.batch.outcome import PlannedScan, SlideOutcome
    from signetscan.results.run_record import RunRecord

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


class Ward(NamedTuple):
    """A folder of slides, and a model."""

    slides: Path
    model: Path
    out: Path

    def add(self, *names: str) -> None:
        for name in names:
            shutil.copy(self.slides / "a.svs", self.slides / f"{name}.svs")

    def request(self, **values: Any) -> BatchOptions:  # noqa: ANN401
        usual: dict[str, Any] = {"model": str(self.model), "out": self.out, "device": "cpu", "threads": 1, "workers": 1}
        return BatchOptions(**usual | values)

    def batch(self, scan: ScanOptions | None = None, **values: Any) -> LocalBatch:  # noqa: ANN401
        request = self.request(**values)
        tasks = find_slides([self.slides], options=scan or ScanOptions(threshold=0.1), mpp=request.mpp)
        return LocalBatch(request=request, tasks=tasks)

    def run(self, scan: ScanOptions | None = None, **values: Any) -> dict[str, SlideOutcome]:  # noqa: ANN401
        """What became of each slide; each ends once."""
        ended = [event.outcome for event in self.batch(scan, **values).run() if isinstance(event, Ended)]
        assert len({outcome.name for outcome in ended}) == len(ended)
        return {outcome.name: outcome for outcome in ended}

    def results(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.out.rglob("*") if path.suffix in {".geojson", ".csv"}}

    def leftovers(self) -> list[str]:
        return [path.name for path in self.out.rglob(".*")]


@pytest.fixture(scope="module")
def one_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("one") / "a.svs"
    write_slide(path, SlideOptions(width=1024, height=1024, region=400, seed=5))
    return path


@pytest.fixture
def ward(tmp_path: Path, one_slide: Path) -> Ward:
    (tmp_path / "slides").mkdir()
    shutil.copy(one_slide, tmp_path / "slides" / "a.svs")
    return Ward(tmp_path / "slides", write_tiny_model(tmp_path / "tiny.onnx"), tmp_path / "out")


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(TROUBLE)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), *([before] if before else [])]))


def statuses(outcomes: dict[str, SlideOutcome]) -> dict[str, str]:
    return {name: str(outcome_facts(outcome)["status"]) for name, outcome in outcomes.items()}


def failure(outcome: SlideOutcome) -> SlideFailed:
    assert isinstance(outcome, SlideFailed)
    return outcome


def record_of(outcome: SlideOutcome) -> RunRecord:
    assert isinstance(outcome, SlideScanned | SlideSkipped)
    return outcome.record


def plan_of(outcome: SlideOutcome) -> PlannedScan:
    assert isinstance(outcome, SlidePlanned)
    return outcome.plan


# ---- one slide's fault ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@linux
@pytest.mark.usefixtures("trouble")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_slide_does_not_affect_the_others(ward: Ward, workers: int) -> None:
    ward.add("b", "bug", "hang", "memory", "once", "segfault", "z")
    (ward.slides / "cut.svs").write_bytes((ward.slides / "a.svs").read_bytes()[:20000])
    outcomes = ward.run(workers=workers, slide_timeout=3)
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


def test_a_recorded_failure_is_removed_once_the_slide_succeeds(ward: Ward) -> None:
    good = (ward.slides / "a.svs").read_bytes()
    (ward.slides / "a.svs").write_bytes(good[:20000])
    assert statuses(ward.run()) == {"a": "failed"}
    (ward.slides / "a.svs").write_bytes(good)
    assert statuses(ward.run()) == {"a": "done"}
    assert sorted(path.name for path in ward.out.iterdir()) == ["a.csv", "a.geojson", "a.run.json"]


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


def test_a_name_that_is_too_long_for_results_is_cut(ward: Ward) -> None:
    ward.add("n" * 248, "n" * 247 + "m")
    outcomes = ward.run()
    assert list(statuses(outcomes).values()) == ["done"] * 3
    assert min(outcomes) == "a"
    assert all(name.startswith("n" * 160) for name in sorted(outcomes)[1:])
    assert len(ward.results()) == 6


def test_an_error_that_concerns_all_slides_stops_at_once(ward: Ward, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match="text"):
        ward.run(model=str(tmp_path / "text.onnx"))
    with pytest.raises(DeviceError, match="cuda"):
        ward.run(device="cuda")
    with pytest.raises(OptionError, match="overlap 64 must be") as caught:
        ward.run(ScanOptions(tile_size=64, overlap=64))
    assert caught.value.options == ("tile_size", "overlap"), "an error keeps them on its way out of a worker"
    assert not ward.out.exists() or list(ward.out.iterdir()) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_model_whose_scores_cannot_be_stops_at_once(ward: Ward, tmp_path: Path, dry_run: bool) -> None:
    model = write_tiny_model(tmp_path / "odd.onnx", changed={"one": np.array(5, np.float32)})
    with pytest.raises(ModelError, match=r"model test breaks the contract: it gives a score of 4\.\d+"):
        ward.run(model=str(model), dry_run=dry_run)
    assert not list(ward.out.rglob("*"))


def test_a_slide_that_grows_while_it_is_read_fails(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    (task,) = find_slides([ward.slides])
    ward.out.mkdir()
    from signetscan.scan.detect import detect_slide as real

    def grow(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        with task.path.open("ab") as file:
            file.write(b"more")
        return real(*arguments, **options)

    monkeypatch.setattr(slide_module, "detect_slide", grow)
    with pytest.raises(SlideError, match="changed while it was being read"):
        scan_slide(task, ward.request(), load_detector(ward.model, device="cpu"))
    assert list(ward.out.iterdir()) == []


# ---- going on -------------------------------------------------------------------------------------------------------


def remove_csv(ward: Ward) -> dict[str, Any]:
    (ward.out / "a.csv").unlink()
    return {}


def cut_geojson(ward: Ward) -> dict[str, Any]:
    os.truncate(ward.out / "a.geojson", 100)
    return {}


def spoil_csv(ward: Ward) -> dict[str, Any]:
    content = (ward.out / "a.csv").read_bytes()
    (ward.out / "a.csv").write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    return {}


def remove_record(ward: Ward) -> dict[str, Any]:
    (ward.out / "a.run.json").unlink()
    return {}


def spoil_record(ward: Ward) -> dict[str, Any]:
    (ward.out / "a.run.json").write_text('{"key": [')
    return {}


def other_slide(ward: Ward) -> dict[str, Any]:
    write_slide(ward.slides / "a.svs", SlideOptions(width=1024, height=1024, region=400, seed=6))
    return {}


def other_model(ward: Ward) -> dict[str, Any]:
    write_tiny_model(ward.model, label_type=7, metadata=replace_name(ward.model))
    return {}


def replace_name(model: Path) -> dict[str, str]:
    return replace(load_detector(model, device="cpu").spec, name="other").to_metadata()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        remove_csv,
        cut_geojson,
        spoil_csv,
        remove_record,
        spoil_record,
        other_slide,
        other_model,
        lambda _: {"scan": ScanOptions(threshold=0.3)},
        lambda _: {"mpp": 0.3},
        lambda _: {"bounds_crop": False},
        lambda _: {"overwrite": True},
    ],
)
def test_finished_slides_are_skipped_unless_changed(ward: Ward, change: Callable[[Ward], dict[str, Any]]) -> None:
    ward.add("b")
    assert statuses(ward.run()) == {"a": "done", "b": "done"}
    before = ward.results()
    again = ward.run(ScanOptions(threshold=0.1, batch_size=4, read_threads=1))
    assert statuses(again) == {"a": "skipped", "b": "skipped"}
    assert record_of(again["a"]) == record_of(ward.run()["a"])
    options = change(ward)
    redone = statuses(ward.run(**options))
    assert redone["a"] == "done"
    of_one_slide = {remove_csv, cut_geojson, spoil_csv, remove_record, spoil_record, other_slide}
    assert redone["b"] == ("skipped" if change in of_one_slide else "done")
    assert statuses(ward.run(**({} if options == {"overwrite": True} else options))) == {"a": "skipped", "b": "skipped"}
    if not options and change not in {other_slide, other_model}:
        assert ward.results() == before


@pytest.mark.slow
def test_a_dry_run_plans_all_slides_and_writes_nothing(ward: Ward) -> None:
    ward.add("b")
    (ward.slides / "cut.svs").write_bytes(b"II*\0")
    outcomes = ward.run(dry_run=True)
    assert statuses(outcomes) == {"a": "planned", "b": "planned", "cut": "failed"}
    plan = plan_of(outcomes["a"])
    assert (plan.width_px, plan.mpp.x, plan.done) == (1024, 0.25, False)
    assert not ward.out.exists()
    (ward.slides / "cut.svs").unlink()
    assert record_of(ward.run()["a"]).tiles.scanned == plan.tiles
    assert plan_of(ward.run(dry_run=True)["a"]).done


def test_slides_claimed_by_another_run_are_left_to_it(ward: Ward) -> None:
    ward.add("b")
    ward.out.mkdir()
    theirs = Claims(host="elsewhere").take(ward.out / "a")
    assert theirs is not None
    outcomes = []
    for event in ward.batch().run():
        if isinstance(event, Awaited):
            theirs.release()
        if isinstance(event, Ended):
            outcomes.append(event.outcome.name)
    assert outcomes == ["b", "a"]


def test_a_run_that_lost_its_claim_does_not_overwrite_results(ward: Ward) -> None:
    (task,) = find_slides([ward.slides])
    ward.out.mkdir()
    claim = Claims(host="there").take(ward.out / "a")
    assert claim is not None
    os.utime(claim.path, (time.time() - 1000,) * 2)
    assert Claims().take(ward.out / "a") is not None
    with pytest.raises(SlideError, match="another run took over the slide"):
        scan_slide(task, ward.request(), load_detector(ward.model, device="cpu"), claim=claim)
    assert ward.results() == {}


def test_one_function_call_scans_a_batch(ward: Ward) -> None:
    ward.add("b")
    request = ward.request(log_file=ward.out.with_name("log"), workers=None)
    events = list(scan_slides([ward.slides], request, ScanOptions(threshold=0.1)))
    assert isinstance(events[0], Begun)
    assert [task.name for task in events[0].tasks] == ["a", "b"]
    assert [type(event) for event in events].count(Ended) == 2
    assert events[-1] == Finished(done=2, skipped=0, failed=0)
    assert len(ward.results()) == 4
    lines = [json.loads(line)["event"] for line in ward.out.with_name("log").read_text().splitlines()]
    assert lines == ["begins", "ready", "started", "ended", "started", "ended", "ends"]
    with pytest.raises(OptionError, match="name slides"):
        next(scan_slides([]))
    with pytest.raises(OptionError, match="one file for several slides"):
        list(scan_slides([ward.slides], replace(request, roi=ward.model)))
    with pytest.raises(OptionError, match="the key cannot be read"):
        list(scan_slides([ward.slides], replace(request, pseudonymise=ward.slides / "none")))


# ---- whole processes ------------------------------------------------------------------------------------------------


def start(ward: Ward, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "signetscan", "detect", str(ward.slides), "--out", str(ward.out)]
    command += ["--model", str(ward.model), "--device", "cpu", "--tile-size", "64", "--overlap", "32", *options]
    return subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    ("numbers", "to_all"),
    [
        ([signal.SIGINT], True),
        ([signal.SIGTERM], False),
        ([signal.SIGHUP], True),
        ([signal.SIGQUIT], True),
        ([signal.SIGUSR1], False),
        ([signal.SIGTERM, signal.SIGHUP, signal.SIGINT], False),
    ],
)
def test_an_interrupted_run_leaves_nothing_half_done(
    ward: Ward, default_signal: Callable[[signal.Signals], None], numbers: list[signal.Signals], *, to_all: bool
) -> None:
    """As Ctrl-C and closed terminals do to all processes of a job, and systems to one."""
    ward.add(*(f"s{index}" for index in range(9)))
    ward.out.mkdir()
    for number in set(numbers):  # which a shell ignores for what it runs in the background
        default_signal(number)
    held = Claims(host="elsewhere").take(ward.out / "s8")  # so that the run cannot end before the signal
    assert held is not None
    process = start(ward)
    wait_for(lambda: len(list(ward.out.glob("*.run.json"))) >= 2)
    workers = children_of(process.pid)
    for number in numbers:
        os.killpg(process.pid, number) if to_all else process.send_signal(number)
        time.sleep(0.05)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1].startswith("Interrupted.")
    assert "Traceback" not in err
    assert workers
    wait_for(lambda: not any(is_running(pid) for pid in workers))
    assert ward.leftovers() == [held.path.name]
    held.release()
    done = len(list(ward.out.glob("*.run.json")))
    assert 2 <= done < 10
    assert len(out.splitlines()) <= done, "only slides that are done are reported as done"
    again = start(ward)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert sum(line.endswith("already done") for line in out.splitlines()) == done
    assert len(ward.results()) == 20


@pytest.mark.slow
@linux
def test_a_killed_run_leaves_no_process_and_can_be_continued(ward: Ward) -> None:
    ward.add(*(f"s{index}" for index in range(12)))
    process = start(ward)
    wait_for(lambda: len(list(ward.out.glob("*.run.json"))) >= 2)
    workers = children_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(is_running(pid) for pid in workers))
    again = start(ward)
    out, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert any(line.endswith("already done") for line in out.splitlines())
    results = ward.results()
    assert len(results) == 26
    assert len(set(results.values())) == 2, "all slides are alike"
    assert ward.leftovers() == []


@pytest.mark.slow
@linux
def test_two_runs_at_once_share_the_slides(ward: Ward) -> None:
    ward.add(*(f"s{index}" for index in range(12)))
    runs = [start(ward, "--json") for _ in range(2)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    lines = [json.loads(line) for out, _ in said for line in out.splitlines()]
    assert len(lines) == 26
    done = [line["slide"] for line in lines if line["status"] == "done"]
    assert sorted(done) == sorted({line["slide"] for line in lines}), "each was scanned by one of them"
    assert len(ward.results()) == 26
    assert ward.leftovers() == []

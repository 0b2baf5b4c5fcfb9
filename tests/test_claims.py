from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from signetscan.batch import claims
from signetscan.batch.claims import Claims
from signetscan.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from signetscan.batch.claims import Claim


def claim_file(tmp_path: Path) -> Path:
    return tmp_path / ".a slide.claim"


def write_claim(path: Path, *, host: str, pid: int, age: float = 0.0) -> None:
    path.write_text(json.dumps({"token": "abc", "host": host, "pid": pid}))
    os.utime(path, (time.time() - age,) * 2)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_one_run_holds_a_claim_until_it_is_released(tmp_path: Path) -> None:
    first = Claims().take(tmp_path / "a slide")
    assert first is not None
    assert Claims().take(tmp_path / "a slide") is None
    assert Claims().take(tmp_path / "another") is not None
    first.release()
    assert Claims().take(tmp_path / "a slide") is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a slide.claim", ".another.claim"]


@pytest.mark.parametrize(
    ("host", "alive", "age", "free"),
    [
        ("here", True, 0, False),
        ("here", False, 0, True),
        ("elsewhere", False, 0, False),
        ("elsewhere", False, 200, True),
        ("here", True, 200, True),
    ],
)
def test_a_claim_is_stale_when_its_process_is_gone_or_it_is_not_touched(
    tmp_path: Path, host: str, *, alive: bool, age: float, free: bool
) -> None:
    write_claim(claim_file(tmp_path), host=host, pid=os.getpid() if alive else dead_pid(), age=age)
    claim = Claims(host="here").take(tmp_path / "a slide")
    assert (claim is not None) == free
    assert [path.name for path in tmp_path.iterdir()] == [claim_file(tmp_path).name]
    if claim is not None:
        assert json.loads(claim.path.read_text())["token"] == claim.token


@pytest.mark.parametrize("namespace", ["another start of the machine pid:[1]", ""])
def test_a_process_of_another_namespace_is_not_taken_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str
) -> None:
    """Containers with the name of their host count their processes from 1."""
    with monkeypatch.context() as there:
        there.setattr(claims, "pid_namespace", lambda: namespace)
        there.setattr(os, "getpid", dead_pid)
        theirs = Claims(host="here").take(tmp_path / "a slide")
    assert theirs is not None
    ours = Claims(host="here").take(tmp_path / "a slide")
    assert (ours is None) == bool(namespace), "claims of former versions have no namespace"
    assert theirs.is_held() == bool(namespace)


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces of Linux")
def test_processes_of_one_namespace_agree_on_it() -> None:
    command = [sys.executable, "-c", "from signetscan.batch.claims import pid_namespace; print(pid_namespace())"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == claims.pid_namespace()  # noqa: S603
    assert "pid:[" in claims.pid_namespace()


def test_a_touched_claim_is_not_stale(tmp_path: Path) -> None:
    claim = Claims(host="there").take(tmp_path / "a slide")
    assert claim is not None
    os.utime(claim.path, (time.time() - 1000,) * 2)
    claim.touch()
    assert Claims(host="here").take(tmp_path / "a slide") is None


def test_a_run_that_lost_its_claim_does_not_release_the_new_one(tmp_path: Path) -> None:
    old = Claims(host="there").take(tmp_path / "a slide")
    assert old is not None
    os.utime(old.path, (time.time() - 1000,) * 2)
    new = Claims(host="here").take(tmp_path / "a slide")
    assert new is not None
    old.release()
    assert Claims(host="else").take(tmp_path / "a slide") is None
    new.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": "../../x"}', '{"token": 5}', "x" * 100_000])
def test_an_unreadable_claim_is_taken_over_when_it_is_old(tmp_path: Path, content: str) -> None:
    path = claim_file(tmp_path)
    path.write_text(content)
    assert Claims().take(tmp_path / "a slide") is None
    os.utime(path, (time.time() - 1000,) * 2)
    assert Claims().take(tmp_path / "a slide") is not None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 4000, '{"token": "x", "pid": 1e400}'])
def test_a_claim_that_a_killed_run_left_empty_is_stale_soon(tmp_path: Path, content: str) -> None:
    path = claim_file(tmp_path)
    path.write_text(content)
    os.utime(path, (time.time() - 30,) * 2)
    is_complete = "token" in content
    assert (Claims().take(tmp_path / "a slide") is None) == is_complete


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_claim_that_another_user_hides_is_not_broken(tmp_path: Path) -> None:
    write_claim(claim_file(tmp_path), host="there", pid=1, age=30)
    claim_file(tmp_path).chmod(0)
    assert Claims().take(tmp_path / "a slide") is None


def test_a_claim_is_never_seen_empty(tmp_path: Path) -> None:
    """Another run would take it for that of a killed one."""
    seen: set[str] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                seen.add(claim_file(tmp_path).read_text()[-1:])

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(300):
        claim = Claims().take(tmp_path / "a slide")
        assert claim is not None
        claim.release()
    ended.set()
    thread.join()
    assert seen == {"}"}


@pytest.mark.parametrize("error", [PermissionError(errno.EPERM, "no links"), OSError(errno.EOPNOTSUPP, "no links")])
def test_claims_work_on_file_systems_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def no_links(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(tmp_path), "hardlink_to", no_links)
    claim = Claims().take(tmp_path / "a slide")
    assert claim is not None
    assert claim.is_held()
    assert Claims().take(tmp_path / "a slide") is None
    assert [path.name for path in tmp_path.iterdir()] == [claim.path.name]


def test_a_claim_that_was_interrupted_is_released_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Claims()
    real = type(tmp_path).hardlink_to

    def interrupted(self: Path, target: Path) -> None:
        real(self, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as moment:
        moment.setattr(type(tmp_path), "hardlink_to", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ours.take(tmp_path / "a slide")
    held = ours.take(tmp_path / "another")
    assert held is not None
    held.release()
    theirs = Claims().take(tmp_path / "another")
    ours.release_all()
    assert theirs is not None
    assert [path.name for path in tmp_path.iterdir()] == [theirs.path.name]


def test_what_killed_runs_left_of_a_slide_is_removed_and_nothing_else(tmp_path: Path) -> None:
    digits = "0123456789abcdef" * 2
    left = [f".a.geojson.12.{digits}.part", ".a.run.json.12.part", f".a.claim.{digits}", ".a.claim.unreadable"]
    kept = [
        ".a.claim",
        f".a.b.geojson.12.{digits}.part",
        ".a.csv.claim",
        f".a.csv.geojson.12.{digits}.part",
        ".a.corrected.geojson.12.part",
        "a.geojson",
        ".ab.geojson.12.part",
    ]
    for name in left + kept:
        (tmp_path / name).touch()
    claims.remove_leftovers(tmp_path / "a", frozenset({".geojson", ".run.json", ".csv"}))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_run_that_died_while_taking_over_does_not_block_others_forever(tmp_path: Path) -> None:
    path = claim_file(tmp_path)
    write_claim(path, host="there", pid=1, age=1000)
    turn = path.with_name(f"{path.name}.abc")
    turn.touch()
    assert Claims().take(tmp_path / "a slide") is None, "somebody is at it"
    os.utime(turn, (time.time() - 1000,) * 2)
    assert Claims().take(tmp_path / "a slide") is None, "now the way is clear"
    assert Claims().take(tmp_path / "a slide") is not None


def test_only_one_of_many_runs_takes_over_a_stale_claim(tmp_path: Path) -> None:
    for round_ in range(30):
        target = tmp_path / f"slide {round_}"
        write_claim(tmp_path / f".slide {round_}.claim", host="there", pid=1, age=1000)
        gate = threading.Barrier(8)
        got: list[Claim | None] = []

        def take(target: Path = target, gate: threading.Barrier = gate, got: list[Claim | None] = got) -> None:
            gate.wait()
            got.append(Claims().take(target))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(claim is not None for claim in got) == 1


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="gone"):
        Claims().take(tmp_path / "gone" / "a slide")


@pytest.mark.parametrize("pid", [0, -5, 10**30, 1])
def test_a_process_of_which_nothing_is_known_is_taken_for_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    if pid == 1:  # as one of another user answers

        def refuse(_pid: int, _signal: int) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "kill", refuse)
    write_claim(claim_file(tmp_path), host="here", pid=pid)
    assert Claims(host="here").take(tmp_path / "a slide") is None


def test_without_proc_a_claim_does_not_say_where_its_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object, **__: object) -> str:
        raise FileNotFoundError

    with monkeypatch.context() as moment:
        moment.setattr(type(tmp_path), "readlink", absent)
        assert claims.pid_namespace() == ""
    assert (claims.pid_namespace() == "") == (sys.platform != "linux")


def test_a_link_that_the_share_denies_to_have_made_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS does if the answer to the first try is lost."""
    real = type(tmp_path).hardlink_to

    def twice(self: Path, target: Path) -> None:
        real(self, target)
        real(self, target)

    monkeypatch.setattr(type(tmp_path), "hardlink_to", twice)
    claim = Claims().take(tmp_path / "a slide")
    assert claim is not None
    assert claim.is_held()


def test_a_claim_that_is_released_at_that_moment_is_left_to_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Claims()

    def held(_self: Path, _target: Path) -> None:
        raise FileExistsError

    with monkeypatch.context() as moment:
        moment.setattr(type(tmp_path), "hardlink_to", held)
        assert ours.take(tmp_path / "a slide") is None
    assert (list(tmp_path.iterdir()), ours.taken) == ([], {})
    assert ours.take(tmp_path / "a slide") is not None


def test_a_try_in_vain_does_not_forget_the_claim_of_before(tmp_path: Path) -> None:
    ours = Claims()
    first = ours.take(tmp_path / "a slide")
    assert first is not None
    assert ours.take(tmp_path / "a slide") is None
    ours.release_all()
    assert list(tmp_path.iterdir()) == [], "the first one was released"


def test_a_full_disk_leaves_no_empty_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no links")

    real: Callable[..., IO[str]] = type(tmp_path).open

    def full(self: Path, mode: str = "r", **options: str) -> object:
        if mode != "x":
            return real(self, mode, **options)
        real(self, mode, **options).close()
        return real(self, "r", **options)  # whose write fails as a full disk does

    monkeypatch.setattr(type(tmp_path), "hardlink_to", no_links)
    monkeypatch.setattr(type(tmp_path), "open", full)
    with pytest.raises(OutputError, match="results cannot be written here"):
        Claims().take(tmp_path / "a slide")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", ["took it over", "took it over, and cleaned up"])
def test_another_run_may_be_first_between_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    path = claim_file(tmp_path)
    write_claim(path, host="there", pid=1, age=1000)
    real = claims._create

    def late(turn: Path, text: str) -> bool:
        if first == "took it over":
            path.write_text(json.dumps({"token": "theirs", "host": "else", "pid": 1}))
        else:
            for part in tmp_path.glob(f"{path.name}.*"):
                part.unlink()
        return real(turn, text)

    monkeypatch.setattr(claims, "_create", late)
    assert Claims().take(tmp_path / "a slide") is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]

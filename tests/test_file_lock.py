"""The lock of a file that several programs write."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from signetscan.errors import OutputError
from signetscan.file_lock import locked

if TYPE_CHECKING:
    from pathlib import Path

COUNTER = """
import sys
from pathlib import Path
from signetscan.file_lock import locked
path = Path(sys.argv[1])
for _ in range(60):
    with locked(path):
        path.write_text(str(int(path.read_text()) + 1))
"""
HOLDER = """
import os, sys
from pathlib import Path
from signetscan.file_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


def python(program: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own


def test_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    processes = [python(COUNTER, path) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert path.read_text() == "180"
    assert [each.name for each in tmp_path.iterdir()] == ["count"]


def test_threads_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")

    def count() -> None:
        for _ in range(50):
            with locked(path):
                path.write_text(str(int(path.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "200"


def test_a_lock_ends_with_the_process_that_died_holding_it(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    with python(HOLDER, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another program has been writing it"), locked(path, patience_s=0.1):
            pass
        holder.kill()
    assert (tmp_path / ".marks.lock").exists(), "what it left is in nobody's way"
    with locked(path, patience_s=5):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with locked(tmp_path / "marks"):
        assert "has no locks" in caplog.text


def test_a_link_under_the_name_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".marks.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "marks"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), locked(tmp_path / "gone" / "marks"):
        pass

"""The measure of what a command takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from signetscan.testing.memory import run_measured


def test_a_command_is_measured_by_itself_and_the_processes_that_it_waits_for() -> None:
    held = b"x" * (200 << 20)  # of which a process started from this one would be said to hold as much
    printed, nothing = run_measured([sys.executable, "-S", "-c", "print('a'); print('b')"])
    assert printed == "a\nb"
    assert nothing < 50 < len(held) / (1 << 20)
    inner = "len(b'x' * (100 << 20))"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {inner!r}], check=True)"
    for job in (inner, outer):
        assert 100 < run_measured([sys.executable, "-S", "-c", job])[1] < 150
    with pytest.raises(subprocess.CalledProcessError):
        run_measured([sys.executable, "-S", "-c", "raise SystemExit(3)"])

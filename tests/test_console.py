"""What people see while they wait: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from signetscan.cli import console

if TYPE_CHECKING:
    from collections.abc import Callable

JOB = """
import time
from signetscan.cli.console import note, stages
with stages() as stage:
    main, check = stage("training", "batches", brief=False), stage("validating", "images", brief=True)
    for epoch in (1, 2):
        main(2 * epoch, 4)
        for image in (1, 2, 3):
            check(image, 3)
            time.sleep(0.1)  # bars are drawn ten times a second
        note(f"epoch {epoch} is over")
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no such terminals here")
def test_notes_stand_on_lines_of_their_own_above_the_bars() -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen([sys.executable, "-c", JOB], stderr=theirs, stdout=subprocess.PIPE) as job:  # noqa: S603
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(ours)
        assert job.communicate()[0] == b""
    assert job.returncode == 0
    for epoch in (b"1", b"2"):
        # Right after a line was erased or ended, never behind a bar.
        assert re.search(rb"(?:\n|\x1b\[2K)epoch " + epoch + rb" is over\r\n", shown), shown
    assert b"/?" not in shown
    assert b"training" in shown
    assert b"2/4" in shown
    assert re.search(rb"validating .*[12]/3", shown)


def test_a_single_step_that_is_over_at_once_is_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("slide", unit="tiles") as update:
        update(1, 1)
    assert capsys.readouterr().err == ""


def test_without_a_terminal_there_are_plain_lines() -> None:
    done = subprocess.run([sys.executable, "-c", JOB], capture_output=True, text=True, check=True)  # noqa: S603
    lines = done.stderr.splitlines()
    assert lines[0] == "epoch 1 is over"
    assert lines[1] == "training: 4 of 4 batches", "a stage of half a second is too short for a rate"
    assert lines[2:] == ["epoch 2 is over"], "a stage that is over at once is not worth a line"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that goes on when it is told to."""
    now = 100.0

    def go_on(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    return go_on


def test_a_long_stage_shows_life_every_ten_seconds_each_time(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with console.stages() as stage:
        check = stage("validating", "images", brief=True)
        for _ in range(2):
            clock(1000)  # of training
            for image in range(1, 6):
                check(image, 5)
                clock(4)
    line = "validating: 4 of 5 images, 15.0 a minute"  # three more than at the first look, 12 seconds ago
    assert capsys.readouterr().err.splitlines() == [line] * 2


@pytest.mark.parametrize(
    ("steps", "seconds", "rate"),
    [
        (1, 0.00001, ""),
        (268, 0.99, ""),
        (0, 50, ""),
        (12, 1, ", 12.0 a second"),
        (5, 5, ", 1.0 a second"),
        (1, 50, ", 1.2 a minute"),
        (1, 7200, ", 0.5 an hour"),
    ],
)
def test_a_rate_is_in_a_unit_that_shows_it(steps: int, seconds: float, rate: str) -> None:
    assert console._rate(steps, seconds) == rate

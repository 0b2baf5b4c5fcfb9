"""Signals that end a command, from its first to the end of its process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from signetscan.cli.scanning import ends_cleanly
from signetscan.cli.signals import ENDING, ended_by_signals
from signetscan.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")

SHUTDOWN = """
import os, signal, sys
import click
from signetscan.cli.scanning import ends_cleanly

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=int(sys.argv.pop())):
        kill(pid, number)

late = Late()  # goes when Python has taken its handlers back

@click.command()
@click.pass_context
def scan(context):
    with ends_cleanly(context):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)

scan()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_while_python_shuts_down_changes_nothing(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SHUTDOWN, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, len(done.stderr.splitlines())) == (130, 1), done.stderr
    assert done.stderr.startswith("Interrupted.")


def fine() -> None:
    return


def no_device() -> None:
    message = "no GPU"
    raise DeviceError(message)


def enough() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(("work", "status"), [(fine, 0), (no_device, 4), (enough, 3)])
def test_a_process_that_goes_on_has_its_own_handlers_again(work: Callable[[], None], status: int) -> None:
    @click.command()
    @click.pass_context
    def scan(context: click.Context) -> None:
        with ends_cleanly(context):
            during.append(handlers())
            work()

    def handlers() -> list[object]:
        return [signal.getsignal(getattr(signal, name)) for name in ENDING]

    during: list[list[object]] = []
    before = handlers()
    assert CliRunner().invoke(scan).exit_code == status
    assert handlers() == before
    taken = [(own, other) for own, other in zip(before, during[0], strict=True) if own != signal.SIG_IGN]
    assert taken
    assert all(own != other for own, other in taken)


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["slide", "a.svs", "--region", "3000"], ".a.svs.*/0.raw"),
        (["images", ".", "--positives", "9", "--negatives", "0", "--size", "1500"], ".unfinished/sig-train-pos/*.jpeg"),
    ],
)
def test_a_command_that_is_ended_leaves_nothing_half_written(words: list[str], first: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "signetscan", "simulate", words[0], str(tmp_path / words[1]), *words[2:]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        wait_until(lambda: any(tmp_path.glob(first)), process)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "Interrupted."
    assert list(tmp_path.iterdir()) == []


def wait_until(is_there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not is_there():
        assert process.poll() is None, "the command ended before it could be interrupted"
        time.sleep(0.02)

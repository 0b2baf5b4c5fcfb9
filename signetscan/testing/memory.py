"""The most memory that a command takes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status != 0)
"""
"""Runs a command, and prints the most memory that it or one of the processes that it waited for held.

On Linux a process starts with the most memory that the one which started it has held, so that one is as small as this.
"""
MIB_OF_MAXRSS = 1 / (1 << 20) if sys.platform == "darwin" else 1 / 1024
"""A unit of `ru_maxrss`, MiB."""


def run_measured(command: Sequence[str]) -> tuple[str, float]:
    """Run a command; gives what it printed, and the most memory that one of its processes held at once, MiB.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    measured = [sys.executable, "-I", "-S", "-c", MEASURE, *command]
    done = subprocess.run(measured, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - a command of ours
    printed, _, peak = done.stdout.rstrip("\n").rpartition("\n")
    return printed, int(peak) * MIB_OF_MAXRSS

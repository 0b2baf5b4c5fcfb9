"""Workers of a batch that are ready at once: processes forked from one that has loaded what all of them need.

A worker of its own spends half a second on imports, far more than on the slides of tests. Tests of processes
themselves, of their output, or of what they import, start real ones.
"""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

CONTEXT = multiprocessing.get_context("forkserver")
LOADED = ["signetscan.batch.jobs", "signetscan.batch.workers", "onnxruntime", "pytest"]
"""What the process loads from which workers are forked; pytest, because it is the main module of tests."""


class ReadyContext:
    """The part of a context of `multiprocessing` that batches use."""

    def Pipe(self, *, duplex: bool = True) -> tuple[Connection, Connection]:  # noqa: N802 - as in multiprocessing
        """Two connected ends."""
        return CONTEXT.Pipe(duplex)

    def Process(  # noqa: N802 - as in multiprocessing
        self, *, target: Callable[..., object], args: tuple[object, ...], daemon: bool, name: str
    ) -> ForkServerProcess:
        """A process with the environment and the working folder that this one has now."""
        own = (dict(os.environ), os.getcwd(), target, args)  # noqa: PTH109 - as it is, links and all
        return CONTEXT.Process(target=_as_here, args=own, daemon=daemon, name=name)


def start_server() -> None:
    """Start the process from which workers are forked, unless it runs."""
    from multiprocessing import forkserver

    CONTEXT.set_forkserver_preload(LOADED)
    forkserver.ensure_running()


def _as_here(environment: dict[str, str], folder: str, target: Callable[..., object], args: tuple[object, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    target(*args)

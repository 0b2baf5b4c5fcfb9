"""Running work on threads or processes, with bounded memory and results in a fixed order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpu_count() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: a container or a batch job may be limited to some
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_working_folder() -> None:
    """Make sure that the working folder exists, which every new process needs.

    Raises:
        OutputError: it was removed.
    """
    try:
        Path.cwd()
    except OSError as error:
        message = "the working folder was removed; change to one that exists, and start again"
        raise OutputError(message) from error


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int
) -> Generator[Result]:
    """Apply a function on several threads, and yield the results in the order of the items.

    At most `ahead` results are being computed or waiting to be consumed, so a slow consumer holds the threads back and
    memory stays bounded. If the function raises, the consumer gets the error in that item's turn. Calls that have begun
    are then waited for, and the others are dropped. The same happens if the consumer stops early.

    Args:
        function: must be safe to call from several threads at once.
        items: consumed lazily, on the consumer's thread.
        workers: number of threads.
        ahead: most results that are not consumed yet.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="signetscan") as pool:
        try:
            for item in items:
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def batched(
    items: Iterable[Item], size: int, *, kind: Callable[[Item], object] = lambda _: None
) -> Iterator[list[Item]]:
    """Lists of up to `size` consecutive items of the same kind; where the kind changes, a new list begins."""
    batch: list[Item] = []
    for item in items:
        if batch and kind(item) != kind(batch[0]):
            yield batch
            batch = []
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def process_map(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Apply a function in several processes, and yield the results in the order of the items.

    Args:
        function: must be importable by name, and its arguments and results picklable.
        items: its arguments.
        workers: number of processes; 1 means this process.

    Raises:
        OutputError: the working folder was removed.
    """
    if workers == 1:
        yield from map(function, items)
        return
    check_working_folder()
    # Spawned, not forked: a fork would inherit locks that other threads hold, which nobody would ever release.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)

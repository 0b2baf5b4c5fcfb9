"""Running work on several threads with bounded memory and a fixed order of results. All concurrency lives here."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def cpu_count() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: a container or a batch job may have been given only some
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int
) -> Generator[Result]:
    """Apply a function on several threads and give the results in the order of the items.

    At most `ahead` results are being made or waiting to be taken, so a slow consumer holds the workers back and
    memory stays bounded. An error in the function is raised to the consumer when that item's turn comes; what was
    not begun is then dropped, and what was is waited for. The same happens when the consumer stops early.

    Args:
        function: called on a worker thread; must be safe to call from several at once.
        items: consumed lazily, on the consumer's thread.
        workers: number of threads.
        ahead: bound on unfinished and untaken results.
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
    """Lists of up to `size` items, in order, each of one kind: where the kind changes, a new list begins."""
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
    """Apply a function in several processes and give the results in the order of the items.

    Args:
        function: importable by name, with arguments and results that can be pickled.
        items: what to apply it to.
        workers: number of processes; 1 stays in this one.
    """
    if workers == 1:
        yield from map(function, items)
        return
    # A fresh interpreter a worker: a copy of this one would take over locks that its threads hold.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(cancel_futures=True)

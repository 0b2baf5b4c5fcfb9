from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.pixel_cache import PixelCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PATIENCE = 20
"""Seconds after which a thread that should long be done is stuck."""


def maker(size: int) -> Callable[[], NDArray[np.uint8]]:
    return lambda: np.zeros(size, np.uint8)


def never() -> NDArray[np.uint8]:
    message = "it is kept, so it is not made"
    raise AssertionError(message)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60)), max_size=60), st.integers(1, 120))
def test_the_cache_holds_only_the_pieces_used_last(uses: list[tuple[int, int]], limit: int) -> None:
    cache = PixelCache[tuple[int, int]](limit)
    recent: dict[int, int] = {}  # in the order of use
    for number, size in uses:
        size = recent.pop(number, size)  # noqa: PLW2901 - as it was made
        assert len(cache.get((0, number), maker(size))) == size
        recent[number] = size
        while sum(recent.values()) > limit and len(recent) > 1:
            del recent[next(iter(recent))]
        assert cache.nbytes == sum(recent.values())
    for number, size in recent.items():
        assert len(cache.get((0, number), never)) == size


def test_a_piece_larger_than_the_cache_is_kept_until_the_next() -> None:
    cache = PixelCache[tuple[int, int]](10)
    cache.get((0, 0), maker(1000))
    cache.get((0, 0), never)
    cache.get((0, 1), maker(3))
    assert cache.nbytes == 3


def test_pieces_of_different_levels_are_distinct() -> None:
    cache = PixelCache[tuple[int, int]](100)
    assert len(cache.get((0, 1), maker(3))) == 3
    assert len(cache.get((1, 1), maker(4))) == 4


def test_kept_pieces_are_read_only() -> None:
    cache = PixelCache[tuple[int, int]](100)
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            cache.get((0, 0), maker(3))[:] = 1


def test_a_piece_is_made_once_for_all_threads_without_blocking_others() -> None:
    cache = PixelCache[tuple[int, int]](100)
    begun, may_end = threading.Event(), threading.Event()
    made = []

    def slow() -> NDArray[np.uint8]:
        made.append(threading.get_ident())
        begun.set()
        assert may_end.wait(PATIENCE)
        return np.full(5, 7, np.uint8)

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(cache.get, (0, 0), slow) for _ in range(7)]
        assert begun.wait(PATIENCE)
        assert len(pool.submit(cache.get, (0, 1), maker(3)).result(PATIENCE)) == 3, "while the other is being made"
        may_end.set()
        got = [future.result(PATIENCE) for future in waiting]
    assert len(made) == 1
    assert all(pixels is got[0] for pixels in got)
    assert got[0].tolist() == [7] * 5


def test_an_error_reaches_all_waiting_threads_and_is_not_kept() -> None:
    cache = PixelCache[tuple[int, int]](100)
    begun, may_fail = threading.Event(), threading.Event()
    tries = []

    def fail() -> NDArray[np.uint8]:
        tries.append(1)
        begun.set()
        assert may_fail.wait(PATIENCE)
        message = "damaged"
        raise RuntimeError(message)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, (0, 0), fail)
        assert begun.wait(PATIENCE)
        others = [pool.submit(cache.get, (0, 0), fail) for _ in range(3)]
        while sum(future.running() for future in others) < 3:  # they are, or will be, waiting for the first
            assert not any(future.done() for future in others)
        may_fail.set()
        for future in (first, *others):
            with pytest.raises(RuntimeError, match="damaged"):
                future.result(PATIENCE)
    assert cache.nbytes == 0
    assert len(cache.get((0, 0), maker(4))) == 4, "the next to ask makes it anew"

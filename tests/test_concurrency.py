from __future__ import annotations

import threading
import time

import pytest

from signetscan.concurrency import batched, cpu_count, ordered_map


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_when_even(number: int) -> int:
        time.sleep(0.01 * (number % 2 == 0))
        return number * number

    results = list(ordered_map(slow_when_even, range(40), workers=4, ahead=6))
    assert results == [number * number for number in range(40)]


def test_a_slow_consumer_holds_the_workers_back() -> None:
    begun: list[int] = []
    results = ordered_map(begun.append, range(1000), workers=3, ahead=5)
    for taken in range(1, 20):
        next(results)
        time.sleep(0.002)
        assert len(begun) <= taken + 5


def test_an_error_reaches_the_consumer_in_its_turn() -> None:
    def fail_at_seven(number: int) -> int:
        if number == 7:
            message = "seven"
            raise RuntimeError(message)
        return number

    taken: list[int] = []
    with pytest.raises(RuntimeError, match="seven"):
        taken.extend(ordered_map(fail_at_seven, range(100), workers=4, ahead=10))
    assert taken == list(range(7))


def test_no_thread_stays_behind_when_the_consumer_stops() -> None:
    results = ordered_map(lambda number: number, iter(range(10**9)), workers=3, ahead=5)
    assert next(results) == 0
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("signetscan")]


def test_batches() -> None:
    assert list(batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched([], 3)) == []
    assert list(batched("aabbbba", 3, kind=str.upper)) == [["a", "a"], ["b", "b", "b"], ["b"], ["a"]]
    assert cpu_count() >= 1

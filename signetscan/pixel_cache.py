"""A cache of decoded pixels, shared by threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Key = TypeVar("Key")


class PixelCache(Generic[Key]):
    """Keeps the arrays used last, up to a number of bytes. Safe to use from several threads.

    If several threads ask for an array at the same moment, the first makes it and the others wait for it. Threads that
    want other arrays are not held up.

    Args:
        limit: bytes to keep; the newest array is kept even if it alone is larger, so that a plain TIFF whose one strip
            is the whole image is not decoded again for each window.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Key, Pixels] = OrderedDict()
        self._being_made: dict[Key, Future[Pixels]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Total size of the arrays that are kept, bytes."""
        return self._bytes

    def has(self, key: Key) -> bool:
        """Whether an array is kept, or being made."""
        with self._lock:
            return key in self._kept or key in self._being_made

    def get(self, key: Key, make: Callable[[], Pixels]) -> Pixels:
        """Get an array, which is read-only.

        Args:
            key: identifies the array.
            make: makes the array if it is neither kept nor being made; called without a lock. If it raises, so do all
                calls that wait for the array; the next call tries again.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
            being_made = self._being_made.get(key)
            mine: Future[Pixels] = Future()
            if being_made is None:
                self._being_made[key] = mine
        if being_made is not None:
            return being_made.result()
        try:
            array = make()
            array.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._being_made[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._keep(key, array)
            del self._being_made[key]
        mine.set_result(array)
        return array

    def _keep(self, key: Key, array: Pixels) -> None:
        self._kept[key] = array
        self._bytes += array.nbytes
        while self._bytes > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes

"""Decoded pixels, kept for whoever asks next."""

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
    """The arrays used last, up to a number of bytes. Safe to use from several threads.

    An array is made once, however many threads ask for it at the same moment: the first makes it, without holding up
    those that want other arrays, and the others wait for it.

    Args:
        limit: bytes to keep; the newest array is kept even if it alone is larger, so that a plain TIFF whose one strip
            is the whole image is not decoded again for every window.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Key, Pixels] = OrderedDict()
        self._coming: dict[Key, Future[Pixels]] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are kept."""
        return self._bytes

    def get(self, key: Key, make: Callable[[], Pixels]) -> Pixels:
        """An array, which nobody may write to.

        Args:
            key: what the array is of.
            make: called without a lock where the array is neither kept nor being made. What it raises is raised to
                all that wait for the array; the next to ask makes it anew.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
            coming = self._coming.get(key)
            mine: Future[Pixels] = Future()
            if coming is None:
                self._coming[key] = mine
        if coming is not None:
            return coming.result()
        try:
            array = make()
            array.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._keep(key, array)
            del self._coming[key]
        mine.set_result(array)
        return array

    def _keep(self, key: Key, array: Pixels) -> None:
        self._kept[key] = array
        self._bytes += array.nbytes
        while self._bytes > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes

"""Decoded pieces of a slide, kept for the neighbouring reads and for the other threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Key = tuple[int, int]
    Pixels = NDArray[np.uint8]


class TileCache:
    """The pieces used last, up to a number of bytes. Safe to use from several threads.

    A piece is made once, however many threads ask for it at the same moment: the first makes it, without holding up
    those that want other pieces, and the others wait for it.

    Args:
        limit: bytes to keep; the newest piece is kept even if it alone is larger, so that a plain TIFF whose one strip
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
        """Bytes of the pieces that are kept."""
        return self._bytes

    def get(self, key: Key, make: Callable[[], Pixels]) -> Pixels:
        """A piece, which nobody may write to.

        Args:
            key: what it is: level and index.
            make: called without a lock where the piece is neither kept nor being made. What it raises, all that wait
                for the piece raise; the next to ask makes it anew.
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
            pixels = make()
            pixels.flags.writeable = False
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._keep(key, pixels)
            del self._coming[key]
        mine.set_result(pixels)
        return pixels

    def _keep(self, key: Key, pixels: Pixels) -> None:
        self._kept[key] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > self._limit and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes

"""The slides of a workspace that are open: each is opened when it is first asked for, and a few are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan.errors import ResultError
from signetscan.viewer.slide_opening import open_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.results.slide_finder import SlideFinder
    from signetscan.viewer.app import Viewer
    from signetscan.viewer.work_list import WorkItem

MOST_OPEN = 6
"""Most slides that are kept open, unless more answer requests at once: tens of megabytes of tiles each."""


@dataclass(slots=True)
class _Opened:
    """A slide that is open, or being opened."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while it is opened."""
    viewer: Viewer | None = None
    closing: ExitStack = field(default_factory=ExitStack)
    users: int = 0
    """Requests that it answers now."""

    @property
    def is_saved(self) -> bool:
        """Whether it may be closed without losing a mark, as on a full disk."""
        return self.viewer is None or self.viewer.is_saved


class OpenedSlides:
    """Opens slides and closes those that were not used for longest. Safe to use from several threads.

    Args:
        finder: knows where slides are.
    """

    def __init__(self, finder: SlideFinder) -> None:
        self._finder = finder
        self._lock = threading.Lock()
        self._opened: OrderedDict[tuple[str, str], _Opened] = OrderedDict()
        self._is_closed = False

    @contextmanager
    def open(self, item: WorkItem, reviewer: str) -> Iterator[Viewer]:
        """The viewer of a slide and a reviewer's marks, which stays open as long as the block runs.

        Raises:
            ResultError: a result is damaged, or the slide is not known.
            AnnotationError: a file of detections or of marks cannot be used.
            SlideError: the slide cannot be read.
        """
        key = item.name, reviewer
        with self._lock:
            if self._is_closed:
                message = "the viewer has ended"
                raise ResultError(message)
            entry = self._opened.setdefault(key, _Opened())
            self._opened.move_to_end(key)
            entry.users += 1
        try:
            with entry.lock:
                if entry.viewer is None:
                    entry.viewer = entry.closing.enter_context(open_item(item, reviewer, self._finder))
            yield entry.viewer
        finally:
            with self._lock:
                entry.users -= 1
                left = self._to_close()
            for stack in left:
                stack.close()

    @property
    def count(self) -> int:
        """How many slides are open."""
        with self._lock:
            return len(self._opened)

    def close(self) -> None:
        """Wait until running saves are done, prevent further ones, and close all slides."""
        with self._lock:
            self._is_closed = True
            entries = [*self._opened.values()]
        for entry in entries:
            with entry.lock:
                if entry.viewer is not None:
                    entry.viewer.close()
                entry.closing.close()

    def _to_close(self) -> list[ExitStack]:
        """Take out those beyond the most, and those that could not be opened; gives what closes them."""
        if self._is_closed:
            return []
        idle = [key for key, entry in self._opened.items() if not entry.users]
        failed = [key for key in idle if self._opened[key].viewer is None]
        surplus = max(len(self._opened) - len(failed) - MOST_OPEN, 0)
        oldest = [key for key in idle if key not in failed and self._opened[key].is_saved][:surplus]
        return [self._opened.pop(key).closing for key in (*failed, *oldest)]

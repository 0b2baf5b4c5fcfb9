"""Slides that arrive in a folder, each once it has come to rest."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from signetscan.batch.find import slides_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from signetscan.batch.find import SlideTask

State = tuple[int, int]
"""Bytes of a slide's files, and the last time that one changed, ns."""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Looks at a folder now and again, which works on network shares too, where nobody tells of changes."""

    folder: Path
    """The folder; it need not be there yet."""
    settle_s: float
    """Seconds for which a slide's files must not change before it counts as copied."""
    clock: Callable[[], float] = time.monotonic
    """Tells the time, seconds."""
    _seen: dict[Path, tuple[State, float]] = field(default_factory=dict)
    _given: dict[Path, State] = field(default_factory=dict)

    def look(self) -> list[SlideTask]:
        """The slides that are new, or have changed, and have come to rest since; each is given once."""
        now, rested = self.clock(), []
        for task in slides_below(self.folder) if self.folder.is_dir() else ():
            state = _state(task.path)
            if state is None:  # just gone
                continue
            if self._seen.get(task.path, (None, 0.0))[0] != state:
                self._seen[task.path] = (state, now)
            elif now - self._seen[task.path][1] >= self.settle_s and self._given.get(task.path) != state:
                self._given[task.path] = state
                rested.append(task)
        return rested

    def is_idle(self) -> bool:
        """Whether all slides that were seen have been given."""
        return all(self._given.get(path) == state for path, (state, _) in self._seen.items() if path.exists())


def _state(path: Path) -> State | None:
    """Of a slide's file, and of the folder of its name beside it, where MRXS and VMS keep the pixels."""
    beside = path.with_suffix("")
    try:
        files = [path, *(beside.iterdir() if beside.is_dir() else ())]
        found = [file.stat() for file in files]
    except OSError:
        return None
    return sum(each.st_size for each in found), max(each.st_mtime_ns for each in found)

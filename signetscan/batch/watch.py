"""Watching a folder: slides are scanned as they arrive, each once its files no longer change."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from signetscan.batch.find import slides_below
from signetscan.batch.journal import Journal
from signetscan.batch.options import BatchOptions, WatchOptions
from signetscan.batch.run import check_roi, prepared, renamed, run_batch
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from signetscan.batch.events import Event
    from signetscan.batch.find import SlideTask

State = tuple[int, int]
"""Bytes of a slide's files, and the last time that one changed, ns."""


def watch_folder(
    folder: Path,
    request: BatchOptions | None = None,
    options: ScanOptions | None = None,
    watch: WatchOptions | None = None,
) -> Generator[Event]:
    """Scan slides as they arrive in a folder, and those that are there; without end, unless that is asked for.

    Whenever slides have arrived they are scanned as by `signetscan.batch.run.scan_slides`, with the same events. A
    slide that failed is tried again when it changes.

    Args:
        folder: the folder; it need not be there yet.
        request: what is wanted of each batch.
        options: how each slide is scanned.
        watch: how the folder is watched.

    Raises:
        SignetscanError: as `scan_slides` does.
    """
    request, options, watch = request or BatchOptions(), options or ScanOptions(), watch or WatchOptions()
    check_roi(request.roi, one_slide=False)
    request = prepared(request)
    watcher = Watcher(folder=folder, settle_s=watch.settle)
    with Journal(request.log_file) as journal:
        while True:
            arrived = [replace(task, options=options, mpp=request.mpp) for task in watcher.look()]
            if arrived:
                with closing(run_batch(request, renamed(arrived, request))) as events:
                    for event in events:
                        journal.write(event)
                        yield event
            elif watch.until_idle and watcher.is_idle():
                return
            time.sleep(watch.every)


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

"""Watching a folder: slides are scanned as they arrive, each when its files have stopped changing."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.batch.events import Noted
from signetscan.batch.find import slides_below
from signetscan.batch.journal import Journal
from signetscan.batch.left_out import LeftOut
from signetscan.batch.options import BatchOptions, WatchOptions
from signetscan.batch.run import check_one_threshold, check_roi, prepared, renamed, run_batch
from signetscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from signetscan.batch.events import Event
    from signetscan.batch.find import SlideTask

State = tuple[int, int]
"""Total size of a slide's files, bytes, and the time of their last change, ns."""


def watch_folder(
    folder: Path,
    request: BatchOptions | None = None,
    options: ScanOptions | None = None,
    watch: WatchOptions | None = None,
) -> Generator[Event]:
    """Scan the slides in a folder and those that arrive; without end, unless `watch.until_idle` is set.

    New slides are scanned as by `signetscan.batch.run.scan_slides`, with the same events. A slide that failed is tried
    again when it changes.

    Args:
        folder: the folder; it need not exist yet.
        request: options of each batch.
        options: how each slide is scanned.
        watch: how the folder is watched.

    Raises:
        SignetscanError: as `scan_slides` does.
    """
    request, options, watch = request or BatchOptions(), options or ScanOptions(), watch or WatchOptions()
    check_roi(request.roi, one_slide=False)
    check_one_threshold(request, options)
    request = prepared(request)
    watcher = Watcher(folder=folder, settle_s=watch.settle)
    with Journal(request.log_file) as journal:
        while True:
            arrived = [replace(task, options=options, mpp=request.mpp) for task in watcher.new_slides()]
            if arrived:
                with closing(run_batch(request, renamed(arrived, request), watcher.left_out)) as events:
                    yield from journal.follow(events)
            else:
                lines = watcher.left_out.lines(private=request.private)
                yield from journal.follow(Noted(text=line) for line in lines)
                if watch.until_idle and watcher.is_idle():
                    return
            time.sleep(watch.every)


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Polls a folder, because network shares do not notify of changes."""

    folder: Path
    """The folder; it need not exist yet."""
    settle_s: float
    """Seconds without a change of a slide's files after which it counts as copied."""
    clock: Callable[[], float] = time.monotonic
    """Gives the time, seconds."""
    left_out: LeftOut = field(default_factory=LeftOut)
    """Files that the last call of `new_slides` has not taken for slides; each is given once, when it is copied."""
    _seen: dict[Path, tuple[State, float]] = field(default_factory=dict)
    _given: dict[Path, State] = field(default_factory=dict)

    def new_slides(self) -> list[SlideTask]:
        """The slides that are new or changed and have been copied completely; each version is given once."""
        now = self.clock()
        others: list[Path] = []
        tasks = list(slides_below(self.folder, others.append)) if self.folder.is_dir() else []
        copied = [task for task in tasks if isinstance(task.place, Path) and self._is_new(task.place, now)]
        self.left_out = LeftOut()
        for path in others:
            if self._is_new(path, now):
                self.left_out.add_file(path)
        return copied

    def _is_new(self, path: Path, now: float) -> bool:
        """Whether a file has been copied completely, and this version of it was not given before."""
        state = _state(path)
        if state is None:  # just gone
            return False
        if self._seen.get(path, (None, 0.0))[0] != state:
            self._seen[path] = (state, now)
            return False
        if now - self._seen[path][1] < self.settle_s or self._given.get(path) == state:
            return False
        self._given[path] = state
        return True

    def is_idle(self) -> bool:
        """Whether `new_slides` has given all slides in the folder."""
        return all(self._given.get(path) == state for path, (state, _) in self._seen.items() if path.exists())


def _state(path: Path) -> State | None:
    """The state of a slide: of its file, and of the folder of its name, where MRXS and VMS keep the pixels."""
    pixel_folder = path.with_suffix("")
    try:
        files = [path, *(pixel_folder.iterdir() if pixel_folder.is_dir() else ())]
        stats = [file.stat() for file in files]
    except OSError:
        return None
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)

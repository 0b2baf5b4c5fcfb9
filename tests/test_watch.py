from __future__ import annotations

import os
from typing import TYPE_CHECKING

from signetscan.batch.watch import Watcher

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Says what it is set to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def looked(watcher: Watcher, clock: Clock, now: float) -> list[str]:
    clock.now = now
    return [task.name for task in watcher.new_slides()]


def test_a_slide_is_given_when_it_has_stopped_changing(tmp_path: Path) -> None:
    clock = Clock()
    watcher = Watcher(folder=tmp_path / "scanner", settle_s=60, clock=clock)
    assert looked(watcher, clock, 0) == [], "the folder is not there yet"
    (tmp_path / "scanner").mkdir()
    slide = tmp_path / "scanner" / "a.svs"
    slide.write_bytes(b"1")
    assert looked(watcher, clock, 10) == []
    assert looked(watcher, clock, 60) == []
    slide.write_bytes(b"12")  # it grows
    assert looked(watcher, clock, 75) == []
    assert looked(watcher, clock, 130) == []
    assert not watcher.is_idle()
    assert looked(watcher, clock, 135) == ["a"]
    assert looked(watcher, clock, 1000) == []
    assert watcher.is_idle()
    slide.write_bytes(b"21")
    os.utime(slide, ns=(0, 5))  # as long as before, but another
    assert looked(watcher, clock, 1010) == []
    assert looked(watcher, clock, 1070) == ["a"]
    slide.unlink()
    assert looked(watcher, clock, 2000) == []
    assert watcher.is_idle()


def test_the_files_of_a_slides_folder_must_stop_changing_too(tmp_path: Path) -> None:
    clock = Clock()
    watcher = Watcher(folder=tmp_path, settle_s=60, clock=clock)
    (tmp_path / "m.mrxs").write_bytes(b"head")
    (tmp_path / "m").mkdir()
    assert looked(watcher, clock, 0) == []
    (tmp_path / "m" / "Data0000.dat").write_bytes(b"pixels")
    assert looked(watcher, clock, 60) == []
    assert looked(watcher, clock, 119) == []
    assert looked(watcher, clock, 120) == ["m"]


def test_files_that_are_no_slides_are_told_once_when_they_are_copied(tmp_path: Path) -> None:
    clock = Clock()
    watcher = Watcher(folder=tmp_path, settle_s=60, clock=clock)
    (tmp_path / "a.vsi").write_bytes(b"1")
    assert looked(watcher, clock, 0) == []
    assert not watcher.is_idle()
    told = []
    for now in (30, 60, 90):
        looked(watcher, clock, now)
        told.append(watcher.left_out.kinds)
    assert told == ["", "1 .vsi", ""]
    assert watcher.is_idle()

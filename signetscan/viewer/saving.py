"""Saving of marks to a file that somebody else may change meanwhile: another viewer, or QuPath."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from signetscan.errors import OutputError
from signetscan.file_lock import locked
from signetscan.viewer.marks_file import write_marks
from signetscan.viewer.marks_reading import read_marks
from signetscan.viewer.merging import merge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from signetscan.boxes import Box
    from signetscan.detections import Detections
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.viewer.marks import Mark, Marks

    Version: TypeAlias = "tuple[int, int, int]"

MOST_TRIES = 5
"""Most tries to write a file that a program without our lock keeps changing."""


class _ChangedError(Exception):
    """The file has changed since it was read."""


class MarksFile:
    """A file of marks, and what was in it when it was last read or written. Not safe to use from several threads.

    Args:
        path: the file.
        scanned: the slide.
        detections: its detections in the order of their numbers, boxes in level-0 pixels.
        whole: the part of the slide that has pixels, level-0 pixels; None if it is not known.

    Raises:
        AnnotationError: the file cannot be read.
    """

    def __init__(self, path: Path, scanned: ScannedSlide, detections: Detections, *, whole: Box | None = None) -> None:
        self.path = path
        self._whole = whole
        self._scanned = scanned
        self._detections = detections
        self._version = _version(path)
        self.saved = read_marks(path, scanned, detections)

    def save(self, marks: Marks) -> frozenset[int]:
        """Write marks, together with what somebody else has written since this was last called.

        A file that was removed is written again.

        Args:
            marks: the marks, which take over the changes of others.

        Returns:
            The numbers of the marks that others changed in another way than we did.

        Raises:
            AnnotationError: the file was replaced by one that cannot be read; it stays as it is.
            OutputError: the file cannot be written.
        """
        disputed: frozenset[int] = frozenset()
        with locked(self.path):
            for _ in range(MOST_TRIES):
                version = _version(self.path)
                if version not in {None, self._version}:
                    disputed |= self._take_over(marks)
                    self._version = version
                try:
                    self._write(marks.by_number, version)
                except _ChangedError:
                    continue
                return disputed
        message = f"{self.path}: another program keeps changing it; close the file there, and try again"
        raise OutputError(message)

    def _take_over(self, marks: Marks) -> frozenset[int]:
        theirs = read_marks(self.path, self._scanned, self._detections)
        merged = merge(
            self.saved.marks,
            marks.by_number,
            theirs.marks,
            detections=len(self._detections),
            next_number=marks.next_number,
        )
        marks.adopt(merged.marks, merged.changed | merged.disputed)
        stored = {merged.numbers[number]: each for number, each in theirs.stored.items()}
        self.saved = replace(theirs, marks=merged.theirs, stored=stored)
        return merged.disputed

    def _write(self, marks: Mapping[int, Mark], version: Version | None) -> None:
        def check(part: Path) -> None:
            if _version(self.path) != version:
                raise _ChangedError
            self._version = _version(part)  # that of the file once it is renamed

        saved = replace(self.saved, marks=dict(marks))
        write_marks(self.path, saved, self._scanned, self._detections, whole=self._whole, when_complete=check)
        self.saved = saved


def _version(path: Path) -> Version | None:
    """Tells versions of a file apart, each of which was written at another time or place; None if there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise OutputError(message) from error
    return facts.st_ino, facts.st_mtime_ns, facts.st_size

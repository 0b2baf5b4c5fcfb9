"""The files of a slide: most formats have one, some many."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from signetscan.suffixes import NOT_SLIDES, series_uid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MOST_INDEX_BYTES = 1 << 20
"""Bytes read of the index of a VMS or VMU slide, which takes some kilobytes."""


def slide_parts(path: Path) -> tuple[Path, ...]:
    """All files that a slide is read from: the one that was named first, unless it is one of a DICOM series.

    An MRXS slide has a folder of its name, a VMS or VMU slide the files that its index names, a DICOM slide the files
    of its series in the same folder.

    Raises:
        OSError: a folder or a file cannot be read.
    """
    match path.suffix.lower():
        case ".mrxs":
            folder = path.with_suffix("")
            return (path, *(_files(folder.iterdir()) if folder.is_dir() else ()))
        case ".vms" | ".vmu" if path.is_file():  # reading a pipe would wait for ever
            return (path, *_named_in(path))
        case _:
            uid = series_uid(path)
            return (path,) if uid is None else _series(path, uid)


def _series(path: Path, uid: bytes) -> tuple[Path, ...]:
    def belongs(other: Path) -> bool:
        return other == path or (not other.name.lower().endswith(NOT_SLIDES) and series_uid(other) == uid)

    return tuple(filter(belongs, _files(path.parent.iterdir())))


def _named_in(index: Path) -> list[Path]:
    """The files beside an index that stand in it as the value of a line `key=value`."""
    with index.open("rb") as file:
        text = file.read(MOST_INDEX_BYTES).decode("utf-8", "replace")
    values = {line.partition("=")[2].strip() for line in text.splitlines()}
    names = (value for value in values if value and PurePath(value).name == value and "\0" not in value)
    return [path for path in _files(index.with_name(name) for name in names) if path != index]


def _files(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.is_file())

"""Files that appear under their name only when they are whole."""

from __future__ import annotations

import gzip
import io
import os
import shutil
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKING = 6
"""How hard gzip tries, 1 to 9; above it files of detections hardly shrink."""


@contextmanager
def part_path(path: Path) -> Iterator[Path]:
    """A place beside `path` for a writer to fill, renamed to `path` when the block ends without an error.

    On an error what was written is removed, and a file that already stood at `path` stays as it was.

    Raises:
        OutputError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        why = error.strerror or error if path.parent.is_dir() else f"there is no folder {path.parent}"
        message = f"{path}: cannot be written: {why}"
        raise OutputError(message) from error
    finally:
        with suppress(OSError):  # of a name that is too long, or on a share that is gone, nothing was written
            part.unlink()


@contextmanager
def atomic_text(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file for writing that appears as a whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with part_path(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def atomic_gzip(path: Path) -> Iterator[IO[str]]:
    """Open a gzipped UTF-8 text file for writing that appears as a whole or not at all; the same text, the same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    with (
        part_path(path) as part,
        part.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=PACKING, fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        yield text


def free_bytes(folder: Path) -> int:
    """Room where a folder is, or would be if it were made."""
    there = next(each for each in [folder, *folder.absolute().parents] if each.exists())
    return shutil.disk_usage(there).free


def make_folder(path: Path) -> None:
    """Make a folder for results, with its parents.

    Raises:
        OutputError: it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        message = f"{path}: a file, not a folder; choose another folder"
        raise OutputError(message) from error
    except OSError as error:
        message = f"{path}: the folder cannot be made: {error.strerror}; choose another folder"
        raise OutputError(message) from error
    if not os.access(path, os.W_OK | os.X_OK):
        message = f"{path}: no permission to write here; choose another folder"
        raise OutputError(message)

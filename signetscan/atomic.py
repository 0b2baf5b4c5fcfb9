"""Writing files that appear under their name only when they are complete."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from signetscan.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP_LEVEL = 6
"""Compression level, 1 to 9; higher levels hardly make files of detections smaller."""


@contextmanager
def part_path(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`, and rename the file to `path` if the block ends without an error.

    On an error the temporary file is removed, and a file that was at `path` before is unchanged.

    Raises:
        OutputError: the file cannot be written.
    """
    # Nobody can guess the name, so nobody who may write to the folder can put a link to another file under it.
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        # Without a sync, a power cut after the rename could leave an empty file under the final name.
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        why = error.strerror or error if path.parent.is_dir() else f"there is no folder {path.parent}"
        message = f"{path}: cannot be written: {why}"
        raise OutputError(message) from error
    finally:
        with suppress(OSError):  # nothing was written if the name is too long or the share is gone
            part.unlink()


@contextmanager
def atomic_text(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file for writing; it appears complete or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with part_path(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def atomic_gzip(path: Path) -> Iterator[IO[str]]:
    """Open a gzipped UTF-8 text file for writing; it appears complete or not at all; same text, same bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    with (
        part_path(path) as part,
        part.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):
        yield text


def free_bytes(folder: Path) -> int:
    """Free space, bytes, on the disk of a folder, which need not exist yet."""
    existing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    return shutil.disk_usage(existing).free


def make_folder(path: Path) -> None:
    """Make a folder for results, with its parents.

    Raises:
        OutputError: it cannot be made, or is not writable.
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

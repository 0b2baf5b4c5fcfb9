"""Bounds of what is read: bytes, and objects, whose number decides on time and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

MAX_OBJECTS = 3_000_000
"""Most objects in a file, and most parts of all its objects: a CSV file of the largest size has fewer."""


def read_bounded(path: Path, limit: int) -> bytes:
    """All bytes of a file of at most `limit` bytes.

    Raises:
        AnnotationError: the path is missing, not a file, or the file is too large.
    """
    with open_bounded(path, limit) as file:
        return file.read()


def open_bounded(path: Path, limit: int) -> IO[bytes]:
    """Open a file of at most `limit` bytes.

    Raises:
        AnnotationError: the path is missing, not a file, or the file is too large.
    """
    try:
        # A device or a pipe has no size to check, and may never end.
        if path.exists() and not path.is_file():
            message = f"{path}: a folder or a device, not an annotation file"
            raise AnnotationError(message)
        if path.stat().st_size > limit:
            raise too_large(path, limit)
        return path.open("rb")
    except OSError as error:
        message = f"{path}: cannot read the annotations: {error.strerror}"
        raise AnnotationError(message) from error


def check_number(path: Path, count: int) -> None:
    """Check that a file has no more objects than memory is meant for.

    Raises:
        AnnotationError: it has.
    """
    if count > MAX_OBJECTS:
        message = f"{path}: over {MAX_OBJECTS / 1e6:g} million objects or parts, too many for an annotation file"
        raise AnnotationError(message)


def too_large(path: Path, limit: int) -> AnnotationError:
    """The error for a file of more than `limit` bytes, packed or unpacked."""
    return AnnotationError(f"{path}: over {limit / 1e6:g} MB, too large for an annotation file")

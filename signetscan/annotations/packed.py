"""Files as QuPath exports them: plain, packed by gzip, or in a ZIP; what they are is told by their first bytes."""

from __future__ import annotations

import gzip
import struct
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from signetscan.annotations.bounds import open_bounded
from signetscan.errors import AnnotationError
from signetscan.plurals import counted
from signetscan.suffixes import QUPATH_DATA_SUFFIX, QUPATH_PROJECT_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP, ZIP, JAVA = b"\x1f\x8b", b"PK", b"\xac\xed\x00\x05"
"""First bytes of files that gzip, ZIP and Java wrote; QuPath's own .qpdata is of Java."""
ZIP_END = struct.Struct("<4s8xLLH")
"""End of a ZIP: its mark, the size and the place of its list of files, bytes, and the length of a comment."""
ZIP64_MARK, ZIP64_SIZE = b"PK\x06\x07", 20
"""Mark, and bytes, of what stands before that end if the list is of the other kind, for files over 4 GB."""
MOST_LISTED = 1 << 16
"""Longest list of files in a ZIP, bytes: to read a list takes many times as much memory."""


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""


@contextmanager
def unpacked(path: Path, limit: int) -> Iterator[Readable]:
    """Open a file that may be packed.

    Args:
        path: the file.
        limit: most bytes of the packed file. What it unpacks to is for the reader of the stream to bound.

    Raises:
        AnnotationError: the file is missing, no file, too large, of a QuPath project, or a ZIP of several files.
    """
    check_is_no_project(path)
    with ExitStack() as stack:
        file = stack.enter_context(open_bounded(path, limit))
        try:
            first = file.read(4)
            file.seek(0)
            if first.startswith(GZIP):
                yield stack.enter_context(gzip.GzipFile(fileobj=file))
            elif first.startswith(ZIP):
                yield _only_file(path, file, stack)
            elif first == JAVA:
                raise of_project(path)
            else:
                yield file
        except (OSError, BadZipFile, NotImplementedError) as error:
            message = f"{path}: cannot be read or unpacked: {error}"
            raise AnnotationError(message) from error


def _only_file(path: Path, file: IO[bytes], stack: ExitStack) -> Readable:
    """The one file in a ZIP, as a stream. Nothing is written to the disk, so names in it cannot do harm."""
    if not _has_short_list(file):
        message = f"{path}: not a ZIP as QuPath writes them; unpack it, and name the GeoJSON file"
        raise AnnotationError(message)
    archive = stack.enter_context(ZipFile(file))
    # macOS adds its notes on each file.
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and "__MACOSX/" not in entry.filename]
    if len(entries) != 1:
        message = f"{path}: a ZIP of {counted(len(entries), 'file')}; unpack it, and name one GeoJSON file"
        raise AnnotationError(message)
    if entries[0].flag_bits & 1 or entries[0].compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        message = f"{path}: the file in this ZIP is encrypted, or packed in a way that QuPath does not use; unpack it"
        raise AnnotationError(message)
    return stack.enter_context(archive.open(entries[0]))


def _has_short_list(file: IO[bytes]) -> bool:
    """Whether a ZIP ends as QuPath ends it, with a list of few files."""
    size = file.seek(0, 2)
    mark, listed, _, comment = ZIP_END.unpack(_bytes_before(file, size, ZIP_END.size))
    locator = _bytes_before(file, size - ZIP_END.size, ZIP64_SIZE)
    return mark == b"PK\x05\x06" and comment == 0 and listed <= MOST_LISTED and not locator.startswith(ZIP64_MARK)


def _bytes_before(file: IO[bytes], end: int, size: int) -> bytes:
    """Some bytes of a file before a place, with zeros in front where it begins later."""
    start = max(end - size, 0)
    file.seek(start)
    return file.read(max(end - start, 0)).rjust(size, b"\0")


def check_is_no_project(path: Path) -> None:
    """Check that a path is not of a QuPath project, whose files only QuPath can read.

    Raises:
        AnnotationError: it is a project's file or folder, or a file of data in it.
    """
    suffixes = (QUPATH_PROJECT_SUFFIX, QUPATH_DATA_SUFFIX)
    if path.suffix.lower() in suffixes or (path.is_dir() and any(path.glob(f"*{QUPATH_PROJECT_SUFFIX}"))):
        raise of_project(path)


def of_project(path: Path) -> AnnotationError:
    """The error for what is of a QuPath project."""
    return AnnotationError(
        f"{path}: of a QuPath project, which only QuPath can read; in QuPath, export the objects of each image as "
        "GeoJSON (File > Export objects as GeoJSON, or docs/qupath/export_corrections.groovy for a whole project), and "
        "name what it writes"
    )

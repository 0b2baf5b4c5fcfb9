"""Identifying slides by content, without reading gigabytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """What tells a slide's files from others; each text is empty where it is not known."""

    content: str = ""
    """Identifies what they hold; see `content_of`."""
    state: str = ""
    """Identifies their sizes and the times of their last change; see `state_of`."""
    place: str = ""
    """Identifies where they are; see `signetscan.results.namesakes.place_of`."""


UNKNOWN = FileIdentity()
"""The identity of a slide that is in memory, or of which nobody noted it."""

SAMPLE_BYTES = 1 << 20
"""Bytes hashed at the start and at the end of a file."""
BLOCKS = 256
"""Blocks hashed of a slide that is too large to be hashed whole."""
BLOCK_BYTES = 1 << 18
"""Size of a block. A slide of up to `BLOCKS` of them, 64 MiB, is hashed whole."""


def file_fingerprint(path: Path) -> str:
    """SHA-256 of the file's size and of its first and last mebibyte.

    Used where OpenSlide has no quickhash. It is enough to tell slides apart, and quick on a network share.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(SAMPLE_BYTES))
        file.seek(max(size - SAMPLE_BYTES, 0))
        digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()


def series_fingerprint(uid: str) -> str:
    """The fingerprint of a series by its UID: the one that OpenSlide gives, for a series that it can read."""
    return hashlib.sha256(f"{uid}\0".encode()).hexdigest()


def content_of(files: Sequence[Path]) -> str:
    """SHA-256 of the sizes of a slide's files and of their bytes, or of samples of them if they are large.

    A fingerprint tells scans apart and stays the same when a copy is mended; this tells whether anything changed that a
    scan may see. At most 64 MiB are read, in blocks spread evenly from the first byte to the last, so that a change of
    more than a 256th of a slide is always seen. Names and times do not matter, so copies are equal.

    Args:
        files: from `slide_parts`, in its order.

    Raises:
        OSError: a file cannot be read.
    """
    sizes = [path.stat().st_size for path in files]
    digest = hashlib.sha256(repr(sizes).encode())
    spans = list(_spans(sum(sizes)))
    start = 0
    for path, size in zip(files, sizes, strict=True):
        inside = [(max(low - start, 0), min(high - start, size)) for low, high in spans]
        _hash_spans(digest, path, [(low, high) for low, high in inside if low < high])
        start += size
    return digest.hexdigest()


def state_of(files: Sequence[Path]) -> str:
    """A text that changes when the size of one of a slide's files, or the time of its last change, does.

    Raises:
        OSError: a file is gone.
    """
    stats = [path.stat() for path in files]
    return hashlib.sha256(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode()).hexdigest()[:32]


def _spans(total: int) -> Iterator[tuple[int, int]]:
    """The parts to hash of some bytes, as start and end: all, or blocks from the first byte to the last."""
    if total <= BLOCKS * BLOCK_BYTES:
        yield 0, total
        return
    for number in range(BLOCKS):
        start = (total - BLOCK_BYTES) * number // (BLOCKS - 1)
        yield start, start + BLOCK_BYTES


def _hash_spans(digest: hashlib._Hash, path: Path, spans: Sequence[tuple[int, int]]) -> None:
    if not spans:
        return
    with path.open("rb") as file:
        for low, high in spans:
            file.seek(low)
            for position in range(low, high, SAMPLE_BYTES):
                digest.update(file.read(min(SAMPLE_BYTES, high - position)))

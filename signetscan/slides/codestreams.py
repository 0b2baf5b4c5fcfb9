"""What the headers of JPEG and JPEG 2000 data say, read before a decoder trusts them.

A decoder takes the size of its result from the data, so a tile of a few bytes may ask for gigabytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame: all of these but those of Huffman tables, extensions and arithmetic conditioning."""
SEQUENTIAL = (0xC0, 0xC1)
"""Frames coded with Huffman tables in one pass."""
RESTARTS = tuple(bytes([0xFF, marker]) for marker in range(0xD0, 0xD8))
BARE = frozenset({0x00, 0x01, SOI, *range(0xD0, 0xD8)})
"""Markers without content, none of which stands in a header."""
J2K_START = b"\xff\x4f\xff\x51"
"""The first bytes of a JPEG 2000 codestream: its start, and the marker of its size."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a codestream says it decodes to."""

    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    components: int
    """Channels."""
    kind: int = 0
    """Marker of a JPEG's frame: which process coded it."""
    start: int = 0
    """Where a JPEG's coded pixels begin, bytes."""


def jpeg_frame(data: bytes) -> Frame:
    """The frame of a JPEG.

    Raises:
        ValueError: a header that no encoder writes.
    """
    frame = None
    for marker, start, end in _segments(data):
        if marker == SOS and frame is not None:
            return Frame(*frame, start=end)
        if marker in FRAMES and frame is None and end - start >= 6:
            height, width, components = struct.unpack(">HHB", data[start + 1 : start + 6])
            frame = (width, height, components, marker)
        elif marker in FRAMES:
            break
    message = "a JPEG without a picture, or with two"
    raise ValueError(message)


def check_tables(tables: bytes) -> None:
    """Refuse JPEG tables that hold an image, whose size a decoder would take for that of every tile.

    Raises:
        ValueError: it does.
    """
    if any(marker in FRAMES or marker == SOS for marker, _, _ in _segments(tables)):
        message = "its JPEG tables hold an image"
        raise ValueError(message)


def check_jpeg(data: bytes, expected: Frame) -> None:
    """Refuse a JPEG that OpenSlide would refuse, as far as can be told without decoding it.

    Args:
        data: one sequential JPEG, as libjpeg takes it.
        expected: size and number of channels that it must have.

    Raises:
        ValueError: it has another size or process, or is cut short or overwritten.
    """
    frame = jpeg_frame(data)
    if frame.kind not in SEQUENTIAL:
        message = "a JPEG that is not coded in one pass"
        raise ValueError(message)
    _check_size(frame, expected)
    # libjpeg fills up what is missing and only warns, which OpenSlide takes for an error and imagecodecs ignores. In
    # coded pixels 0xFF is followed by 0, or by a restart marker; the end must be there.
    end = data.rfind(bytes([0xFF, EOI]))
    markers = data.count(b"\xff", frame.start, end) - data.count(b"\xff\0", frame.start, end)
    if end < frame.start or (markers and markers != sum(data.count(mark, frame.start, end) for mark in RESTARTS)):
        message = "a JPEG that is cut short or overwritten"
        raise ValueError(message)


def jpeg2000_frame(data: bytes, start: int = 0) -> Frame:
    """The frame of a JPEG 2000 codestream.

    Args:
        data: bytes that hold it.
        start: where it begins.

    Raises:
        ValueError: no codestream of 8-bit channels begins there.
    """
    # Length and capabilities, then width, height and offsets of image and of tiles, then the number of components and
    # three bytes for each: depth, and how many times fewer columns and rows it has.
    head = data[start : start + 42]
    if len(head) < 42 or not head.startswith(J2K_START):
        message = "its JPEG 2000 header is damaged"
        raise ValueError(message)
    right, bottom, left, top = struct.unpack(">4I", head[8:24])
    (components,) = struct.unpack(">H", head[40:42])
    layout = data[start + 42 : start + 42 + 3 * components]
    if (left, top) != (0, 0) or len(layout) < 3 * components or set(layout[::3]) != {7}:
        message = "a JPEG 2000 image with an offset, or not of 8 bits a channel"
        raise ValueError(message)
    return Frame(right, bottom, components)


def check_jpeg2000(data: bytes, expected: Frame) -> None:
    """Refuse a JPEG 2000 codestream of another size.

    Raises:
        ValueError: it is.
    """
    _check_size(jpeg2000_frame(data), expected)


def check_bounded(data: bytes, limit: int, *, is_jpeg: bool) -> None:
    """Refuse JPEG or JPEG 2000 data that decodes to more than it should.

    Args:
        data: a JPEG, or anything that holds JPEG 2000 codestreams.
        limit: most values that it may decode to.
        is_jpeg: which of the two it is.

    Raises:
        ValueError: it does, or its header is damaged.
    """
    frames = [jpeg_frame(data)] if is_jpeg else [jpeg2000_frame(data, start) for start in _starts(data)]
    for frame in frames:
        if frame.width * frame.height * frame.components > limit:
            message = f"it says that it decodes to {_size(frame)}, more than its place"
            raise ValueError(message)


def _check_size(frame: Frame, expected: Frame) -> None:
    if _size(frame) != _size(expected):
        message = f"it says that it decodes to {_size(frame)}, not to {_size(expected)}"
        raise ValueError(message)


def _size(frame: Frame) -> str:
    return f"{frame.width} x {frame.height} px of {frame.components} channels"


def _starts(data: bytes) -> Iterator[int]:
    start = data.find(J2K_START)
    while start >= 0:
        yield start
        start = data.find(J2K_START, start + 1)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of each segment, up to the first scan or the end of the image.

    Stricter than libjpeg, which skips what it does not know: a frame must not hide from this and be seen by libjpeg.

    Raises:
        ValueError: anything is not as an encoder writes it.
    """
    at = 2 if data[:2] == bytes([0xFF, SOI]) else len(data)
    while at + 2 <= len(data) and data[at] == 0xFF and data[at + 1] not in BARE:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == EOI:
            yield marker, at + 2, at + 2
            return
        if end < at + 4 or end > len(data):
            break
        yield marker, at + 4, end
        if marker == SOS:
            return
        at = end
    message = "its JPEG header is damaged"
    raise ValueError(message)

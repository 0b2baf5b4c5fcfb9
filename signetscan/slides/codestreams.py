"""Checks of the headers of JPEG and JPEG 2000 data, before a decoder trusts them.

A decoder takes the size of its output from the data, so a tile of a few bytes may ask for gigabytes of memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from signetscan.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame, the last one that of JPEG-LS. Excluded are those of Huffman tables, extensions and
arithmetic conditioning."""
SEQUENTIAL = (0xC0, 0xC1)
"""Frames coded with Huffman tables in one pass (baseline and extended sequential)."""
TABLES = (0xC4, 0xDB)
"""Markers of Huffman and of quantisation tables."""
COLOUR_MARKS = (0xE0, 0xEE)
"""Markers of JFIF's and Adobe's segments, by which libjpeg decides what the channels are."""
ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""Adobe's segment but for its last byte: 1 if the channels are YCbCr, 0 if they are RGB."""
RESTARTS = tuple(bytes([0xFF, marker]) for marker in range(0xD0, 0xD8))
END_OF_IMAGE = bytes([0xFF, EOI])
BARE = frozenset({0x00, 0x01, SOI, *range(0xD0, 0xD8)})
"""Markers without content, none of which may occur in a header."""
J2K_START = b"\xff\x4f\xff\x51"
"""The first bytes of a JPEG 2000 codestream: the start marker and the size marker."""

J2K_COD, J2K_TILE = 0x52, 0x90
"""Markers of how a JPEG 2000 codestream is coded, and of its first tile."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The image that a codestream declares."""

    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    components: int
    """Channels."""
    kind: int = 0
    """Marker of a JPEG's frame, which tells the coding process."""
    start: int = 0
    """Offset of a JPEG's coded pixels, bytes."""


def jpeg_frame(data: bytes) -> Frame:
    """Read the frame of a JPEG.

    Raises:
        ValueError: the header is one that no encoder writes.
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
    message = "a JPEG with no image, or with two"
    raise ValueError(message)


class StoredColours(StrEnum):
    """What the channels of a JPEG are, in the words of messages."""

    YCBCR = "YCbCr"
    RGB = "RGB"


def jpeg_colours(data: bytes) -> StoredColours | None:
    """What the channels of a JPEG are if its header leaves no doubt; None if it does, as most scanners' JPEGs do.

    The marks are those by which libjpeg goes: JFIF files are YCbCr, Adobe's marker says it, and channels may be named
    R, G and B. Nobody stores two of red, green and blue at a lower resolution.

    Args:
        data: a JPEG, or its beginning.
    """
    adobe, is_jfif = None, False
    try:
        for marker, start, end in _segments(data):
            content = data[start:end]
            is_jfif = is_jfif or (marker == 0xE0 and content.startswith(b"JFIF\0"))
            if marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
                adobe = content[11]
            if marker in FRAMES and len(content) == 15 and content[5] == 3:
                return _colours(content[6:], is_jfif=is_jfif, adobe=adobe)
    except ValueError:  # damaged: whoever decodes it says so
        return None
    return None


def has_jfif_mark(data: bytes) -> bool:
    """Whether a JPEG, or its beginning, has the mark of JFIF, whose three channels are YCbCr by definition."""
    try:
        return any(marker == 0xE0 and data[start:end].startswith(b"JFIF\0") for marker, start, end in _segments(data))
    except ValueError:
        return False


def _colours(channels: bytes, *, is_jfif: bool, adobe: int | None) -> StoredColours | None:
    """The verdict from a frame's three channels, each of three bytes: its name, its sampling and its table."""
    if is_jfif or channels[4] != channels[1] or adobe == 1:
        return StoredColours.YCBCR
    if channels[::3] == b"RGB" or adobe == 0:
        return StoredColours.RGB
    return None


def has_colour_transform(data: bytes) -> bool | None:
    """Whether a JPEG 2000 codestream says that its colours are transformed; None if it cannot be told.

    Args:
        data: a codestream, or its beginning.
    """
    if not data.startswith(J2K_START):
        return None
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF and data[offset + 1] != J2K_TILE:
        if data[offset + 1] == J2K_COD and offset + 9 <= len(data):
            return data[offset + 8] != 0  # after length, style, progression and layers
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4])
    return None


def check_tables(tables: bytes) -> None:
    """Refuse JPEG tables that hold an image, because a decoder would take its size for that of every tile.

    Raises:
        ValueError: they hold an image.
    """
    if any(marker in FRAMES or marker == SOS for marker, _, _ in _segments(tables)):
        message = "its JPEG tables hold an image"
        raise ValueError(message)


def only_tables(tables: bytes) -> bytes:
    """The segments of a JPEG's tables that hold quantisation and Huffman tables.

    Raises:
        ValueError: the tables are damaged.
    """
    return b"".join(tables[start - 4 : end] for marker, start, end in _segments(tables) if marker in TABLES)


def with_tables(data: bytes, start: int, tables: bytes, colours: StoredColours | None) -> bytes:
    """A JPEG that can be decoded by itself, from one whose tables or colours the file says elsewhere.

    Args:
        data: a JPEG that `JpegCheck` accepts.
        start: offset of its coded pixels, bytes.
        tables: what `only_tables` gives.
        colours: what its three channels are, whatever its own marks say; None if it has one channel.
    """
    mark = b"" if colours is None else ADOBE + bytes([colours is StoredColours.YCBCR])
    if data.find(b"JFIF", 0, start) < 0 and data.find(b"Adobe", 0, start) < 0:
        return b"".join((data[:2], mark, tables, memoryview(data)[2:]))
    kept = [data[first - 4 : end] for marker, first, end in _segments(data) if marker not in COLOUR_MARKS]
    return b"".join((data[:2], mark, tables, *kept, memoryview(data)[start:]))


class JpegCheck:
    """Refuses JPEGs that OpenSlide would refuse, as far as can be decided without decoding them.

    Tiles of an image mostly begin with the same header, which is read once. Safe to use from several threads.

    Args:
        expected: size and number of channels that JPEGs must have.
    """

    def __init__(self, expected: Frame) -> None:
        self._expected = expected
        self._known: bytes | None = None  # the last header that was accepted, up to the coded pixels

    def __call__(self, data: bytes) -> int:
        """Check one sequential JPEG, as libjpeg takes it.

        Returns:
            Offset of its coded pixels, bytes.

        Raises:
            ValueError: it has another size or coding process, or is cut short or overwritten.
        """
        header = self._known
        if header is None or not data.startswith(header):
            header = self._header(data)
            self._known = header
        # libjpeg fills in missing pixels with only a warning, which OpenSlide treats as an error and imagecodecs
        # ignores. In coded pixels 0xFF may only be followed by 0 or a restart marker, and the end marker must be there.
        start, end = len(header), data.rfind(END_OF_IMAGE)
        markers = data.count(b"\xff", start, end) - data.count(b"\xff\0", start, end)
        if end < start or (markers and markers != sum(data.count(mark, start, end) for mark in RESTARTS)):
            message = "a JPEG that is cut short or overwritten"
            raise ValueError(message)
        return start

    def _header(self, data: bytes) -> bytes:
        frame = jpeg_frame(data)
        if frame.kind not in SEQUENTIAL:
            message = "a JPEG that is not coded in one pass"
            raise ValueError(message)
        check_size(frame, self._expected)
        return data[: frame.start]


def jpeg2000_frame(data: bytes, start: int = 0) -> Frame:
    """Read the frame of a JPEG 2000 codestream.

    Args:
        data: bytes that hold it.
        start: offset of its first byte.

    Raises:
        ValueError: no codestream of 8-bit channels begins there.
    """
    # After length and capabilities come width, height and offsets of the image and of its tiles, then the number of
    # components, and for each of them three bytes: depth (minus 1), and subsampling of columns and of rows.
    head = data[start : start + 42]
    if len(head) < 42 or not head.startswith(J2K_START):
        message = "its JPEG 2000 header is damaged"
        raise ValueError(message)
    right, bottom, left, top = struct.unpack(">4I", head[8:24])
    (components,) = struct.unpack(">H", head[40:42])
    layout = data[start + 42 : start + 42 + 3 * components]
    if (left, top) != (0, 0) or len(layout) < 3 * components or set(layout[::3]) != {7}:
        message = "a JPEG 2000 image that has an offset or not 8 bits per channel"
        raise ValueError(message)
    return Frame(right, bottom, components)


def check_jpeg2000(data: bytes, expected: Frame) -> None:
    """Refuse a JPEG 2000 codestream that is not of the expected size.

    Raises:
        ValueError: it has another size, or its header is damaged.
    """
    check_size(jpeg2000_frame(data), expected)


def check_bounded(data: bytes, limit: int, *, is_jpeg: bool) -> None:
    """Refuse JPEG or JPEG 2000 data that decodes to more values than a limit.

    Args:
        data: a JPEG, or data that holds JPEG 2000 codestreams.
        limit: the most values that it may decode to.
        is_jpeg: whether it is a JPEG.

    Raises:
        ValueError: it decodes to more, or its header is damaged.
    """
    frames = [jpeg_frame(data)] if is_jpeg else [jpeg2000_frame(data, start) for start in _starts(data)]
    for frame in frames:
        if frame.width * frame.height * frame.components > limit:
            message = f"its header declares {_size(frame)}, more than the strip or tile holds"
            raise ValueError(message)


def check_size(frame: Frame, expected: Frame) -> None:
    """Refuse the frame of a codestream that is not of the expected size.

    Raises:
        ValueError: it has another size or number of channels.
    """
    if _size(frame) != _size(expected):
        message = f"its header declares {_size(frame)}, not {_size(expected)}"
        raise ValueError(message)


def _size(frame: Frame) -> str:
    return f"{frame.width} x {frame.height} px with {counted(frame.components, 'channel')}"


def _starts(data: bytes) -> Iterator[int]:
    start = data.find(J2K_START)
    while start >= 0:
        yield start
        start = data.find(J2K_START, start + 1)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and start and end of the content, of each segment up to the first scan or the end of the image.

    Stricter than libjpeg, which skips what it does not know: no frame that libjpeg sees may be hidden from this check.

    Raises:
        ValueError: the header is not as an encoder writes it.
    """
    offset = 2 if data[:2] == bytes([0xFF, SOI]) else len(data)
    while offset + 2 <= len(data) and data[offset] == 0xFF and data[offset + 1] not in BARE:
        marker = data[offset + 1]
        if marker == 0xFF:  # a fill byte
            offset += 1
            continue
        end = offset + 2 + int.from_bytes(data[offset + 2 : offset + 4])
        if marker == EOI:
            yield marker, offset + 2, offset + 2
            return
        if end < offset + 4 or end > len(data):
            break
        yield marker, offset + 4, end
        if marker == SOS:
            return
        offset = end
    message = "its JPEG header is damaged"
    raise ValueError(message)

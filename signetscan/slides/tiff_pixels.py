"""Reading windows of TIFF images from the strips or tiles in which they are stored."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from signetscan.pixel_cache import PixelCache
from signetscan.slides.tiff_decoders import DECODE_ERRORS, frame_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import tifffile
    from numpy.typing import NDArray

    from signetscan.slides.tiff_decoders import Decode

CACHE_BYTES = 1 << 28
"""Bytes of decoded pieces that are kept for neighbouring reads: enough for a row of windows 1024 px high on a slide
70,000 px wide, so that the next row finds the pieces that both rows share."""
READ_SLACK = 1 << 16
"""A stored piece may take this many bytes more than twice its pixels; no codec comes near that."""


class PieceError(Exception):
    """A strip or tile is missing or cannot be decoded; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TiffLevel:
    """An image of a TIFF file, stored row by row in pieces, which are strips or tiles."""

    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    piece_width: int
    """Width of a piece, pixels; the last in a row may extend beyond the image."""
    piece_height: int
    """Height of a piece, pixels."""
    offsets: tuple[int, ...]
    """Offset of each piece in the file, bytes."""
    counts: tuple[int, ...]
    """Length of each stored piece, bytes; 0 if it is missing."""
    channels: int
    """Stored values per pixel."""
    decode: Decode
    """Turns a stored piece and its index into pixels, uint8 (height, width, 1 or 3); raises DECODE_ERRORS."""

    @property
    def across(self) -> int:
        """Pieces in a row."""
        return -(-self.width // self.piece_width)

    @property
    def down(self) -> int:
        """Rows of pieces."""
        return -(-self.height // self.piece_height)

    @property
    def most_bytes(self) -> int:
        """Length of the longest stored piece that is read, bytes."""
        return 2 * self.piece_width * self.piece_height * self.channels + READ_SLACK

    @classmethod
    def of(cls, page: tifffile.TiffPage, decode: Decode) -> TiffLevel:
        """Describe a page as a level."""
        frame = frame_of(page)
        return cls(
            width=page.imagewidth,
            height=page.imagelength,
            piece_width=frame.width,
            piece_height=frame.height,
            offsets=page.dataoffsets,
            # A piece at offset 0 is missing too: the file's header is there.
            counts=tuple(n if offset else 0 for offset, n in zip(page.dataoffsets, page.databytecounts, strict=False)),
            channels=page.samplesperpixel,
            decode=decode,
        )

    def pieces(self, x0: int, y0: int, x1: int, y1: int) -> Iterator[tuple[int, int, int]]:
        """Index, left and top edge of the pieces that a rectangle within the level touches, level pixels."""
        for row in range(y0 // self.piece_height, (y1 - 1) // self.piece_height + 1):
            for column in range(x0 // self.piece_width, (x1 - 1) // self.piece_width + 1):
                yield row * self.across + column, column * self.piece_width, row * self.piece_height


class TiffPixels:
    """The levels of an open TIFF file. Safe to read from several threads.

    Args:
        file: the open file, closed by `close`; only this object reads from it afterwards.
        levels: what can be read.
    """

    def __init__(self, file: tifffile.TiffFile, levels: Sequence[TiffLevel]) -> None:
        self._file = file
        self._bytes = file.filehandle.size
        self._seek = threading.Lock()
        self._cache = PixelCache[tuple[int, int]](CACHE_BYTES)
        self.levels = tuple(levels)

    def read(
        self, level: int, x: int, y: int, size: tuple[int, int], background: tuple[int, int, int]
    ) -> NDArray[np.uint8]:
        """A window of a level, uint8 (height, width, 3).

        Args:
            level: index of the level.
            x: left edge, pixels of the level; may be negative.
            y: top edge.
            size: width and height, pixels of the level.
            background: the colour outside the level.

        Raises:
            PieceError: a strip or tile that it touches is missing or cannot be decoded, or the file is closed.
        """
        if self._file.filehandle.closed:  # the cache could still answer
            message = "the file is closed"
            raise PieceError(message)
        image = self.levels[level]
        width, height = size
        left, right = max(x, 0), min(x + width, image.width)
        top, bottom = max(y, 0), min(y + height, image.height)
        window = np.empty((height, width, 3), np.uint8)
        if (left, top, right, bottom) != (x, y, x + width, y + height):
            window[:] = background
        if left >= right or top >= bottom:
            return window
        pieces = list(image.pieces(left, top, right, bottom))
        for index, _, _ in pieces:  # check all, so that none is decoded in vain
            self._check_stored(image, index)
        for index, piece_x, piece_y in pieces:
            x0, x1 = max(left, piece_x), min(right, piece_x + image.piece_width)
            y0, y1 = max(top, piece_y), min(bottom, piece_y + image.piece_height)
            pixels = self._cache.get((level, index), partial(self._decoded, image, index))
            window[y0 - y : y1 - y, x0 - x : x1 - x] = pixels[y0 - piece_y : y1 - piece_y, x0 - piece_x : x1 - piece_x]
        return window

    def missing(self, level: int, x: int, y: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of a window lie in strips or tiles that the file does not hold, (height, width).

        Args:
            level: index of the level.
            x: left edge, pixels of the level; may be negative.
            y: top edge.
            size: width and height, pixels of the level.
        """
        image = self.levels[level]
        missing = np.zeros((size[1], size[0]), np.bool_)
        left, right = max(x, 0), min(x + size[0], image.width)
        top, bottom = max(y, 0), min(y + size[1], image.height)
        if left < right and top < bottom:
            for index, piece_x, piece_y in image.pieces(left, top, right, bottom):
                if index >= len(image.counts) or not image.counts[index]:
                    x0, x1 = max(left, piece_x), min(right, piece_x + image.piece_width)
                    y0, y1 = max(top, piece_y), min(bottom, piece_y + image.piece_height)
                    missing[y0 - y : y1 - y, x0 - x : x1 - x] = True
        return missing

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check_stored(self, image: TiffLevel, index: int) -> None:
        is_listed = index < min(len(image.offsets), len(image.counts))
        offset, count = (image.offsets[index], image.counts[index]) if is_listed else (0, 0)
        if not count:
            message = f"strip or tile {index} is missing"
            raise PieceError(message)
        if offset < 0 or count > image.most_bytes or offset + count > self._bytes:
            message = f"strip or tile {index} cannot be {count} bytes at offset {offset}, as the directory declares"
            raise PieceError(message)

    def _decoded(self, image: TiffLevel, index: int) -> NDArray[np.uint8]:
        """Decode a piece, (rows, columns, 1 or 3), which must cover at least its part of the level."""
        row, column = divmod(index, image.across)
        needed = (
            min(image.piece_height, image.height - row * image.piece_height),
            min(image.piece_width, image.width - column * image.piece_width),
        )
        try:
            pixels = image.decode(self._stored(image.offsets[index], image.counts[index]), index)
            if pixels.dtype != np.uint8 or pixels.shape[0] < needed[0] or pixels.shape[1] < needed[1]:
                message = f"it decodes to {pixels.dtype} {pixels.shape}"
                raise ValueError(message)
        except DECODE_ERRORS as error:
            message = f"strip or tile {index} cannot be decoded: {error}"
            raise PieceError(message) from error
        return pixels

    def _stored(self, offset: int, count: int) -> bytes:
        """Read bytes of the file.

        Raises:
            OSError: they cannot be read.
            ValueError: the file ends before them.
        """
        handle = self._file.filehandle
        read_at = getattr(os, "pread", None)
        if read_at is not None:
            data: bytes = read_at(handle.fileno(), count, offset)
        else:  # Windows: all threads share one position in the file
            with self._seek:
                handle.seek(offset)
                data = handle.read(count)
        if len(data) < count:
            message = "the file ends within it"
            raise ValueError(message)
        return data

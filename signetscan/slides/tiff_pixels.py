"""Windows of TIFF images, put together from the strips or tiles in which they are stored."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import tifffile

from signetscan.slides.codestreams import Frame, check_bounded, check_jpeg, check_jpeg2000, check_tables
from signetscan.slides.lzw import lzw_decode
from signetscan.slides.tile_cache import TileCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Decode = Callable[[bytes, int], NDArray[np.uint8]]

# What tifffile logs about a broken file is in the error that is raised here; it must not reach the terminal too.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

CACHE_BYTES = 1 << 28
"""Decoded pieces kept for the neighbouring reads: enough for a row of windows 1024 px high over a slide 70,000 px wide,
so that the next row finds there what it shares with it."""
READ_SLACK = 1 << 16
"""A stored piece may be this many bytes larger than twice its pixels; no codec comes near."""

DECODE_ERRORS = (
    tifffile.TiffFileError,  # a ValueError in recent tifffile only
    ValueError,
    NotImplementedError,
    RuntimeError,
    OSError,
    IndexError,
    TypeError,
    KeyError,
    ZeroDivisionError,
    MemoryError,
)
"""What tifffile and the codecs raise on data they cannot decode (imagecodecs' errors are RuntimeErrors)."""

JPEGS = {
    tifffile.COMPRESSION.OJPEG,
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.ALT_JPEG,
    tifffile.COMPRESSION.JPEG_LOSSY,
}
JPEG2000S = {
    tifffile.COMPRESSION.JPEG2000,
    tifffile.COMPRESSION.APERIO_JP2000_YCBC,
    tifffile.COMPRESSION.APERIO_JP2000_RGB,
    tifffile.COMPRESSION.JPEG_2000_LOSSY,
}
CRASHING = {tifffile.COMPRESSION.JPEGXR, tifffile.COMPRESSION.JPEGXR_NDPI}
"""What imagecodecs cannot decode safely."""


class PieceError(Exception):
    """A strip or tile is missing or cannot be decoded; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TiffLevel:
    """One image of a TIFF file and how it is stored: in pieces, row by row, which are strips or tiles."""

    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    piece_width: int
    """Width of a piece, pixels; the last of a row may reach beyond the image."""
    piece_height: int
    """Height of a piece, pixels."""
    offsets: tuple[int, ...]
    """Where in the file each piece is, bytes."""
    counts: tuple[int, ...]
    """How long each stored piece is, bytes; 0 where it is missing."""
    channels: int
    """Stored values of a pixel."""
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
        """Longest stored piece that is read, bytes."""
        return 2 * self.piece_width * self.piece_height * self.channels + READ_SLACK

    @classmethod
    def of(cls, page: tifffile.TiffPage, decode: Decode) -> TiffLevel:
        """The level that a page is."""
        frame = _frame(page)
        return cls(
            width=page.imagewidth,
            height=page.imagelength,
            piece_width=frame.width,
            piece_height=frame.height,
            offsets=page.dataoffsets,
            counts=page.databytecounts,
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
        self._cache = TileCache(CACHE_BYTES)
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
        if self._file.filehandle.closed:  # what is kept would still be given
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
        for index, _, _ in pieces:  # all, before any is decoded in vain
            self._check_stored(image, index)
        for index, at_x, at_y in pieces:
            x0, x1 = max(left, at_x), min(right, at_x + image.piece_width)
            y0, y1 = max(top, at_y), min(bottom, at_y + image.piece_height)
            pixels = self._cache.get((level, index), partial(self._decoded, image, index))
            window[y0 - y : y1 - y, x0 - x : x1 - x] = pixels[y0 - at_y : y1 - at_y, x0 - at_x : x1 - at_x]
        return window

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
            message = f"strip or tile {index} is said to be {count} bytes at {offset}, where no such thing can be"
            raise PieceError(message)

    def _decoded(self, image: TiffLevel, index: int) -> NDArray[np.uint8]:
        """One piece, (rows, columns, 1 or 3); it covers at least the part of the level that it is for."""
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
        """Bytes of the file.

        Raises:
            OSError: they cannot be read.
            ValueError: the file ends before.
        """
        handle = self._file.filehandle
        read_at = getattr(os, "pread", None)
        if read_at is not None:
            data: bytes = read_at(handle.fileno(), count, offset)
        else:  # Windows: the file has one position for all threads
            with self._seek:
                handle.seek(offset)
                data = handle.read(count)
        if len(data) < count:
            message = "the file ends before it does"
            raise ValueError(message)
        return data


def tolerant_decoder(page: tifffile.TiffPage) -> Decode:
    """Pixels of a page as tifffile understands them: anything, but no more than belongs into a piece.

    Raises:
        ValueError: nothing of it can be decoded.
    """
    if page.compression in CRASHING:
        message = f"{tifffile.COMPRESSION(page.compression).name} is not read, since damaged data ends the process"
        raise ValueError(message)
    if page.compression == tifffile.COMPRESSION.LZW:
        return _lzw(page)
    tables = _tables(page)
    decode = page.decode  # made here, because several threads must not make it at once
    frame = _frame(page)
    limit = frame.width * frame.height * frame.components

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        if page.compression in JPEGS | JPEG2000S:
            check_bounded(data, limit, is_jpeg=page.compression in JPEGS)
        elif page.compression == tifffile.COMPRESSION.NONE:
            data = data[:limit]  # a view of it is kept
        pixels = decode(data, index, jpegtables=tables)[0]
        if pixels is None:  # tifffile's word for a missing piece
            message = "nothing is stored"
            raise ValueError(message)
        return _as_colour(pixels[0], page)

    return decoded


def strict_decoder(page: tifffile.TiffPage) -> Decode:
    """Pixels of a page's tiles as OpenSlide gives them; what OpenSlide refuses is refused.

    With one known gap: imagecodecs hides libjpeg's warnings, which OpenSlide takes for errors. A JPEG that is cut
    short, blanked or overwritten by some hundred bytes is refused all the same. Where less is wrong within its coded
    pixels, OpenSlide refuses some that pass here with wrong pixels, as most flipped bits pass OpenSlide, too.

    Raises:
        ValueError: nothing of it can be decoded.
    """
    if page.compression == tifffile.COMPRESSION.JPEG:
        return _strict_jpeg(page)
    tolerant = _jpeg2000(page) if page.compression in JPEG2000S else tolerant_decoder(page)
    expected = _frame(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        pixels = tolerant(data, index)
        if pixels.shape[:2] != (expected.height, expected.width):  # tifffile also takes a tile cut to the image
            message = "its pixels do not fill it"
            raise ValueError(message)
        return pixels

    return decoded


def _lzw(page: tifffile.TiffPage) -> Decode:
    if page.predictor not in {1, 2}:
        message = f"predictor {page.predictor} of 8-bit values"
        raise ValueError(message)
    frame = _frame(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        # The last strip has only the rows that are left; a tile is stored whole.
        rows = frame.height if page.is_tiled else min(frame.height, page.imagelength - index * frame.height)
        shape = (rows, frame.width, frame.components)
        pixels = lzw_decode(data, shape, is_differenced=page.predictor == 2, bit_order=page.fillorder)
        return _as_colour(pixels, page)

    return decoded


def _strict_jpeg(page: tifffile.TiffPage) -> Decode:
    tables = _tables(page)
    expected = _frame(page)
    # OpenSlide goes by the TIFF tag, whatever the JPEG's own markers say; Aperio's say nothing.
    colours = {tifffile.PHOTOMETRIC.YCBCR: ("YCBCR", "RGB"), tifffile.PHOTOMETRIC.RGB: ("RGB", "RGB")}
    stored, wanted = colours.get(tifffile.PHOTOMETRIC(page.photometric), ("GRAYSCALE", "GRAYSCALE"))

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:  # noqa: ARG001 - a JPEG does not depend on its place
        check_jpeg(data, expected)
        pixels = imagecodecs.jpeg8_decode(data, tables=tables, colorspace=stored, outcolorspace=wanted)
        # Where libjpeg runs out of data it leaves the rest as it was, without light or colour: half of 255.
        if (pixels[-4:, -4:] == 128).all():
            message = "a JPEG that ends too early"
            raise ValueError(message)
        return _as_colour(pixels.reshape(expected.height, expected.width, -1), page)

    return decoded


def _jpeg2000(page: tifffile.TiffPage) -> Decode:
    expected = _frame(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:  # noqa: ARG001 - as above
        check_jpeg2000(data, expected)
        # Not by tifffile, which refuses chroma of half the width, as Aperio's has.
        pixels: NDArray[np.uint8] = imagecodecs.jpeg2k_decode(data)
        return pixels

    return decoded


def _tables(page: tifffile.TiffPage) -> bytes | None:
    tables: bytes | None = page.jpegtables
    if tables is not None:
        check_tables(tables)
    return tables


def _frame(page: tifffile.TiffPage) -> Frame:
    """The size of the page's pieces."""
    if page.is_tiled:
        return Frame(page.tilewidth, page.tilelength, page.samplesperpixel)
    return Frame(page.imagewidth, min(page.rowsperstrip, page.imagelength), page.samplesperpixel)


def _as_colour(pixels: NDArray[np.uint8], page: tifffile.TiffPage) -> NDArray[np.uint8]:
    """(rows, columns, 1, 3 or 4) as (rows, columns, 1 or 3): darkness as light, transparency over white."""
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = 255 - pixels
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return pixels

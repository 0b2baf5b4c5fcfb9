"""Reading windows of TIFF images from the strips or tiles in which they are stored."""

from __future__ import annotations

import logging
import math
import os
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from signetscan.pixel_cache import PixelCache
from signetscan.slides.averaging import block_means
from signetscan.slides.protocol import Window
from signetscan.slides.tiff_decoders import DECODE_ERRORS, SHRINKS, frame_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import tifffile
    from numpy.typing import NDArray

    from signetscan.slides.tiff_decoders import Decode

    Place = tuple[slice[int, int, None], slice[int, int, None]]
    """Rows and columns."""
    StandIn = Callable[[int, int, tuple[int, int]], Window]
    """Reads blocks of a level by other means: left and top edge in blocks, and width and height."""

CACHE_BYTES = 1 << 28
"""Bytes of decoded pieces that are kept for neighbouring reads: enough for a row of windows 1024 px high on a slide
70,000 px wide, so that the next row finds the pieces that both rows share."""
MOST_AVERAGED = 1 << 24
"""Largest piece that is averaged as a whole, pixels; of larger ones only windows are."""
READ_SLACK = 1 << 16
"""A stored piece may take this many bytes more than twice its pixels; no codec comes near that."""


Block: TypeAlias = tuple[int, int]
"""Width and height of a block, pixels."""

logger = logging.getLogger(__name__)


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
    decode_small: Decode | None = None
    """Decodes a stored piece to pixels of whose sides each is that of 2, 4 or 8; None if the codec cannot."""

    @property
    def across(self) -> int:
        """Pieces in a row."""
        return -(-self.width // self.piece_width)

    @property
    def down(self) -> int:
        """Rows of pieces."""
        return -(-self.height // self.piece_height)

    def needed(self, index: int) -> tuple[int, int]:
        """Rows and columns of a piece that lie within the image."""
        row, column = divmod(index, self.across)
        return (
            min(self.piece_height, self.height - row * self.piece_height),
            min(self.piece_width, self.width - column * self.piece_width),
        )

    def can_shrink(self, shrink: int) -> bool:
        """Whether the codec decodes pieces with sides divided by this number."""
        is_whole = self.piece_width % shrink == 0 and self.piece_height % shrink == 0
        return self.decode_small is not None and shrink in SHRINKS and is_whole

    @property
    def most_bytes(self) -> int:
        """Length of the longest stored piece that is read, bytes."""
        return 2 * self.piece_width * self.piece_height * self.channels + READ_SLACK

    @classmethod
    def of(cls, page: tifffile.TiffPage, decode: Decode, decode_small: Decode | None = None) -> TiffLevel:
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
            decode_small=decode_small,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a window shows of a piece; blocks of the level, from the level's corner."""

    index: int
    """Index of the piece."""
    left: int
    """Left edge of the piece."""
    top: int
    """Its top edge."""
    x0: int
    """Left edge of the part."""
    y0: int
    """Its top edge."""
    x1: int
    """Its right edge."""
    y1: int
    """Its bottom edge."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the part."""
        return self.x1 - self.x0, self.y1 - self.y0

    @property
    def in_piece(self) -> Place:
        """Rows and columns of the part in its piece."""
        return slice(self.y0 - self.top, self.y1 - self.top), slice(self.x0 - self.left, self.x1 - self.left)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A window of a level as blocks of pixels whose grid starts at the level's corner. Made by `of`."""

    x: int
    """Left edge, blocks; may be negative."""
    y: int
    """Top edge."""
    width: int
    """Width, blocks."""
    height: int
    """Height, blocks."""
    block: Block
    """Width and height of a block, pixels of the level."""

    @classmethod
    def of(cls, image: TiffLevel, x: int, y: int, size: tuple[int, int], block: Block) -> Blocks | None:
        """Describe a window; None if blocks do not lie within single pieces, or pieces are too large.

        Args:
            image: the level.
            x: left edge, pixels of the level.
            y: top edge.
            size: width and height, blocks.
            block: width and height of a block, pixels.
        """
        spans = ((image.across, image.piece_width, block[0]), (image.down, image.piece_height, block[1]))
        fits = all(number == 1 or side % step == 0 for number, side, step in spans)
        is_small = image.piece_width * image.piece_height <= MOST_AVERAGED
        if block == (1, 1) or not (fits and is_small) or min(size) < 1 or x % block[0] or y % block[1]:
            return None
        return cls(x // block[0], y // block[1], *size, block)

    def parts(self, image: TiffLevel) -> Iterator[Part]:
        """What the window shows of each piece."""
        right, bottom = (-(-side // step) for side, step in zip((image.width, image.height), self.block, strict=True))
        x0, x1 = max(self.x, 0), min(self.x + self.width, right)
        y0, y1 = max(self.y, 0), min(self.y + self.height, bottom)
        if x0 >= x1 or y0 >= y1:
            return
        width, height = -(-image.piece_width // self.block[0]), -(-image.piece_height // self.block[1])
        for row in range(y0 // height, (y1 - 1) // height + 1):
            for column in range(x0 // width, (x1 - 1) // width + 1):
                left, top = column * width, row * height
                yield Part(
                    index=row * image.across + column,
                    left=left,
                    top=top,
                    x0=max(x0, left),
                    y0=max(y0, top),
                    x1=min(x1, left + width),
                    y1=min(y1, top + height),
                )

    def in_window(self, part: Part) -> Place:
        """Rows and columns of a part in the window."""
        return slice(part.y0 - self.y, part.y1 - self.y), slice(part.x0 - self.x, part.x1 - self.x)


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
        self._cache = PixelCache[tuple[int, int, Block]](CACHE_BYTES)
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
        self._check_open()
        image, blocks = self.levels[level], Blocks(x, y, *size, (1, 1))
        window = np.empty((size[1], size[0], 3), np.uint8)
        if x < 0 or y < 0 or x + size[0] > image.width or y + size[1] > image.height:
            window[:] = background
        parts = list(blocks.parts(image))
        for part in parts:  # check all, so that none is decoded in vain
            self._check_stored(image, part.index)
        for part in parts:
            pixels = self._cache.get((level, part.index, (1, 1)), partial(self._decoded, image, part.index))
            window[blocks.in_window(part)] = pixels[part.in_piece]
        return window

    def read_averaged(
        self,
        level: int,
        blocks: Blocks,
        background: tuple[int, int, int],
        *,
        small: bool = False,
        stand_in: StandIn | None = None,
    ) -> Window:
        """The means of blocks of a level, a pixel for each.

        Args:
            level: index of the level.
            blocks: what to read.
            background: the colour outside the level.
            small: whether pieces may be decoded at a fraction of their size.
            stand_in: reads what is missing or cannot be decoded.

        Raises:
            PieceError: as `read`, if there is no stand-in, or the file is closed.
        """
        self._check_open()
        image, missing = self.levels[level], None
        parts = list(blocks.parts(image))
        window = np.empty((blocks.height, blocks.width, 3), np.uint8)
        if sum(part.size[0] * part.size[1] for part in parts) < blocks.width * blocks.height:
            window[:] = background
        for part in parts:
            key = (level, part.index, blocks.block)
            place = blocks.in_window(part)
            try:
                self._check_stored(image, part.index)
                make = partial(self._averaged, image, part.index, blocks.block, background, small=small)
                window[place] = self._cache.get(key, make)[part.in_piece]
            except PieceError as error:
                if stand_in is None:
                    raise
                logger.debug("level %d is read otherwise at block %d, %d: %s", level, part.x0, part.y0, error)
                other = stand_in(part.x0, part.y0, part.size)
                window[place] = other.pixels
                if other.missing is not None:
                    missing = np.zeros(window.shape[:2], np.bool_) if missing is None else missing
                    missing[place] = other.missing
        return Window(pixels=window, missing=missing)

    def missing(self, level: int, x: int, y: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of a window lie in strips or tiles that the file does not hold, (height, width).

        Args:
            level: index of the level.
            x: left edge, pixels of the level; may be negative.
            y: top edge.
            size: width and height, pixels of the level.
        """
        image, blocks = self.levels[level], Blocks(x, y, *size, (1, 1))
        missing = np.zeros((size[1], size[0]), np.bool_)
        for part in blocks.parts(image):
            if part.index >= len(image.counts) or not image.counts[part.index]:
                missing[blocks.in_window(part)] = True
        return missing

    def small(self, level: int, index: int, shrink: int) -> NDArray[np.uint8]:
        """A piece decoded at a fraction of its size, (rows, columns, 1 or 3), for which `TiffLevel.can_shrink` asks.

        Raises:
            PieceError: it cannot be decoded.
        """
        return self._decoded(self.levels[level], index, shrink)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check_open(self) -> None:
        if self._file.filehandle.closed:  # the cache could still answer
            message = "the file is closed"
            raise PieceError(message)

    def _averaged(
        self, image: TiffLevel, index: int, block: Block, background: tuple[int, int, int], *, small: bool
    ) -> NDArray[np.uint8]:
        """The means of a piece's blocks, (rows, columns, 1 or 3)."""
        rows, columns = image.needed(index)
        beyond = (-rows % block[1], -columns % block[0])
        shrink = math.gcd(*block, SHRINKS[-1])
        if small and beyond == (0, 0) and image.can_shrink(shrink):
            return block_means(self._decoded(image, index, shrink), (block[0] // shrink, block[1] // shrink))
        pixels = self._decoded(image, index)[:rows, :columns]
        if beyond != (0, 0):  # the background enters the means at the level's edge
            padded = np.full((rows + beyond[0], columns + beyond[1], 3), background, np.uint8)
            padded[:rows, :columns] = pixels
            pixels = padded
        return block_means(pixels, block)

    def _check_stored(self, image: TiffLevel, index: int) -> None:
        is_listed = index < min(len(image.offsets), len(image.counts))
        offset, count = (image.offsets[index], image.counts[index]) if is_listed else (0, 0)
        if not count:
            message = f"strip or tile {index} is missing"
            raise PieceError(message)
        if offset < 0 or count > image.most_bytes or offset + count > self._bytes:
            message = f"strip or tile {index} cannot be {count} bytes at offset {offset}, as the directory declares"
            raise PieceError(message)

    def _decoded(self, image: TiffLevel, index: int, shrink: int = 1) -> NDArray[np.uint8]:
        """Decode a piece, (rows, columns, 1 or 3), which must cover at least its part of the level."""
        rows, columns = image.needed(index)
        try:
            data = self._stored(image.offsets[index], image.counts[index])
            small = image.decode_small if shrink > 1 else None
            pixels = image.decode(data, index) if small is None else small(data, shrink)
            if pixels.dtype != np.uint8 or pixels.shape[0] < rows // shrink or pixels.shape[1] < columns // shrink:
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

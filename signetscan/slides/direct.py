"""Reading the tiles of a slide without OpenSlide, if a comparison shows that this gives OpenSlide's pixels.

OpenSlide draws tiles onto a canvas, which takes several times as long as decoding them, and decodes a tile again for
each window that shows it. It remains the authority: it opens the slide and defines its levels, and it reads everything
out of the ordinary, so that filling, interpolation and errors are OpenSlide's.
"""

from __future__ import annotations

import logging
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.slides.averaging import block_means
from signetscan.slides.tiff_decoders import DECODE_ERRORS, JPEG2000S, SHRINKS, small_decoder, strict_decoder
from signetscan.slides.tiff_pixels import Blocks, PieceError, TiffLevel, TiffPixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.slides.protocol import Window

    ReadBlocks = Callable[[tuple[int, int], tuple[int, int]], Window]
    Read = Callable[[tuple[int, int], int, tuple[int, int]], NDArray[np.uint8]]

logger = logging.getLogger(__name__)

VENDORS = ("aperio", "generic-tiff")
"""OpenSlide's formats whose levels are plain tiled TIFF images. In others tiles are shifted, repeated or made up."""
MAX_PAGES = 256
"""A slide with more TIFF images is left to OpenSlide; scanners write a dozen."""
MAX_TILE_SIDE = 4096
"""A slide with larger tiles (pixels) is left to OpenSlide: few of them would fit into the cache."""
BLOCK = 4096
"""OpenSlide draws a larger window (level pixels) in blocks of this side, each from its own level-0 location."""

GREY = ((1, tifffile.PHOTOMETRIC.MINISBLACK), (1, tifffile.PHOTOMETRIC.MINISWHITE))
RGB, YCBCR = (3, tifffile.PHOTOMETRIC.RGB), (3, tifffile.PHOTOMETRIC.YCBCR)
COLOURS: dict[int, tuple[tuple[int, int], ...]] = {
    tifffile.COMPRESSION.NONE: (*GREY, RGB),  # libtiff turns YCbCr into RGB, which tifffile leaves to the caller
    tifffile.COMPRESSION.LZW: (*GREY, RGB),
    tifffile.COMPRESSION.DEFLATE: (*GREY, RGB),
    tifffile.COMPRESSION.ADOBE_DEFLATE: (*GREY, RGB),
    tifffile.COMPRESSION.JPEG: (*GREY, RGB, YCBCR),
    tifffile.COMPRESSION.APERIO_JP2000_YCBC: (RGB, YCBCR),  # both decoders go by the compression alone
    tifffile.COMPRESSION.APERIO_JP2000_RGB: (RGB, YCBCR),
}
"""Channels and photometric interpretations that are read directly, by compression."""
PREDICTABLE = (tifffile.COMPRESSION.LZW, tifffile.COMPRESSION.DEFLATE, tifffile.COMPRESSION.ADOBE_DEFLATE)
"""Compressions with which both decoders support the predictor (differences of neighbouring pixels)."""

TOLERANCE: dict[int, int] = {tifffile.COMPRESSION.APERIO_JP2000_YCBC: 1}
"""Grey levels by which pixels may differ from OpenSlide's, by compression; 0 for any other.

OpenJPEG decodes Aperio's JPEG 2000 in YCbCr for both. But OpenSlide then rounds the three sums that give red, green and
blue, while imagecodecs (OpenJPEG's `sycc_to_rgb`) truncates them: over all 256 x 256 pairs of chroma values the
difference is -1, 0 or 1.
"""

SMALL_TOLERANCE = 1.0
"""Grey levels by which a tile decoded at a fraction of its size may differ on average from the means of its pixels.

Real H&E at JPEG qualities of 30 to 95, with and without subsampled chroma, is .1 to .5 off (the worst tile .51), and
even noise that fills all grey levels .6; 99% of the pixels are at most 2 off, or 3 at quality 30. Other colours, or
other tables, make tens.
"""

ANOTHER_PICTURE = 16
"""Decoders whose pixels differ by more grey levels than this do not merely round in different ways."""

OPEN_ERRORS = (*DECODE_ERRORS, struct.error, AttributeError, AssertionError, ArithmeticError, MemoryError)
"""What tifffile raises on a directory that it does not understand. OpenSlide understands it, so this is no error."""


class NotDirectError(Exception):
    """OpenSlide must read the slide; the message says why."""


class DecodersDifferError(NotDirectError):
    """OpenSlide and tifffile decode a tile to different pictures, of which one is wrong.

    Args:
        level: the tile's level.
        difference: largest difference of two pixels, grey levels.
    """

    def __init__(self, level: int, difference: int) -> None:
        super().__init__(f"pixels of level {level} differ by {difference}")
        self.level, self.difference = level, difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A slide as OpenSlide describes it."""

    path: Path
    """The file."""
    vendor: str
    """The file's format, as OpenSlide names it."""
    dimensions: tuple[tuple[int, int], ...]
    """Width and height of each level, pixels of the level."""
    downsamples: tuple[float, ...]
    """Level-0 pixels per pixel of each level."""
    background: tuple[int, int, int]
    """Colour outside the levels."""


class DirectReader:
    """Reads a slide's pixels by tifffile, from several threads if wanted. Made by `open_direct`."""

    def __init__(self, origin: Origin, pixels: TiffPixels) -> None:
        self._origin = origin
        self._pixels = pixels
        self._usable = tuple(_usable(origin.vendor, pixels.levels))
        self._small: frozenset[int] = frozenset()  # levels whose tiles may be decoded at a fraction of their size

    def read(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """A window as `Slide.read_region` gives it; None if OpenSlide must read it."""
        if not 0 <= level < len(self._usable) or not self._usable[level] or min(size) < 1:
            return None
        downsample = self._origin.downsamples[level]
        x, y = (whole_pixel(*axis, downsample) for axis in zip(location, size, strict=True))
        if x is None or y is None:
            return None
        try:
            return self._pixels.read(level, x, y, size, self._origin.background)
        except PieceError as error:
            logger.debug("%s: level %d at %s is left to OpenSlide: %s", self._origin.path, level, location, error)
            return None

    def read_averaged(
        self,
        location: tuple[int, int],
        level: int,
        size: tuple[int, int],
        block: tuple[int, int],
        by_openslide: ReadBlocks,
    ) -> Window | None:
        """A window as `Slide.read_averaged` gives it; None if that is the mean of what `read_window` gives.

        Args:
            location: left and top edge, level-0 pixels.
            level: index of the level.
            size: width and height, blocks.
            block: width and height of a block, pixels of the level.
            by_openslide: reads what only OpenSlide can: from a location so many blocks. Only the tiles that are missing
                or damaged are read so, and every window that shows them, that a pixel never depends on its window.

        Raises:
            SlideError: `by_openslide` raises it.
        """
        if not 0 <= level < len(self._usable) or not self._usable[level]:
            return None
        downsample = self._origin.downsamples[level]
        x, y = (edge / downsample for edge in location)
        if not (downsample.is_integer() and x.is_integer() and y.is_integer()):
            return None
        blocks = Blocks.of(self._pixels.levels[level], int(x), int(y), size, block)
        if blocks is None:
            return None
        step_x, step_y = (int(downsample) * side for side in block)

        def stand_in(column: int, row: int, part: tuple[int, int]) -> Window:
            return by_openslide((column * step_x, row * step_y), part)

        small = level in self._small
        try:
            return self._pixels.read_averaged(level, blocks, self._origin.background, small=small, stand_in=stand_in)
        except PieceError:  # closed
            return None

    def missing(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Which pixels of a window the directory lists as missing, (height, width); None if that is unknown."""
        if not 0 <= level < len(self._usable) or min(size) < 1:
            return None
        downsample = self._origin.downsamples[level]
        x, y = (whole_pixel(*axis, downsample) for axis in zip(location, size, strict=True))
        return None if x is None or y is None else self._pixels.missing(level, x, y, size)

    def check(self, read: Read, compressions: Sequence[int]) -> None:
        """Compare a few tiles with OpenSlide's, and decide of which levels tiles may be decoded at a fraction.

        Args:
            read: OpenSlide's `Slide.read_region`.
            compressions: compression of each level.

        Raises:
            NotDirectError: a tile differs or cannot be decoded.
            SlideError: `read` raises it.
        """
        for level, compression in enumerate(compressions):
            # A JPEG 2000 tile takes both decoders 5 ms, so levels that are stored like level 0 are not compared again.
            if level > 0 and compression == compressions[0] and compression in JPEG2000S:
                continue
            alike = True
            for index, location, size in self._samples(level):
                pixels = self.read(location, level, size)
                if pixels is None:
                    message = f"a tile of level {level} cannot be decoded"
                    raise NotDirectError(message)
                expected = read(location, level, size)
                difference = np.abs(pixels.astype(np.int16) - expected).max()
                if difference > TOLERANCE.get(compression, 0):
                    if difference > ANOTHER_PICTURE and compression not in TOLERANCE:
                        raise DecodersDifferError(level, int(difference))
                    message = f"pixels of level {level} differ by {difference}"
                    raise NotDirectError(message)
                alike = alike and self._is_alike(level, index, expected)
            if alike:
                self._small |= {level}

    def _is_alike(self, level: int, index: int, expected: NDArray[np.uint8]) -> bool:
        """Whether a tile decoded at each fraction of its size shows the means of OpenSlide's pixels."""
        image = self._pixels.levels[level]
        rows, columns = image.needed(index)
        for shrink in filter(image.can_shrink, SHRINKS):
            try:
                small = self._pixels.small(level, index, shrink)
            except PieceError as error:
                logger.debug("%s: tiles of level %d are decoded whole: %s", self._origin.path, level, error)
                return False
            # At the edge of the level OpenSlide shows the background, and no tile is decoded so that shows a block of
            # both (`TiffPixels.read_averaged`).
            within = (slice(rows // shrink), slice(columns // shrink))
            means = block_means(expected, (shrink, shrink))[within]
            off = np.abs(means.astype(np.int16) - small[within]).mean() if means.size else 0.0
            if off > SMALL_TOLERANCE:
                logger.debug("%s: tiles of level %d at 1/%d are %.1f off", self._origin.path, level, shrink, off)
                return False
        return True

    def close(self) -> None:
        """Close the file."""
        self._pixels.close()

    def _samples(self, level: int) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
        """Index, location and size of tiles to compare: that of most bytes, and the last of level 0, at its edge."""
        if not self._usable[level]:
            return
        image, downsample = self._pixels.levels[level], self._origin.downsamples[level]
        counts = image.counts[: image.across * image.down]
        fullest = counts.index(max(counts))
        for index in dict.fromkeys((fullest, len(counts) - 1) if level == 0 else (fullest,)):
            if not downsample.is_integer():  # only the first tile begins at a whole pixel of both levels
                index = 0  # noqa: PLW2901 - replaces the choice
            if counts[index]:
                row, column = divmod(index, image.across)
                location = (int(column * image.piece_width * downsample), int(row * image.piece_height * downsample))
                yield index, location, (image.piece_width, image.piece_height)


def open_direct(origin: Origin, read: Read) -> DirectReader:
    """Open a slide for direct reading.

    Args:
        origin: the slide.
        read: OpenSlide's `Slide.read_region`, for the comparison.

    Raises:
        NotDirectError: OpenSlide must read the slide.
        SlideError: `read` raises it.
    """
    if origin.vendor not in VENDORS:
        message = f"the format {origin.vendor}"
        raise NotDirectError(message)
    try:
        with ExitStack() as unless_usable:
            file = unless_usable.enter_context(tifffile.TiffFile(origin.path))
            pages = _level_pages(file, origin)
            levels = [TiffLevel.of(page, strict_decoder(page), small_decoder(page)) for page in pages]
            reader = DirectReader(origin, TiffPixels(file, levels))
            reader.check(read, [page.compression for page in pages])
            unless_usable.pop_all()
    except OPEN_ERRORS as error:
        message = f"tifffile cannot read it: {error}"
        raise NotDirectError(message) from error
    return reader


def whole_pixel(location: int, size: int, downsample: float) -> int | None:
    """First pixel of a window along one axis, level pixels; None if OpenSlide would interpolate between pixels.

    Args:
        location: start of the window, level-0 pixels.
        size: length of the window, level pixels.
        downsample: level-0 pixels per level pixel.
    """
    first = location / downsample
    starts = (int(location + block * downsample) / downsample - block for block in range(0, size, BLOCK))
    if not first.is_integer() or any(start != first for start in starts):
        return None
    return int(first)


def _level_pages(file: tifffile.TiffFile, origin: Origin) -> list[tifffile.TiffPage]:
    """The TIFF image of each level, chosen as OpenSlide chooses it.

    Raises:
        NotDirectError: the images do not match the levels, or one is stored in a way that may give other pixels.
    """
    pages = [page for page in islice(file.pages, MAX_PAGES + 1) if isinstance(page, tifffile.TiffPage)]
    if len(pages) > MAX_PAGES:
        message = f"more than {MAX_PAGES} images"
        raise NotDirectError(message)
    tiled = [page for page in pages if page.is_tiled]
    if origin.vendor == "generic-tiff":  # the first image and its smaller copies; Aperio's levels are all tiled images
        tiled = [page for page in tiled if page.index == 0 or (254 in page.tags and page.subfiletype & 1)]
        tiled.sort(key=lambda page: -page.imagewidth)
    sizes = tuple((page.imagewidth, page.imagelength) for page in tiled)
    if sizes != origin.dimensions or len(set(sizes)) < len(sizes):
        message = f"levels {origin.dimensions}, images {sizes}"
        raise NotDirectError(message)
    for level, page in enumerate(tiled):
        _check_storage(level, page)
    return tiled


def _check_storage(level: int, page: tifffile.TiffPage) -> None:
    """Refuse a page unless OpenSlide and tifffile are known to decode it alike.

    Raises:
        NotDirectError: they are not; the message says why.
    """
    checks = {
        "compression or colour": (page.samplesperpixel, page.photometric) in COLOURS.get(page.compression, ()),
        "predictor": page.predictor == 1 or (page.predictor == 2 and page.compression in PREDICTABLE),
        "bits": page.dtype == np.uint8 and page.bitspersample == 8,
        "transparency": not page.extrasamples,
        "planes": page.planarconfig == tifffile.PLANARCONFIG.CONTIG and page.imagedepth == 1 and page.tiledepth == 1,
        "orientation": page.tags.valueof(274, 1) == 1 and page.fillorder == 1,
        "tile size": 0 < page.tilewidth <= MAX_TILE_SIDE and 0 < page.tilelength <= MAX_TILE_SIDE,
    }
    for what, passes in checks.items():
        if not passes:
            message = f"the {what} of level {level}"
            raise NotDirectError(message)


def _usable(vendor: str, levels: Sequence[TiffLevel]) -> Iterator[bool]:
    """Whether each level can be read directly."""
    is_sound = True
    for level in levels:
        counts = level.counts[: level.across * level.down]
        yield is_sound and any(counts)
        # In Aperio's files the tiles over a missing one are often damaged on coarser levels, so OpenSlide ignores them.
        if vendor == "aperio" and not all(counts):
            is_sound = False

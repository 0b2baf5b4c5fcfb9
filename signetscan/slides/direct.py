"""Reading the tiles of a slide without OpenSlide, where that is proven to give OpenSlide's pixels.

OpenSlide draws tiles onto a canvas, which takes several times as long as decoding them, and decodes those that
neighbouring windows share again. It keeps the last word: it opens the slide and says what its levels are, and it reads
whatever is out of the ordinary, so that fill, interpolation and errors are its own.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.slides.tiff_decoders import DECODE_ERRORS, JPEG2000S, strict_decoder
from signetscan.slides.tiff_pixels import PieceError, TiffLevel, TiffPixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Read = Callable[[tuple[int, int], int, tuple[int, int]], NDArray[np.uint8]]

logger = logging.getLogger(__name__)

VENDORS = ("aperio", "generic-tiff")
"""Formats of OpenSlide whose levels are plain tiled TIFF images. Others shift, repeat or invent tiles."""
MAX_PAGES = 256
"""A slide of more TIFF images is left to OpenSlide; scanners write a dozen."""
MAX_TILE_SIDE = 4096
"""A slide of larger tiles (pixels) is left to OpenSlide: windows would not share them well."""
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
    tifffile.COMPRESSION.APERIO_JP2000_YCBC: (RGB, YCBCR),  # both go by the compression alone
    tifffile.COMPRESSION.APERIO_JP2000_RGB: (RGB, YCBCR),
}
"""Channels and photometric interpretations that are read directly, by compression."""
PREDICTABLE = (tifffile.COMPRESSION.LZW, tifffile.COMPRESSION.DEFLATE, tifffile.COMPRESSION.ADOBE_DEFLATE)
"""Compressions with which both subtract neighbouring pixels where the directory says so."""

TOLERANCE: dict[int, int] = {tifffile.COMPRESSION.APERIO_JP2000_YCBC: 1}
"""Grey levels by which pixels may differ from OpenSlide's, by compression; 0 for any other.

Aperio's JPEG 2000 in YCbCr is decoded by OpenJPEG in both, but OpenSlide then rounds the three sums that give red,
green and blue, and imagecodecs (OpenJPEG's `sycc_to_rgb`) cuts them off: over all 256 x 256 pairs of chroma values the
difference is -1, 0 or 1.
"""

OPEN_ERRORS = (*DECODE_ERRORS, struct.error, AttributeError, AssertionError, ArithmeticError, MemoryError)
"""What tifffile raises on a directory that it does not understand. OpenSlide does, so it is no error here."""


class NotDirectError(Exception):
    """The slide is left to OpenSlide; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A slide as OpenSlide sees it."""

    path: Path
    """The file."""
    vendor: str
    """Its format."""
    dimensions: tuple[tuple[int, int], ...]
    """Width and height of each level, its own pixels."""
    downsamples: tuple[float, ...]
    """Level-0 pixels per pixel of each level."""
    background: tuple[int, int, int]
    """Colour outside the levels."""


class DirectReader:
    """The pixels of a slide by tifffile. Safe to read from several threads. Made by `open_direct`."""

    def __init__(self, origin: Origin, pixels: TiffPixels) -> None:
        self._origin = origin
        self._pixels = pixels
        self._usable = tuple(_usable(origin.vendor, pixels.levels))

    def read(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """A window as `Slide.read_region` gives it, or None where OpenSlide must be asked."""
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

    def check(self, read: Read, compressions: Sequence[int]) -> None:
        """Compare some tiles with OpenSlide's.

        Args:
            read: OpenSlide's `Slide.read_region`.
            compressions: how each level is stored.

        Raises:
            NotDirectError: some differ, or cannot be decoded.
            SlideError: from `read`.
        """
        for level, compression in enumerate(compressions):
            # JPEG 2000 takes 5 ms a tile in either way, so levels that are stored alike are compared once.
            if level > 0 and compression == compressions[0] and compression in JPEG2000S:
                continue
            for location, size in self._samples(level):
                own = self.read(location, level, size)
                if own is None:
                    message = f"a tile of level {level} cannot be decoded"
                    raise NotDirectError(message)
                difference = np.abs(own.astype(np.int16) - read(location, level, size)).max()
                if difference > TOLERANCE.get(compression, 0):
                    message = f"pixels of level {level} differ by {difference}"
                    raise NotDirectError(message)

    def close(self) -> None:
        """Close the file."""
        self._pixels.close()

    def _samples(self, level: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Location and size of the tiles to compare: the one with most in it, and the last of level 0, for the edge."""
        if not self._usable[level]:
            return
        image, downsample = self._pixels.levels[level], self._origin.downsamples[level]
        counts = image.counts[: image.across * image.down]
        fullest = counts.index(max(counts))
        for index in dict.fromkeys((fullest, len(counts) - 1) if level == 0 else (fullest,)):
            if not downsample.is_integer():  # no other tile begins at a whole pixel of both
                index = 0  # noqa: PLW2901 - as if it had been chosen
            if counts[index]:
                row, column = divmod(index, image.across)
                location = (int(column * image.piece_width * downsample), int(row * image.piece_height * downsample))
                yield location, (image.piece_width, image.piece_height)


def open_direct(origin: Origin, read: Read) -> DirectReader:
    """Open a slide beside OpenSlide.

    Args:
        origin: the slide.
        read: OpenSlide's `Slide.read_region`, to compare with.

    Raises:
        NotDirectError: the slide is left to OpenSlide.
        SlideError: from `read`.
    """
    if origin.vendor not in VENDORS:
        message = f"the format {origin.vendor}"
        raise NotDirectError(message)
    try:
        file = tifffile.TiffFile(origin.path)
    except OPEN_ERRORS as error:
        message = f"tifffile cannot open it: {error}"
        raise NotDirectError(message) from error
    try:
        pages = _level_pages(file, origin)
        reader = DirectReader(origin, TiffPixels(file, [TiffLevel.of(page, strict_decoder(page)) for page in pages]))
        reader.check(read, [page.compression for page in pages])
    except OPEN_ERRORS as error:
        file.close()
        message = f"tifffile cannot read its directory: {error}"
        raise NotDirectError(message) from error
    except BaseException:
        file.close()
        raise
    return reader


def whole_pixel(location: int, size: int, downsample: float) -> int | None:
    """The first pixel of a window along one axis, level pixels; None where OpenSlide interpolates between pixels.

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
    """The TIFF image of each level, found as OpenSlide finds it.

    Raises:
        NotDirectError: they are not clear, or one is stored in a way that is not known to give the same pixels.
    """
    pages = [page for page in islice(file.pages, MAX_PAGES + 1) if isinstance(page, tifffile.TiffPage)]
    if len(pages) > MAX_PAGES:
        message = f"more than {MAX_PAGES} images"
        raise NotDirectError(message)
    tiled = [page for page in pages if page.is_tiled]
    if origin.vendor == "generic-tiff":  # the first image and all smaller copies; Aperio's are all that are tiled
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
    """Refuse what OpenSlide and tifffile are not known to understand alike.

    Raises:
        NotDirectError: the page is stored in such a way.
    """
    known = {
        "compression or colour": (page.samplesperpixel, page.photometric) in COLOURS.get(page.compression, ()),
        "predictor": page.predictor == 1 or (page.predictor == 2 and page.compression in PREDICTABLE),
        "bits": page.dtype == np.uint8 and page.bitspersample == 8,
        "transparency": not page.extrasamples,
        "planes": page.planarconfig == tifffile.PLANARCONFIG.CONTIG and page.imagedepth == 1 and page.tiledepth == 1,
        "orientation": page.tags.valueof(274, 1) == 1 and page.fillorder == 1,
        "tile size": 0 < page.tilewidth <= MAX_TILE_SIDE and 0 < page.tilelength <= MAX_TILE_SIDE,
    }
    for what, is_known in known.items():
        if not is_known:
            message = f"the {what} of level {level}"
            raise NotDirectError(message)


def _usable(vendor: str, levels: Sequence[TiffLevel]) -> Iterator[bool]:
    """Which levels are read directly."""
    clean = True
    for level in levels:
        counts = level.counts[: level.across * level.down]
        yield clean and any(counts)
        # Aperio's coarser tiles over a missing one are often damaged, so OpenSlide takes them for missing too.
        if vendor == "aperio" and not all(counts):
            clean = False

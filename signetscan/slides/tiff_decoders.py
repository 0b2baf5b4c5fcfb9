"""Decoding the stored bytes of TIFF strips and tiles: strictly, as OpenSlide does, or tolerantly.

The size that the bytes declare is checked before a decoder trusts it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import simplejpeg
import tifffile

from signetscan.slides.codestreams import (
    Frame,
    JpegCheck,
    StoredColours,
    check_bounded,
    check_jpeg2000,
    check_tables,
    only_tables,
    with_tables,
)
from signetscan.slides.lzw import lzw_decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Decode = Callable[[bytes, int], NDArray[np.uint8]]

# The errors raised here say what tifffile logs about a broken file, so its log must not reach the terminal too.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

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
"""What tifffile and codecs raise on data that they cannot decode (imagecodecs' errors are RuntimeErrors)."""

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
SHRINKS = (2, 4, 8)
"""Numbers by which `small_decoder` can divide the sides of a tile."""
CRASHING = {tifffile.COMPRESSION.JPEGXR, tifffile.COMPRESSION.JPEGXR_NDPI}
"""Compressions that imagecodecs cannot decode safely."""


def tolerant_decoder(page: tifffile.TiffPage) -> Decode:
    """A decoder of a page's strips or tiles that accepts all that tifffile does, but no more pixels than fit.

    Raises:
        ValueError: no strip or tile of the page can be decoded.
    """
    if page.compression in CRASHING:
        message = f"{tifffile.COMPRESSION(page.compression).name} is not supported: damaged data would end the process"
        raise ValueError(message)
    if page.compression == tifffile.COMPRESSION.LZW:
        return _lzw(page)
    tables = _tables(page)
    decode = page.decode  # tifffile makes it on first use, which several threads must not do at once
    frame = frame_of(page)
    limit = frame.width * frame.height * frame.components

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        if page.compression in JPEGS | JPEG2000S:
            check_bounded(data, limit, is_jpeg=page.compression in JPEGS)
        elif page.compression == tifffile.COMPRESSION.NONE:
            data = data[:limit]  # the cache keeps the data, of which the pixels are a view
        pixels = decode(data, index, jpegtables=tables)[0]
        if pixels is None:  # how tifffile marks a missing piece
            message = "nothing is stored"
            raise ValueError(message)
        return _as_colour(pixels[0], page)

    return decoded


def strict_decoder(page: tifffile.TiffPage) -> Decode:
    """A decoder of a page's tiles that gives OpenSlide's pixels and refuses what OpenSlide refuses.

    It has one known gap: imagecodecs hides libjpeg's warnings, which OpenSlide treats as errors. A JPEG that is cut
    short, blanked or overwritten over some hundred bytes is refused all the same. If less of its coded pixels is wrong,
    some JPEGs that OpenSlide refuses pass here with wrong pixels; most flipped bits pass OpenSlide, too.

    Raises:
        ValueError: no tile of the page can be decoded.
    """
    if page.compression == tifffile.COMPRESSION.JPEG:
        return _strict_jpeg(page)
    tolerant = _jpeg2000(page) if page.compression in JPEG2000S else tolerant_decoder(page)
    expected = frame_of(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        pixels = tolerant(data, index)
        if pixels.shape[:2] != (expected.height, expected.width):  # tifffile also accepts tiles cut to the image
            message = "it has fewer pixels than a tile"
            raise ValueError(message)
        return pixels

    return decoded


def _lzw(page: tifffile.TiffPage) -> Decode:
    if page.predictor not in {1, 2}:
        message = f"predictor {page.predictor} is not one for 8-bit values"
        raise ValueError(message)
    frame = frame_of(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        # The last strip holds only the remaining rows; tiles are always stored whole.
        rows = frame.height if page.is_tiled else min(frame.height, page.imagelength - index * frame.height)
        shape = (rows, frame.width, frame.components)
        pixels = lzw_decode(data, shape, is_differenced=page.predictor == 2, bit_order=page.fillorder)
        return _as_colour(pixels, page)

    return decoded


def _strict_jpeg(page: tifffile.TiffPage) -> Decode:
    tables = _tables(page)
    expected = frame_of(page)
    check = JpegCheck(expected)
    # OpenSlide goes by the TIFF tag, not by the JPEG's markers, which Aperio's files lack.
    colours = {tifffile.PHOTOMETRIC.YCBCR: ("YCBCR", "RGB"), tifffile.PHOTOMETRIC.RGB: ("RGB", "RGB")}
    stored, wanted = colours.get(tifffile.PHOTOMETRIC(page.photometric), ("GRAYSCALE", "GRAYSCALE"))

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:  # noqa: ARG001 - same signature for all decoders
        check(data)
        pixels = imagecodecs.jpeg8_decode(data, tables=tables, colorspace=stored, outcolorspace=wanted)
        if _ends_grey(pixels, 4):
            message = "a JPEG that ends too early"
            raise ValueError(message)
        return _as_colour(pixels.reshape(expected.height, expected.width, -1), page)

    return decoded


def small_decoder(page: tifffile.TiffPage) -> Decode | None:
    """A decoder of a page's JPEG tiles at 1/2, 1/4 or 1/8 of their size; None for other compressions.

    Each pixel stands for 2, 4 or 8 pixels along each axis, but is made of the coefficients of low frequency, not as
    their mean: `DirectReader.check` compares. It takes a tile and one of `SHRINKS`, by which the tile's sides can be
    divided, and refuses what `strict_decoder` refuses, and all of which libjpeg warns.

    Raises:
        ValueError: no tile of the page can be decoded.
    """
    if page.compression != tifffile.COMPRESSION.JPEG:
        return None
    tables = _tables(page)
    own_tables = b"" if tables is None else only_tables(tables)
    expected = frame_of(page)
    check = JpegCheck(expected)
    # As in _strict_jpeg, the TIFF tag decides.
    marks = {tifffile.PHOTOMETRIC.YCBCR: StoredColours.YCBCR, tifffile.PHOTOMETRIC.RGB: StoredColours.RGB}
    colours = marks.get(tifffile.PHOTOMETRIC(page.photometric))
    wanted = "GRAY" if colours is None else "RGB"

    def decoded(data: bytes, shrink: int) -> NDArray[np.uint8]:
        whole = with_tables(data, check(data), own_tables, colours)
        width, height = expected.width // shrink, expected.height // shrink
        pixels = simplejpeg.decode_jpeg(whole, wanted, min_width=width, min_height=height)
        if pixels.shape[:2] != (height, width) or _ends_grey(pixels, max(4 // shrink, 1)):
            message = "a JPEG that ends too early"
            raise ValueError(message)
        return _as_colour(pixels, page)

    return decoded


def _ends_grey(pixels: NDArray[np.uint8], side: int) -> bool:
    """Whether the last square of a JPEG is mid-grey, as libjpeg leaves it where it runs out of data."""
    return bool((pixels[-side:, -side:] == 128).all())


def _jpeg2000(page: tifffile.TiffPage) -> Decode:
    expected = frame_of(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:  # noqa: ARG001 - as above
        check_jpeg2000(data, expected)
        # Not by tifffile, which refuses subsampled chroma such as Aperio's.
        pixels: NDArray[np.uint8] = imagecodecs.jpeg2k_decode(data)
        return pixels

    return decoded


def _tables(page: tifffile.TiffPage) -> bytes | None:
    tables: bytes | None = page.jpegtables
    if tables is not None:
        check_tables(tables)
    return tables


def frame_of(page: tifffile.TiffPage) -> Frame:
    """Size and channels of a page's strips or tiles."""
    if page.is_tiled:
        return Frame(page.tilewidth, page.tilelength, page.samplesperpixel)
    return Frame(page.imagewidth, min(page.rowsperstrip, page.imagelength), page.samplesperpixel)


def _as_colour(pixels: NDArray[np.uint8], page: tifffile.TiffPage) -> NDArray[np.uint8]:
    """Pixels (rows, columns, 1, 3 or 4) as (rows, columns, 1 or 3): inverted if white is 0, transparency over white."""
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = 255 - pixels
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        return ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return pixels

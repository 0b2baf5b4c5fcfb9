"""Turning the stored bytes of TIFF strips and tiles into pixels: strictly, as OpenSlide does, or tolerantly.

Whatever the bytes say of their own size is checked before a decoder trusts it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import tifffile

from signetscan.slides.codestreams import Frame, check_bounded, check_jpeg, check_jpeg2000, check_tables
from signetscan.slides.lzw import lzw_decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Decode = Callable[[bytes, int], NDArray[np.uint8]]

# What tifffile logs about a broken file is in the error that is raised here; it must not reach the terminal too.
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
    frame = frame_of(page)
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
    expected = frame_of(page)

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
    frame = frame_of(page)

    def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
        # The last strip has only the rows that are left; a tile is stored whole.
        rows = frame.height if page.is_tiled else min(frame.height, page.imagelength - index * frame.height)
        shape = (rows, frame.width, frame.components)
        pixels = lzw_decode(data, shape, is_differenced=page.predictor == 2, bit_order=page.fillorder)
        return _as_colour(pixels, page)

    return decoded


def _strict_jpeg(page: tifffile.TiffPage) -> Decode:
    tables = _tables(page)
    expected = frame_of(page)
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
    expected = frame_of(page)

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


def frame_of(page: tifffile.TiffPage) -> Frame:
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

"""LZW by libtiff, because imagecodecs' decoder reads out of bounds on damaged data, which ends the process."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT, LONG = 3, 4
"""Codes of TIFF's two-byte and four-byte types."""


def lzw_decode(
    data: bytes, shape: tuple[int, int, int], *, is_differenced: bool = False, bit_order: int = 1
) -> NDArray[np.uint8]:
    """Decode a strip or tile of 8-bit values compressed as in TIFF.

    Args:
        data: the stored bytes.
        shape: rows, columns and channels to decode.
        is_differenced: whether each value is the difference from the pixel on its left (predictor 2).
        bit_order: FillOrder of the TIFF file: 1, or 2 where the bits of each byte are stored backwards.

    Returns:
        uint8 of that shape.

    Raises:
        RuntimeError: the data is damaged or too short.
    """
    rows, columns, channels = shape
    # A TIFF file in memory with one strip. It declares a grey image whose rows hold all channels side by side, so that
    # libtiff gives the values as they are.
    tags = (
        (256, LONG, columns * channels),  # width
        (257, LONG, rows),  # height
        (258, SHORT, 8),  # bits of a value
        (259, SHORT, 5),  # LZW
        (262, SHORT, 1),  # grey
        (266, SHORT, bit_order),
        (273, LONG, 8 + 2 + 10 * 12 + 4),  # where the strip begins: after this directory
        (277, SHORT, 1),  # values of a pixel
        (278, LONG, rows),  # rows of the strip
        (279, LONG, len(data)),
    )
    entries = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    directory = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    pixels: NDArray[np.uint8] = imagecodecs.tiff_decode(directory + data).reshape(shape)
    return np.cumsum(pixels, axis=1, dtype=np.uint8) if is_differenced else pixels

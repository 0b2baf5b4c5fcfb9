"""What a TIFF file says of its images, read within bounds before a slide reader opens it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.errors import SlideError
from signetscan.slides.protocol import MAX_SIDE
from signetscan.suffixes import TIFF_SIGNATURES

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

MAX_IMAGES = 1024
"""Most images in a file; a slide has a dozen, a stack of focal planes a hundred. All are read before a slide opens."""
MAX_TAGS = 1 << 16
"""Most tags of all images; an image has some thirty."""
SMALL = 1 << 27
"""Up to so many pixels, an image of any compression is read in seconds."""
PIXELS_PER_BYTE = 10_000
"""No slide has more pixels for each byte of its file: blank glass takes a byte for some hundred pixels."""
FIRST_BYTES = 1 << 16
"""Bytes of the first strip or tile that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffImage:
    """An image of a TIFF file, as its directory describes it."""

    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    is_tiled: bool
    """Whether it is stored in tiles rather than in strips."""
    is_reduced: bool
    """Whether it says of itself that it is a smaller copy of another image."""
    kind: str
    """Type of a channel's values, such as uint8 or float32; empty if there is no such type."""
    bits: int
    """Bits of a channel's values; 0 if channels differ in it."""
    channels: int
    """Stored values per pixel."""
    photometric: int
    """What the channels mean, TIFF's PhotometricInterpretation."""
    compression: int
    """TIFF's Compression."""
    orientation: int
    """TIFF's Orientation: 1 if rows are stored from the top, each from the left."""
    first_piece: bytes
    """The beginning of the first strip or tile that is stored."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.width, self.height

    @property
    def pixels(self) -> int:
        """Its area, pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffHeader:
    """The images of a TIFF file."""

    images: tuple[TiffImage, ...]
    """At least one, in the file's order, without those that hang below others (SubIFDs)."""
    description: str
    """ImageDescription of the first image."""

    @property
    def largest(self) -> TiffImage:
        """The first of the largest images."""
        return max(self.images, key=lambda image: image.pixels)


def is_tiff(path: Path) -> bool:
    """Whether a file begins like a TIFF."""
    with path.open("rb") as file:
        return file.read(4) in TIFF_SIGNATURES


def read_header(path: Path) -> TiffHeader | None:
    """Read the directories of a TIFF file, up to the first that is damaged; None if none can be read.

    Raises:
        SlideError: it claims to be so large, or to hold so many images, that opening it would take minutes or
            gigabytes of memory.
    """
    images: list[TiffImage] = []
    description = ""
    try:
        with tifffile.TiffFile(path) as file:
            tags = 0
            for page in islice(file.pages, MAX_IMAGES + 1):
                if not isinstance(page, tifffile.TiffPage):
                    continue
                tags += len(page.tags)
                if len(images) == MAX_IMAGES or tags > MAX_TAGS:
                    message = f"{path}: a TIFF of more than {MAX_IMAGES} images or {MAX_TAGS} tags, which is no slide"
                    raise SlideError(message)
                _check_size(page, path)
                description = description or page.description
                images.append(_image(page, file))
    except SlideError:
        raise
    except Exception:  # the slide boundary: damaged in any way; the slide reader that opens it next says how
        logger.debug("%s: its directories cannot be read", path, exc_info=True)
    return TiffHeader(images=tuple(images), description=description) if images else None


def _check_size(page: tifffile.TiffPage, path: Path) -> None:
    width: object = page.imagewidth
    height: object = page.imagelength
    # A tag whose count is damaged is several numbers.
    if not (isinstance(width, int) and isinstance(height, int)) or max(width, height) > MAX_SIDE:
        message = f"{path}: its header declares {width} x {height} px, more than any slide has; the file is damaged"
        raise SlideError(message)
    stored = path.stat().st_size
    if width * height > max(SMALL, stored * PIXELS_PER_BYTE):
        message = f"{path}: its {stored:,} bytes cannot hold the {width} x {height} px of its header; copy it again"
        raise SlideError(message)


def _image(page: tifffile.TiffPage, file: tifffile.TiffFile) -> TiffImage:
    bits: object = page.bitspersample
    return TiffImage(
        width=page.imagewidth,
        height=page.imagelength,
        is_tiled=page.is_tiled,
        is_reduced=bool(page.subfiletype & 1),
        kind="" if page.dtype is None else np.dtype(page.dtype).name,
        bits=bits if isinstance(bits, int) else 0,
        channels=page.samplesperpixel,
        photometric=int(page.photometric),
        compression=int(page.compression),
        orientation=int(page.tags.valueof(274, 1)),
        first_piece=_first_piece(page, file),
    )


def _first_piece(page: tifffile.TiffPage, file: tifffile.TiffFile) -> bytes:
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count > 0:
            file.filehandle.seek(offset)
            data: bytes = file.filehandle.read(min(count, FIRST_BYTES))
            return data
    return b""

"""What the header of an image in DICOM says, checked before anything depends on it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.errors import BytesLengthException, InvalidDicomError

from signetscan.errors import SlideError
from signetscan.plurals import counted
from signetscan.slides.codestreams import (
    Frame,
    JpegCheck,
    check_jpeg2000,
    check_size,
    jpeg_frame,
)
from signetscan.slides.mpp import size_claim
from signetscan.slides.protocol import MAX_SIDE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom import Dataset

    from signetscan.slides.mpp import Claim

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""UID of the class of whole-slide images."""
HEADER_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    EOFError,
)
"""What pydicom raises on headers that it cannot read, when they are read and when one of their values is asked for."""
VOLUME = "VOLUME"
"""What the third value of ImageType calls a level, as opposed to a label, an overview or a thumbnail."""
MOST_TILES = 1 << 22
"""Most tiles of an image: a level of the largest side has 4 million tiles of 512 px, and no scanner's comes near."""
MOST_TILE_PIXELS = 1 << 26
"""Largest tile, pixels; the strips of plain images are no larger."""
TILE_SLACK = 1 << 16
"""A stored tile may take this many bytes more than twice its pixels; no codec comes near that."""
RGB = "RGB"

PREFIX = "1.2.840.10008.1.2"
NATIVE = frozenset({PREFIX, f"{PREFIX}.1"})
"""Transfer syntaxes of pixels that are not compressed."""
DEFLATED = f"{PREFIX}.1.99"
"""Transfer syntax of files that are compressed as a whole."""
JPEG = f"{PREFIX}.4.50"
JPEG_LOSSLESS = frozenset({f"{PREFIX}.4.57", f"{PREFIX}.4.70"})
JPEG_LS = frozenset({f"{PREFIX}.4.80", f"{PREFIX}.4.81"})
JPEG_2000 = frozenset(f"{PREFIX}.4.{number}" for number in (90, 91, 201, 202, 203))
"""JPEG 2000, and the same in high throughput."""
RLE = f"{PREFIX}.5"
READ_SYNTAXES = NATIVE | JPEG_LOSSLESS | JPEG_LS | JPEG_2000 | {JPEG, RLE}
"""Transfer syntaxes that are read."""
COLOURS: tuple[tuple[str, frozenset[str]], ...] = (
    (RGB, READ_SYNTAXES),
    ("YBR_FULL", frozenset({JPEG})),
    ("YBR_FULL_422", frozenset({JPEG})),
    ("YBR_ICT", JPEG_2000),
    ("YBR_RCT", JPEG_2000),
)
"""Photometric interpretations that are read, each with the transfer syntaxes whose decoders turn it into RGB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """An image of a series, or a part of one that is stored as a concatenation."""

    series: str
    """UID of the series."""
    instance: str
    """UID of this instance."""
    whole: str
    """UID that all parts of a concatenation share; that of the instance if it is no part."""
    width: int
    """Width of the level, pixels."""
    height: int
    """Height, pixels."""
    tile_width: int
    """Width of a tile, pixels."""
    tile_height: int
    """Height of a tile, pixels."""
    frames: int
    """Tiles that are stored here."""
    first_frame: int
    """Number of the first of them among all parts of a concatenation; 0 if it is no part."""
    parts: int
    """Number of parts of the concatenation; 1 if it is none, or does not say it."""
    is_full: bool
    """Whether all tiles are stored, row by row; else each says where it lies, and some may be missing."""
    syntax: str
    """UID of the transfer syntax, in which tiles are stored."""
    colours: str
    """Photometric interpretation."""
    derivation: str
    """How the pixels came about, such as RESAMPLED; empty if it is not said."""
    size: Claim | None
    """Size of a pixel of this level, µm; None if it is not said."""
    magnification: float | None
    """Magnification of the objective; None if it is not said."""

    @property
    def tiles(self) -> tuple[int, int]:
        """Columns and rows of tiles."""
        return -(-self.width // self.tile_width), -(-self.height // self.tile_height)

    @property
    def tile_bytes(self) -> int:
        """Bytes of a decoded tile."""
        return self.tile_width * self.tile_height * 3

    @property
    def most_stored(self) -> int:
        """Most bytes that a stored tile may take."""
        return 2 * self.tile_bytes + TILE_SLACK


def is_level(attributes: Dataset) -> bool:
    """Whether an instance is a level of a whole-slide image, and no label, overview, thumbnail or other object."""
    return str(attributes.get("SOPClassUID", "")) == WHOLE_SLIDE and _image_type(attributes)[2:3] == [VOLUME]


def read_image_header(attributes: Dataset, syntax: str, where: str) -> ImageHeader:
    """Check what an image says of itself.

    Args:
        attributes: those of a level, without pixels and without what they say of single tiles.
        syntax: UID of the transfer syntax in which its tiles are read.
        where: the file or address, for messages.

    Raises:
        SlideError: it cannot be read, or not rightly.
    """
    try:
        header = _header(attributes, syntax)
        why = _unread_pixels(attributes, header) or _impossible(header)
    except HEADER_ERRORS as error:
        # The error's text is left out: it may quote a value of the patient.
        message = f"{where}: a DICOM image whose header lacks what it must say, or is damaged; copy or export it again"
        raise SlideError(message) from error
    if why:
        message = f"{where}: a DICOM image {why}"
        raise SlideError(message)
    return header


def frame_check(header: ImageHeader) -> Callable[[bytes], object]:
    """What refuses a stored tile that is not of the size that its header declares, with a ValueError."""
    expected = Frame(header.tile_width, header.tile_height, 3)
    if header.syntax == JPEG:
        return JpegCheck(expected)
    if header.syntax in JPEG_2000:
        return lambda data: check_jpeg2000(data, expected)
    if header.syntax in JPEG_LOSSLESS | JPEG_LS:
        return lambda data: check_size(jpeg_frame(data), expected)
    return len  # native tiles are counted when they are decoded, and RLE expands by a bounded factor


def _header(attributes: Dataset, syntax: str) -> ImageHeader:
    instance = _uid(attributes.SOPInstanceUID)
    whole = _uid(attributes.get("SOPInstanceUIDOfConcatenationSource") or instance)
    kinds = _image_type(attributes)
    return ImageHeader(
        series=_uid(attributes.SeriesInstanceUID),
        instance=instance,
        whole=whole,
        width=int(attributes.TotalPixelMatrixColumns),
        height=int(attributes.TotalPixelMatrixRows),
        tile_width=int(attributes.Columns),
        tile_height=int(attributes.Rows),
        frames=int(attributes.get("NumberOfFrames") or 1),
        first_frame=0 if whole == instance else int(attributes.ConcatenationFrameOffsetNumber),
        parts=int(attributes.get("InConcatenationTotalNumber") or 1),
        is_full=str(attributes.get("DimensionOrganizationType", "")) == "TILED_FULL",
        syntax=syntax,
        colours=str(attributes.PhotometricInterpretation),
        derivation=kinds[3] if len(kinds) > 3 else "",
        size=_pixel_size(attributes),
        magnification=_magnification(attributes),
    )


def _uid(value: object) -> str:
    """A UID, checked because it becomes part of addresses and names.

    Raises:
        ValueError: it is none.
    """
    text = str(value)
    if not re.fullmatch(r"[0-9.]{1,64}", text):
        message = "a UID of other characters"
        raise ValueError(message)
    return text


def _image_type(attributes: Dataset) -> list[str]:
    values = attributes.get("ImageType") or []
    return [values] if isinstance(values, str) else [str(value) for value in values]


def _pixel_size(attributes: Dataset) -> Claim | None:
    shared = attributes.get("SharedFunctionalGroupsSequence") or [{}]
    measures = shared[0].get("PixelMeasuresSequence") or [{}]
    spacing = measures[0].get("PixelSpacing")
    if spacing is None or isinstance(spacing, str) or len(spacing) != 2:
        return None
    down, across = (float(mm) * 1000 for mm in spacing)
    return size_claim(across, down)


def _magnification(attributes: Dataset) -> float | None:
    paths = attributes.get("OpticalPathSequence") or [{}]
    power = paths[0].get("ObjectiveLensPower")
    return float(power) if power is not None and str(power) else None


def _unread_pixels(attributes: Dataset, header: ImageHeader) -> str:
    """Why pixels stored in this way are not read, and what to do; empty if they are."""
    planes = int(attributes.get("TotalPixelMatrixFocalPlanes") or 1)
    paths = max(int(attributes.get("NumberOfOpticalPaths") or 1), len(attributes.get("OpticalPathSequence") or ()))
    channels = int(attributes.get("SamplesPerPixel") or 0)
    depth = int(attributes.get("BitsAllocated") or 8), int(attributes.get("BitsStored") or 0)
    if channels != 3 or paths != 1:
        return (
            f"of {counted(channels, 'channel')} and {counted(paths, 'optical path')}, as in fluorescence; only colour "
            "images of bright field are read"
        )
    if depth != (8, 8) or int(attributes.get("PixelRepresentation") or 0) != 0:
        return "not of 8 bits per channel; export it as 8-bit RGB"
    if planes != 1:
        return f"that is a z-stack of {planes} focal planes. Export one of the planes"
    is_planar = header.syntax in NATIVE and int(attributes.get("PlanarConfiguration") or 0) != 0
    if is_planar or header.syntax not in dict(COLOURS).get(header.colours, ()):
        how = f"{header.colours[:16]} in {'planes of ' if is_planar else ''}transfer syntax {header.syntax[:64]}"
        return f"stored as {how}, which is not read; export it as JPEG or JPEG 2000"
    return ""


def _impossible(header: ImageHeader) -> str:
    """Which numbers cannot be right; empty if all can."""
    sides = (header.width, header.height, header.tile_width, header.tile_height)
    tiles = f"in tiles of {header.tile_width} x {header.tile_height} px"
    if not all(0 < side <= MAX_SIDE for side in sides):
        return f"of {header.width} x {header.height} px {tiles}, as no slide has; the file is damaged"
    columns, rows = header.tiles
    if columns * rows > MOST_TILES or header.tile_width * header.tile_height > MOST_TILE_PIXELS:
        return f"of {header.width} x {header.height} px {tiles}, more or larger ones than any slide has"
    if not 0 < header.frames <= columns * rows or not 0 <= header.first_frame < columns * rows:
        return f"of {columns * rows} tiles that says that it has {header.frames}; the file is damaged"
    return ""

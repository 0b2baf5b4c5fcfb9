"""What is suspicious about a DICOM slide, as far as its header and the header of its first frame tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.slides.codestreams import StoredColours, has_colour_transform, jpeg_colours
from signetscan.slides.concerns import Concern, ConcernKind, colours_disagree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HEADER_BYTES = 1 << 26
"""Bytes in which the first frame is looked for: a slide's list of frames takes some megabytes at most."""
BLOCK_BYTES = 1 << 20
"""Bytes that are read at once."""
PIXEL_DATA = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
"""Tag, type and length of encapsulated pixels; their offset table follows, and then the frames."""
ITEM = b"\xfe\xff\x00\xe0"
"""Tag of an item: the offset table, or a frame."""
TRANSFORMED = ("YBR_ICT", "YBR_RCT")
"""Photometric interpretations of JPEG 2000 whose codestreams undo the transform themselves."""
FRAME_BYTES = 1 << 16
"""Bytes of the first frame that are looked at."""


def dicom_concerns(properties: Mapping[str, str], path: Path) -> tuple[Concern, ...]:
    """What is suspicious about a DICOM slide.

    Args:
        properties: of OpenSlide, for level 0.
        path: one of the slide's files.
    """
    said = properties.get("dicom.PhotometricInterpretation", "")
    return series_concerns(properties.get("dicom.ImageType[3]", ""), said, first_frame(path))


def series_concerns(derivation: str, said: str, frame: bytes) -> tuple[Concern, ...]:
    """What is suspicious about a series.

    Args:
        derivation: how the pixels of its largest level came about, by the fourth value of its ImageType.
        said: the PhotometricInterpretation of that level.
        frame: its first frame, or the beginning of it; empty if it is not compressed.
    """
    return tuple(_concerns(derivation, said, frame))


def explained(error: str) -> str:
    """OpenSlide's reason to refuse a DICOM slide, in words of the user if it has them."""
    _, found, planes = error.partition("TotalPixelMatrixFocalPlanes value ")
    if not found:
        return error
    return f"it is a z-stack of {planes.split()[0]} focal planes. Export one of the planes"


def _concerns(derivation: str, said: str, frame: bytes) -> Iterator[Concern]:
    if derivation == "RESAMPLED":
        message = (
            "the largest level at hand is RESAMPLED, thus a smaller copy: the file of the base level is missing, and "
            "the slide will be scanned with less detail; copy all files of its series"
        )
        yield Concern(kind=ConcernKind.PICTURE, message=message)
    yield from _false_colours(said, frame)


def _false_colours(said: str, frame: bytes) -> Iterator[Concern]:
    if said in TRANSFORMED and has_colour_transform(frame) is False:
        yield colours_disagree(said, "that they are not transformed")
    declared = StoredColours.YCBCR if said.startswith("YBR_") else StoredColours.RGB if said == "RGB" else None
    stored = jpeg_colours(frame)
    if declared is not None and stored is not None and declared is not stored:
        yield colours_disagree(declared, stored)


def first_frame(path: Path) -> bytes:
    """The beginning of a DICOM file's first frame; empty if its pixels are not encapsulated, or lie too far behind."""
    with path.open("rb") as file:
        start, tail = 0, b""
        while start < HEADER_BYTES:
            block = file.read(BLOCK_BYTES)
            if not block:
                return b""
            found = (tail + block).find(PIXEL_DATA)
            if found >= 0:
                file.seek(start - len(tail) + found + len(PIXEL_DATA))
                break
            start += len(block)
            tail = block[-len(PIXEL_DATA) + 1 :]
        else:
            return b""
        table = file.read(8)
        if table[:4] != ITEM:
            return b""
        file.seek(int.from_bytes(table[4:], "little"), 1)
        frame = file.read(8)
        if frame[:4] != ITEM:
            return b""
        return file.read(min(int.from_bytes(frame[4:], "little"), FRAME_BYTES))

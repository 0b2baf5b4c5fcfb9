"""The images of a DICOM series as the levels of a slide, decoded by wsidicom."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from pydicom.uid import UID
from wsidicom.codec import Decoder
from wsidicom.errors import (
    WsiDicomError,
    WsiDicomFileError,
    WsiDicomNotFoundError,
    WsiDicomNotSupportedError,
    WsiDicomOutOfBoundsError,
)
from wsidicom.geometry import Size
from wsidicom.instance.tile_index.sparse_tile_index import SparseTileIndex

from signetscan.errors import SlideError
from signetscan.plurals import counted
from signetscan.slides.dicom_checks import series_concerns
from signetscan.slides.dicom_header import HEADER_ERRORS, NATIVE, ImageHeader, frame_check
from signetscan.slides.mpp import SizeClaims
from signetscan.slides.tiff_decoders import DECODE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from wsidicom.instance import WsiDataset

    from signetscan.slides.concerns import Concern

    ReadStored: TypeAlias = Callable[[Sequence[int]], list[bytes]]
    """Gives stored tiles by their numbers, in the order of these."""

# The errors raised here say what wsidicom logs about a broken file, so its log must not reach the terminal too.
logging.getLogger("wsidicom").addHandler(logging.NullHandler())

SAME_SHAPE = 1.25
"""Proportions of levels that differ by this factor are those of another picture."""
WSIDICOM_ERRORS = (
    WsiDicomError,
    WsiDicomFileError,
    WsiDicomNotFoundError,
    WsiDicomNotSupportedError,
    WsiDicomOutOfBoundsError,
)
READ_ERRORS = (*DECODE_ERRORS, *HEADER_ERRORS, *WSIDICOM_ERRORS)
"""What pydicom, wsidicom and codecs raise on data that they cannot read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DicomImage:
    """An instance of a series, and the way to its tiles."""

    header: ImageHeader
    """What it says of itself."""
    dataset: WsiDataset
    """The same as wsidicom reads it: asked where the tiles lie."""
    read: ReadStored
    """Gives stored tiles by their numbers, counted over all parts of a concatenation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DicomLevel:
    """A level, stored in tiles."""

    header: ImageHeader
    """What its image says; of a concatenation, the first part."""
    numbers: NDArray[np.int64]
    """Number of the stored tile at each place, (rows, columns); -1 where none is stored."""
    read: ReadStored
    """Gives stored tiles by their numbers."""
    decode: Callable[[bytes], NDArray[np.uint8]]
    """Makes pixels of a stored tile, uint8 (tile height, tile width, 3); raises one of `READ_ERRORS`."""

    def stored(self, places: Sequence[tuple[int, int]]) -> list[bytes]:
        """Tiles as they are stored, by their rows and columns; all of them are.

        Raises:
            ValueError: one is too large for its pixels; as the other errors of `READ_ERRORS`, it says what is wrong.
        """
        found = self.read([int(self.numbers[place]) for place in places])
        longest = max(map(len, found), default=0)
        if longest > self.header.most_stored:
            message = f"it takes {longest} bytes, too many for its size"
            raise ValueError(message)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DicomLevels:
    """A series as a pyramid."""

    series: str
    """UID of the series."""
    levels: tuple[DicomLevel, ...]
    """Its levels, largest first."""
    said: SizeClaims
    """What it says of the size of its pixels."""
    concerns: tuple[Concern, ...]
    """What is suspicious about it."""

    @property
    def largest(self) -> ImageHeader:
        """What level 0 says of itself."""
        return self.levels[0].header


def assembled(images: Sequence[DicomImage], where: str) -> DicomLevels:
    """Put the images of a series together.

    Args:
        images: the levels, and the parts of those that are concatenations.
        where: the file or address, for messages.

    Raises:
        SlideError: they do not make up a slide.
    """
    wholes: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        wholes[image.header.whole].append(image)
    levels = sorted((_level(parts, where) for parts in wholes.values()), key=lambda level: -level.header.width)
    if not levels:
        message = f"{where}: a DICOM series without a level of a slide, such as only a label or an overview"
        raise SlideError(message)
    _check_levels(levels, where)
    first = levels[0]
    try:
        row, column = np.argwhere(first.numbers >= 0)[0]
        (frame,) = first.stored([(int(row), int(column))])
    except READ_ERRORS as error:
        message = f"{where}: its first tile cannot be read; the file is damaged or cut short: copy it again"
        raise SlideError(message) from error
    header = first.header
    return DicomLevels(
        series=header.series,
        levels=tuple(levels),
        said=SizeClaims(claims=() if header.size is None else (header.size,), magnification=header.magnification),
        concerns=series_concerns(header.derivation, header.colours, frame if header.syntax not in NATIVE else b""),
    )


def _check_levels(levels: Sequence[DicomLevel], where: str) -> None:
    """Refuse levels that are not copies of one picture, each smaller than the one before."""
    first = levels[0].header
    for before, level in pairwise(levels):
        larger, smaller = before.header, level.header
        if (larger.width, larger.height) == (smaller.width, smaller.height):
            message = (
                f"{where}: two images of {larger.width} x {larger.height} px in one DICOM series, such as two focal "
                "planes, optical paths or copies; export one of them"
            )
            raise SlideError(message)
        shape = (first.width / smaller.width) / (first.height / smaller.height)
        if not 1 / SAME_SHAPE < shape < SAME_SHAPE or smaller.height > larger.height:
            message = (
                f"{where}: its levels of {first.width} x {first.height} and {smaller.width} x {smaller.height} px are "
                "not of one shape; export the slide again"
            )
            raise SlideError(message)


def _level(parts: Sequence[DicomImage], where: str) -> DicomLevel:
    """Put the parts of an image together, most often one."""
    ordered = sorted(parts, key=lambda part: part.header.first_frame)
    header = ordered[0].header
    _check_parts(ordered, where)
    try:
        numbers = _numbers(ordered)
        decode = _decoder(header)
    except READ_ERRORS as error:
        message = f"{where}: a DICOM image that does not say where its tiles lie, or wrongly; export it again"
        raise SlideError(message) from error
    return DicomLevel(header=header, numbers=numbers, read=_reader(ordered), decode=decode)


def _check_parts(ordered: Sequence[DicomImage], where: str) -> None:
    """Refuse parts of a concatenation that are not of one image, or not all of it."""
    header, stored = ordered[0].header, 0
    for part in ordered:
        same = replace(
            part.header,
            instance=header.instance,
            frames=header.frames,
            first_frame=header.first_frame,
            size=header.size,
        )
        if same != header:
            message = f"{where}: a DICOM image in parts that are stored in different ways; export it again"
            raise SlideError(message)
        if part.header.first_frame != stored:
            break
        stored += part.header.frames
    else:
        columns, rows = header.tiles
        if stored == columns * rows or (not header.is_full and len(ordered) >= header.parts):
            return
    total = f" of {header.tiles[0] * header.tiles[1]}" if header.is_full else ""
    message = (
        f"{where}: of a DICOM image of {header.width} x {header.height} px, only {counted(stored, 'tile')}{total} are "
        "here in order; a file of the series is missing, or twice there: copy all its files, each once"
    )
    raise SlideError(message)


def _numbers(ordered: Sequence[DicomImage]) -> NDArray[np.int64]:
    """The number of the stored tile at each place, (rows, columns)."""
    header = ordered[0].header
    columns, rows = header.tiles
    if header.is_full:
        return np.arange(columns * rows, dtype=np.int64).reshape(rows, columns)
    datasets = [part.dataset for part in ordered]
    for dataset in datasets:
        positions = dataset.frame_positions
        off_grid = (positions.columns - 1) % header.tile_width, (positions.rows - 1) % header.tile_height
        if np.any(off_grid):
            message = "tiles that are not on a grid"
            raise ValueError(message)
    planes = list(SparseTileIndex(datasets).planes.values())
    if len(planes) != 1:
        message = f"{len(planes)} focal planes or optical paths"
        raise ValueError(message)
    return np.asarray(planes[0].plane.T, np.int64)


def _reader(ordered: Sequence[DicomImage]) -> ReadStored:
    """Reads tiles from the parts that hold them."""
    if len(ordered) == 1:
        return ordered[0].read
    starts = [part.header.first_frame for part in ordered]

    def read(numbers: Sequence[int]) -> list[bytes]:
        runs = groupby(numbers, lambda number: bisect_right(starts, number) - 1)
        return [data for part, run in runs for data in ordered[part].read(list(run))]

    return read


def _decoder(header: ImageHeader) -> Callable[[bytes], NDArray[np.uint8]]:
    """Decodes tiles, after their headers have been checked."""
    shape = (header.tile_height, header.tile_width, 3)
    if header.syntax in NATIVE:  # wsidicom's decoder of these holds a state that threads would share
        return lambda data: np.frombuffer(data, np.uint8, header.tile_bytes).reshape(shape)
    size = Size(header.tile_width, header.tile_height)
    decoder, check = Decoder.create(UID(header.syntax), 3, 8, size, header.colours), frame_check(header)

    def decode(data: bytes) -> NDArray[np.uint8]:
        check(data)
        pixels = np.asarray(decoder.decode(data))
        if pixels.dtype != np.uint8 or pixels.shape != shape:
            message = f"it decodes to {pixels.dtype} {pixels.shape}"
            raise ValueError(message)
        return pixels

    return decode

"""DICOM slides that OpenSlide refuses, such as those in JPEG-LS or RLE, read tile by tile."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import SlideError
from signetscan.pixel_cache import PixelCache
from signetscan.slides.averaging import averaged
from signetscan.slides.dicom_levels import READ_ERRORS
from signetscan.slides.protocol import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.slides.concerns import Concern
    from signetscan.slides.dicom_levels import DicomLevel, DicomLevels

    Place = tuple[int, int]
    """Row and column of a tile."""

CACHE_BYTES = 1 << 28
"""Bytes of decoded tiles that are kept for neighbouring reads, as of TIFFs."""
AT_ONCE = 16
"""Tiles of an archive that are asked for by one request: a window of 1024 px has as many, if they are of 256 px."""
WHITE = 255


class DicomSlide:
    """A series of a DICOM slide as wsidicom reads it.

    Args:
        pyramid: its levels.
        name: name used in messages and results.
        where: the file or address, for messages.
        fingerprint: a text that identifies the content.
        release: called once when the slide is closed.
        readers: asks for several tiles at once, where they come from an archive; None reads them from files.
    """

    format_name = "dicom"

    def __init__(
        self,
        pyramid: DicomLevels,
        *,
        name: str,
        where: str,
        fingerprint: str,
        release: Callable[[], None],
        readers: Executor | None = None,
    ) -> None:
        self._levels = pyramid.levels
        self._where = where
        self._release = release
        self._readers = readers
        self._cache = PixelCache[tuple[int, int, int]](CACHE_BYTES)
        self._is_open = True
        self._closing = threading.Lock()
        self.name = name
        self.fingerprint = fingerprint
        self.said = pyramid.said
        self.mpp = self.said.mpp
        self.bounds = None
        self.concerns: tuple[Concern, ...] = pyramid.concerns

    @property
    def decoder(self) -> str:
        """What decodes the pixels."""
        return "wsidicom"

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height, level-0 pixels."""
        return self.level_dimensions[0]

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level."""
        return tuple((level.header.width, level.header.height) for level in self._levels)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""
        width, height = self.dimensions
        return tuple((width / w + height / h) / 2 for w, h in self.level_dimensions)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels; white outside the slide and where no tile is stored. See `Slide.read_region`."""
        return self.read_window(location, level, size).pixels

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read pixels, and learn where no tile is stored. See `Slide.read_window`."""
        if not self._is_open:  # the cache could still answer
            message = f"{self._where}: the slide is closed"
            raise SlideError(message)
        shown = self._levels[level]
        x, y = (round(edge / self.level_downsamples[level]) for edge in location)
        pixels, missing = np.full((size[1], size[0], 3), WHITE, np.uint8), None
        stored: list[Place] = []
        for row, column in _places(shown, x, y, size):
            if shown.numbers[row, column] >= 0:
                stored.append((row, column))
                continue
            missing = np.zeros((size[1], size[0]), np.bool_) if missing is None else missing
            in_window, _ = _overlap(shown, (row, column), x, y, size)
            missing[in_window] = True
        for place, tile in zip(stored, self._tiles(level, stored), strict=True):
            in_window, in_tile = _overlap(shown, place, x, y, size)
            pixels[in_window] = tile[in_tile]
        return Window(pixels=pixels, missing=missing)

    def read_averaged(
        self, location: tuple[int, int], level: int, size: tuple[int, int], block: tuple[int, int]
    ) -> Window:
        """Read the means of blocks of pixels. See `Slide.read_averaged`."""
        return averaged(self.read_window(location, level, (size[0] * block[0], size[1] * block[1])), block)

    def close(self) -> None:
        """Close the files or the connection."""
        with self._closing:
            if self._is_open:
                self._is_open = False
                if self._readers is not None:
                    self._readers.shutdown(cancel_futures=True)
                self._release()

    def _tiles(self, level: int, places: Sequence[Place]) -> Iterator[NDArray[np.uint8]]:
        """Decoded tiles. Of an archive, those that are not kept are asked for many at once.

        Raises:
            SlideError: one cannot be read.
        """
        fetched: dict[Place, bytes] = {}
        if self._readers is not None:
            absent = [place for place in places if not self._cache.has((level, *place))]
            groups = [absent[start : start + AT_ONCE] for start in range(0, len(absent), AT_ONCE)]
            for group, found in zip(groups, self._readers.map(partial(self._stored, level), groups), strict=True):
                fetched.update(zip(group, found, strict=True))
        for place in places:
            yield self._tile(level, place, fetched.get(place))

    def _tile(self, level: int, place: Place, stored: bytes | None) -> NDArray[np.uint8]:
        """A decoded tile, made of its stored bytes if they are at hand."""

        def make() -> NDArray[np.uint8]:
            return self._levels[level].decode(self._stored(level, [place])[0] if stored is None else stored)

        try:
            return self._cache.get((level, *place), make)
        except READ_ERRORS as error:
            raise self._unread(level, place, error) from error

    def _stored(self, level: int, places: Sequence[Place]) -> list[bytes]:
        try:
            return self._levels[level].stored(places)
        except READ_ERRORS as error:
            raise self._unread(level, places[0], error) from error

    def _unread(self, level: int, place: Place, error: Exception) -> SlideError:
        return SlideError(
            f"{self._where}: cannot decode the tile in row {place[0]}, column {place[1]} of level {level}: {error}. "
            "The slide is damaged or cut short: copy or export it again"
        )

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the slide."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the slide."""
        self.close()


def _places(level: DicomLevel, x: int, y: int, size: tuple[int, int]) -> Iterator[Place]:
    """Rows and columns of the tiles that a window touches, within the level."""
    header = level.header
    right, bottom = min(x + size[0], header.width), min(y + size[1], header.height)
    if right <= max(x, 0) or bottom <= max(y, 0):
        return
    for row in range(max(y, 0) // header.tile_height, (bottom - 1) // header.tile_height + 1):
        for column in range(max(x, 0) // header.tile_width, (right - 1) // header.tile_width + 1):
            yield row, column


def _overlap(
    level: DicomLevel, place: Place, x: int, y: int, size: tuple[int, int]
) -> tuple[tuple[slice[int, int, None], ...], tuple[slice[int, int, None], ...]]:
    """Rows and columns that a window and a tile share, in the window and in the tile."""
    header = level.header
    left, top = place[1] * header.tile_width, place[0] * header.tile_height
    x0, x1 = max(x, left), min(x + size[0], left + header.tile_width, header.width)
    y0, y1 = max(y, top), min(y + size[1], top + header.tile_height, header.height)
    return (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))

"""Slides that OpenSlide opens: SVS, NDPI, MRXS, SCN, BIF, DICOM, generic tiled TIFF and others."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import numpy as np
import openslide
from PIL import Image, ImageColor

from signetscan.errors import SlideError
from signetscan.slides.averaging import averaged
from signetscan.slides.concerns import decoders_differ
from signetscan.slides.dicom_checks import dicom_concerns
from signetscan.slides.direct import DecodersDifferError, DirectReader, NotDirectError, Origin, open_direct
from signetscan.slides.fingerprint import file_fingerprint
from signetscan.slides.library import check_openslide
from signetscan.slides.mpp import SizeClaims, resolution_claim, size_claim
from signetscan.slides.protocol import Bounds, Window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.slides.concerns import Concern

logger = logging.getLogger(__name__)

MAX_TILE_PIXELS = 1 << 28
"""Largest tile, pixels: OpenSlide ends the process if it gets no memory for a tile, so none may be larger."""


class OpenSlideSlide:
    """A slide opened by OpenSlide, whose handle may be read from several threads.

    Args:
        path: the file.
        direct: whether tiles may be decoded without OpenSlide, which is faster, if the pixels are the same.

    Raises:
        openslide.OpenSlideError: OpenSlide cannot open the file.
        SlideError: the file declares tiles too large for memory, or the installed OpenSlide reads wrong pixels.
    """

    def __init__(self, path: Path, *, direct: bool = True) -> None:
        check_openslide()
        self._handle = openslide.OpenSlide(path)
        properties = self._handle.properties
        _check_tiles(properties, self._handle.level_count, path)
        self._path = path
        self._reopening = threading.Lock()  # one thread replaces a failed handle at a time
        self.name = path.stem
        self.format_name = properties.get(openslide.PROPERTY_NAME_VENDOR, "OpenSlide")
        self.fingerprint = properties.get(openslide.PROPERTY_NAME_QUICKHASH1) or file_fingerprint(path)
        self.level_dimensions: tuple[tuple[int, int], ...] = self._handle.level_dimensions
        self.level_downsamples: tuple[float, ...] = self._handle.level_downsamples
        self.said = _said(properties)
        self.mpp = self.said.mpp
        self.bounds = _bounds(properties)
        self.concerns: tuple[Concern, ...] = ()
        if self.format_name == "dicom":
            self.concerns = dicom_concerns(properties, path)
        self._background = _background(properties)
        self._direct = self._open_direct() if direct else None

    @property
    def decoder(self) -> str:
        """What decodes the pixels: openslide or tifffile."""
        return "openslide" if self._direct is None else "tifffile"

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height, level-0 pixels."""
        return self.level_dimensions[0]

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels over the slide's background colour. See `Slide.read_region`."""
        return self.read_window(location, level, size).pixels

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read pixels, and learn which are missing. See `Slide.read_window`.

        They are those that OpenSlide leaves transparent, and those whose tiles a TIFF's directory lists as empty.
        """
        if self._direct is None:
            return self._read_by_openslide(location, level, size)
        pixels = self._direct.read(location, level, size)
        if pixels is not None:
            return Window(pixels=pixels)
        return self._with_gaps(location, level, size)

    def read_averaged(
        self, location: tuple[int, int], level: int, size: tuple[int, int], block: tuple[int, int]
    ) -> Window:
        """Read the means of blocks of pixels. See `Slide.read_averaged`.

        Of tiles that only OpenSlide can read, the pixels are averaged; what the others show does not depend on them.
        """

        def by_openslide(location: tuple[int, int], size: tuple[int, int]) -> Window:
            return averaged(self._with_gaps(location, level, (size[0] * block[0], size[1] * block[1])), block)

        window = None
        if self._direct is not None:
            window = self._direct.read_averaged(location, level, size, block, by_openslide)
        if window is not None:
            return window
        return averaged(self.read_window(location, level, (size[0] * block[0], size[1] * block[1])), block)

    def close(self) -> None:
        """Close the file."""
        if self._direct is not None:
            self._direct.close()
        self._handle.close()

    def _open_direct(self) -> DirectReader | None:
        origin = Origin(
            path=self._path,
            vendor=self.format_name,
            dimensions=self.level_dimensions,
            downsamples=self.level_downsamples,
            background=self._background,
        )
        try:
            return open_direct(origin, lambda *window: self._read_by_openslide(*window).pixels)
        except NotDirectError as error:
            reason: Exception = error
            if isinstance(error, DecodersDifferError):
                self.concerns = (*self.concerns, decoders_differ(error.level, error.difference))
        except SlideError as error:
            # After an error OpenSlide refuses all further reads on a handle. No user has asked for this tile yet,
            # so the slide must stay readable.
            self._handle.close()
            self._handle = openslide.OpenSlide(self._path)
            reason = error
        logger.debug("%s: read by OpenSlide: %s", self._path, reason)
        return None

    def _with_gaps(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read by OpenSlide, and mark what a TIFF's directory lists as empty too."""
        window = self._read_by_openslide(location, level, size)
        return window if self._direct is None else window.without(self._direct.missing(location, level, size))

    def _read_by_openslide(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        try:
            rgba = self._handle.read_region(location, level, size)
        except openslide.OpenSlideError:
            rgba = self._read_afresh(location, level, size)
        alpha = rgba.getchannel("A")
        if alpha.getextrema()[0] == 255:
            return Window(pixels=np.asarray(rgba.convert("RGB")))
        backdrop = Image.new("RGBA", rgba.size, (*self._background, 255))
        pixels = np.asarray(Image.alpha_composite(backdrop, rgba).convert("RGB"))
        return Window(pixels=pixels).without((np.asarray(alpha) == 0) & self._within(location, level, size))

    def _within(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of a window lie wholly within the level, (height, width): beyond it none can be missing."""
        if not 0 <= level < len(self.level_dimensions):
            return np.zeros(size[::-1], np.bool_)
        across, down = (
            within(start / self.level_downsamples[level], length, whole)
            for start, length, whole in zip(location, size, self.level_dimensions[level], strict=True)
        )
        return down[:, None] & across

    def _read_afresh(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        """Read with a new handle, because after an error a handle refuses all reads, those of other threads too.

        The old handle is closed when the last thread that uses it is done.
        """
        with self._reopening:
            try:
                handle = openslide.OpenSlide(self._path)
                try:
                    rgba = handle.read_region(location, level, size)
                except openslide.OpenSlideError:
                    handle = openslide.OpenSlide(self._path)  # for later reads
                    raise
                finally:
                    self._handle = handle
            except openslide.OpenSlideError as error:
                message = (
                    f"{self._path}: cannot decode level {level} at x {location[0]}, y {location[1]}: {error}. "
                    "The file is damaged or was cut short: copy it again or scan it again"
                )
                raise SlideError(message) from error
            return rgba

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def within(start: float, length: int, whole: int) -> NDArray[np.bool_]:
    """Which pixels of a span lie wholly from 0 to `whole`, (length,); the span may start between two pixels."""
    first = start + np.arange(length)
    return np.asarray((first >= 0) & (first + 1 <= whole))


def _check_tiles(properties: Mapping[str, str], levels: int, path: Path) -> None:
    for level in range(levels):
        width, height = (_number(properties, f"openslide.level[{level}].tile-{side}") for side in ("width", "height"))
        if width * height > MAX_TILE_PIXELS:
            message = f"{path}: its header declares tiles of {width:.0f} x {height:.0f} px; the file is damaged"
            raise SlideError(message)


def _said(properties: Mapping[str, str]) -> SizeClaims:
    own = None
    # OpenSlide takes a plain TIFF's mpp from its resolution tags even if these are a print setting.
    if properties.get(openslide.PROPERTY_NAME_VENDOR) != "generic-tiff":
        x, y = (_number(properties, f"openslide.mpp-{axis}") for axis in "xy")
        own = size_claim(x, y)
    tags = None
    # In other formats the tags may be those of another image of the file.
    if own is None or properties.get(openslide.PROPERTY_NAME_VENDOR) == "aperio":
        x, y = (_number(properties, f"tiff.{axis}Resolution") for axis in "XY")
        tags = resolution_claim(x, y, properties.get("tiff.ResolutionUnit", ""))
    return SizeClaims(
        claims=tuple(claim for claim in (own, tags) if claim is not None),
        magnification=_number(properties, openslide.PROPERTY_NAME_OBJECTIVE_POWER) or None,
    )


def _bounds(properties: Mapping[str, str]) -> Bounds | None:
    keys = (
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    )
    # QuPath, too, uses bounds only if all four are given.
    if not all(key in properties for key in keys):
        return None
    return Bounds(*(int(_number(properties, key)) for key in keys))


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    colour = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "FFFFFF")
    try:
        red, green, blue = ImageColor.getrgb(f"#{colour}")[:3]
    except ValueError:
        return (255, 255, 255)
    return red, green, blue


def _number(properties: Mapping[str, str], key: str) -> float:
    """The property as a number; 0 if it is missing or not a number."""
    try:
        return float(properties.get(key, "0"))
    except ValueError:
        return 0.0

"""Slides that OpenSlide opens: SVS, NDPI, MRXS, SCN, BIF, DICOM, generic tiled TIFF and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openslide
from PIL import Image, ImageColor

from signetscan.errors import SlideError
from signetscan.slides.fingerprint import file_fingerprint
from signetscan.slides.mpp import MAX_MPP, SOURCE_PROPERTIES, Mpp, mpp_from_resolution
from signetscan.slides.protocol import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray


class OpenSlideSlide:
    """A slide read by OpenSlide, whose handle may be read from several threads.

    Args:
        path: the file.

    Raises:
        openslide.OpenSlideError: OpenSlide does not open the file.
    """

    def __init__(self, path: Path) -> None:
        self._handle = openslide.OpenSlide(path)
        properties = self._handle.properties
        self._path = path
        self.name = path.stem
        self.format_name = properties.get(openslide.PROPERTY_NAME_VENDOR, "OpenSlide")
        self.fingerprint = properties.get(openslide.PROPERTY_NAME_QUICKHASH1) or file_fingerprint(path)
        self.level_dimensions: tuple[tuple[int, int], ...] = self._handle.level_dimensions
        self.level_downsamples: tuple[float, ...] = self._handle.level_downsamples
        self.mpp = _mpp(properties)
        self.bounds = _bounds(properties)
        self._background = _background(properties)

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height, level-0 pixels."""
        return self.level_dimensions[0]

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels over the slide's background colour. See `Slide.read_region`."""
        try:
            rgba = self._handle.read_region(location, level, size)
        except openslide.OpenSlideError as error:
            message = (
                f"{self._path}: cannot decode level {level} at x {location[0]}, y {location[1]}: {error}. "
                "The file is damaged or was cut short: copy it again or scan it again"
            )
            raise SlideError(message) from error
        if rgba.getchannel("A").getextrema()[0] == 255:
            return np.asarray(rgba.convert("RGB"))
        backdrop = Image.new("RGBA", rgba.size, (*self._background, 255))
        return np.asarray(Image.alpha_composite(backdrop, rgba).convert("RGB"))

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _mpp(properties: Mapping[str, str]) -> Mpp | None:
    # OpenSlide takes a plain TIFF's mpp from its resolution tags without asking whether they are a scanner's.
    if properties.get(openslide.PROPERTY_NAME_VENDOR) != "generic-tiff":
        x = _number(properties, openslide.PROPERTY_NAME_MPP_X)
        y = _number(properties, openslide.PROPERTY_NAME_MPP_Y)
        if 0 < x <= MAX_MPP and 0 < y <= MAX_MPP:
            return Mpp(x, y, SOURCE_PROPERTIES)
    x, y = (_number(properties, f"tiff.{axis}Resolution") for axis in "XY")
    return mpp_from_resolution(x, y, properties.get("tiff.ResolutionUnit", ""))


def _bounds(properties: Mapping[str, str]) -> Bounds | None:
    keys = (
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    )
    # All four or none, as QuPath takes it.
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
    """The property as a number, 0 where it is missing or is not one."""
    try:
        return float(properties.get(key, "0"))
    except ValueError:
        return 0.0

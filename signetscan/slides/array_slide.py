"""A slide held in memory, for plain pictures, tests and callers who already have pixels."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import SlideError
from signetscan.slides.averaging import averaged
from signetscan.slides.mpp import Mpp, MppSource, SizeClaims
from signetscan.slides.protocol import Window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.slides.concerns import Concern
    from signetscan.slides.protocol import Bounds


class ArraySlide:
    """A pyramid of arrays.

    Args:
        levels: uint8 arrays of shape (height, width, 3), largest first.
        mpp: size of a level-0 pixel, µm/px.
        name: name used in messages and results.
        bounds: the scanned part, level-0 pixels, as some file formats declare it.
        format_name: kind of file that the pixels are from.

    Raises:
        SlideError: there is no level, or a level has the wrong type or shape.
    """

    def __init__(
        self,
        levels: Sequence[NDArray[np.uint8]],
        *,
        mpp: float | None,
        name: str = "array",
        bounds: Bounds | None = None,
        format_name: str = "array",
    ) -> None:
        if not levels:
            message = f"{name}: a slide needs at least one level"
            raise SlideError(message)
        for level in levels:
            if level.dtype != np.uint8 or level.ndim != 3 or level.shape[2] != 3 or not level.size:
                message = f"{name}: levels must be uint8 (height, width, 3), not {level.dtype} {level.shape}"
                raise SlideError(message)
        self._levels = tuple(levels)
        self.name = name
        self.mpp = None if mpp is None else Mpp(mpp, mpp, MppSource.GIVEN)
        self.bounds = bounds
        self.format_name = format_name
        self.concerns: tuple[Concern, ...] = ()
        self.said = SizeClaims()

    @property
    def decoder(self) -> str:
        """What decodes the pixels: nothing, they are in memory."""
        return "memory"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the level-0 pixels."""
        digest = hashlib.sha256(repr(self._levels[0].shape).encode())
        digest.update(np.ascontiguousarray(self._levels[0]).data)
        return digest.hexdigest()

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height, level-0 pixels."""
        return self.level_dimensions[0]

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level."""
        return tuple((level.shape[1], level.shape[0]) for level in self._levels)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""
        width, height = self.dimensions
        return tuple((width / w + height / h) / 2 for w, h in self.level_dimensions)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels; white outside the array. See `Slide.read_region`."""
        downsample = self.level_downsamples[level]
        x, y = (round(edge / downsample) for edge in location)
        return cut(self._levels[level], x, y, size)

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read pixels; an array holds them all. See `Slide.read_window`."""
        return Window(pixels=self.read_region(location, level, size))

    def read_averaged(
        self, location: tuple[int, int], level: int, size: tuple[int, int], block: tuple[int, int]
    ) -> Window:
        """Read the means of blocks of pixels. See `Slide.read_averaged`."""
        return averaged(self.read_window(location, level, (size[0] * block[0], size[1] * block[1])), block)

    def close(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> Self:
        """Use in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to release."""


def cut(image: NDArray[np.uint8], x: int, y: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A window of an image, (height, width, 3), white outside the image.

    Args:
        image: uint8 (H, W, 3).
        x: left edge of the window, pixels of the image; may be negative.
        y: top edge.
        size: width and height of the window.
    """
    width, height = size
    window = np.full((height, width, 3), 255, np.uint8)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image.shape[1]), min(y + height, image.shape[0])
    if left < right and top < bottom:
        window[top - y : bottom - y, left - x : right - x] = image[top:bottom, left:right]
    return window

"""What every slide can do, whatever file it comes from, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from signetscan.errors import MppError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.slides.mpp import Mpp

MAX_SIDE = 1 << 20
"""No scanner makes a slide of more pixels on a side; a header that says so is broken or hostile."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The part of a slide that holds scanned pixels, level-0 pixels."""

    x: int
    """Left edge."""
    y: int
    """Top edge."""
    width: int
    """Width."""
    height: int
    """Height."""


class Slide(Protocol):
    """A pyramid of RGB images. Safe to read from several threads at once."""

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""

    @property
    def format_name(self) -> str:
        """What kind of file it is, as the reader names it."""

    @property
    def decoder(self) -> str:
        """What turns the file's tiles into pixels: openslide or tifffile; memory where they are held there."""

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same content and differs for another slide."""

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height, level-0 pixels."""

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level in its own pixels, largest first."""

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""

    @property
    def mpp(self) -> Mpp | None:
        """Size of a level-0 pixel, µm/px; None where nothing says it."""

    @property
    def bounds(self) -> Bounds | None:
        """The scanned part, where the file declares one (QuPath crops to it)."""

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels of one level.

        Args:
            location: left and top edge, level-0 pixels; may be negative.
            level: index of the level.
            size: width and height, pixels of that level.

        Returns:
            uint8, (height, width, 3). What lies outside the slide, or was not scanned, has the slide's
            background colour (white unless the file says otherwise).

        Raises:
            SlideError: the pixels cannot be decoded; the message names the file and the place.
        """

    def close(self) -> None:
        """Release the file. Reading afterwards is an error."""

    def __enter__(self) -> Self:
        """Use the slide in a `with` block, which closes it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the slide."""


def known_mpp(slide: Slide) -> Mpp:
    """The slide's pixel size.

    Raises:
        MppError: nothing says it.
    """
    if slide.mpp is None:
        message = (
            f"{slide.name}: the file does not say how large its pixels are. Give their size in µm (0.25 is common for "
            "a 40x scan, 0.5 for 20x)"
        )
        raise MppError(message, options=("mpp",))
    return slide.mpp


def qupath_origin(slide: Slide, *, crop_to_bounds: bool) -> tuple[int, int]:
    """The point that QuPath takes as (0, 0), level-0 pixels: it crops a slide to its bounds, unless told not to."""
    bounds = slide.bounds
    return (bounds.x, bounds.y) if bounds is not None and crop_to_bounds else (0, 0)

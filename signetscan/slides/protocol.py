"""The protocol that all slide readers follow, and functions of any slide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from signetscan.errors import MppError
from signetscan.slides.concerns import ConcernKind

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.slides.concerns import Concern
    from signetscan.slides.mpp import Mpp

MAX_SIDE = 1 << 20
"""Largest side of a slide, pixels: a header that declares more is broken or hostile."""


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """A rectangle of a slide as it was read."""

    pixels: NDArray[np.uint8]
    """(height, width, 3)."""
    missing: NDArray[np.bool_] | None = None
    """Which of these pixels the file does not hold, (height, width), so that they show the background colour; None if
    it holds all that lie within the slide."""

    def without(self, missing: NDArray[np.bool_] | None) -> Window:
        """The same window with further pixels that are missing, (height, width)."""
        if missing is None or not missing.any():
            return self
        return replace(self, missing=missing if self.missing is None else missing | self.missing)


class Slide(Protocol):
    """A pyramid of RGB images. Safe to read from several threads at once."""

    @property
    def name(self) -> str:
        """The file's name without folder and suffix."""

    @property
    def format_name(self) -> str:
        """Kind of file, as the slide reader names it."""

    @property
    def decoder(self) -> str:
        """What decodes the pixels: openslide, tifffile or wsidicom, or memory for a slide that is held there."""

    @property
    def fingerprint(self) -> str:
        """A text that identifies the content: the same for copies, different for other slides."""

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
        """Size of a level-0 pixel, µm/px; None if it is unknown."""

    @property
    def bounds(self) -> Bounds | None:
        """The scanned part if the file declares one (QuPath crops to it), else None."""

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """What is suspicious about the file, as far as it can be told without looking at its pixels."""

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels of one level.

        Args:
            location: left and top edge, level-0 pixels; may be negative.
            level: index of the level.
            size: width and height, pixels of that level.

        Returns:
            uint8, (height, width, 3). Pixels outside the slide, or not scanned, have the slide's background
            colour (white unless the file says otherwise).

        Raises:
            SlideError: the pixels cannot be decoded; the message names the file and the location.
        """

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read pixels as `read_region` does, and learn which of them the file does not hold.

        Scanners leave out glass, and files lose tiles: both look like glass to `read_region`.
        """

    def read_averaged(
        self, location: tuple[int, int], level: int, size: tuple[int, int], block: tuple[int, int]
    ) -> Window:
        """Read the means of blocks of pixels of one level.

        Where the slide's codec can decode tiles at a fraction of their size, the means may be the codec's, which differ
        by less than a grey level on average. A pixel is the same in whichever window it is read.

        Args:
            location: left and top edge, level-0 pixels; may be negative.
            level: index of the level.
            size: width and height, blocks.
            block: width and height of a block, pixels of that level.

        Returns:
            A window of a pixel for each block. Pixels outside the slide enter their block's mean with the background
            colour.

        Raises:
            SlideError: the pixels cannot be decoded; the message names the file and the location.
        """

    def close(self) -> None:
        """Release the file. Reading afterwards is an error."""

    def __enter__(self) -> Self:
        """Enter a `with` block, which closes the slide at its end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the slide."""


def known_mpp(slide: Slide) -> Mpp:
    """The slide's mpp.

    Raises:
        MppError: it is unknown.
    """
    if slide.mpp is None:
        found = (concern.message for concern in slide.concerns if concern.kind is ConcernKind.PIXEL_SIZE)
        why = "; ".join(found) or "the file does not say how large its pixels are"
        message = f"{slide.name}: {why}. Give their size in µm (0.25 is common for a 40x scan, 0.5 for 20x)"
        raise MppError(message, options=("mpp",))
    return slide.mpp


def qupath_origin(slide: Slide, *, crop_to_bounds: bool) -> tuple[int, int]:
    """QuPath's point (0, 0) in level-0 pixels: the corner of the bounds, if QuPath crops the slide to them."""
    bounds = slide.bounds
    return (bounds.x, bounds.y) if bounds is not None and crop_to_bounds else (0, 0)

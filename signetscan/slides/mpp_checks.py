"""Whether the size of a slide's pixels is plausible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.slides.concerns import Concern, ConcernKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signetscan.slides.mpp import Mpp

FINEST_UM = 0.06
"""Slide scanners' pixels are from 0.1 µm, and those of a camera behind an oil objective hardly smaller than this."""
UNEQUAL = 0.02
"""Width and height of a pixel differ by no more than this share on any scanner that works."""
LARGEST_MM = 180.0
"""The longest glass slides, for whole sections of a brain, are about this long."""


def size_concerns(mpp: Mpp, dimensions: tuple[int, int]) -> tuple[Concern, ...]:
    """What is suspicious about the size of a pixel.

    Args:
        mpp: the size.
        dimensions: width and height of the slide, level-0 pixels.
    """
    return tuple(Concern(kind=ConcernKind.PIXEL_SIZE, message=message) for message in _messages(mpp, dimensions))


def _messages(mpp: Mpp, dimensions: tuple[int, int]) -> Iterator[str]:
    size = f"{mpp.x:g} x {mpp.y:g} µm/px ({mpp.source})"
    if min(mpp.x, mpp.y) < FINEST_UM:
        yield f"pixels of {size} are finer than any slide scanner's, so that cells would be missed; check the mpp"
    if max(mpp.x, mpp.y) / min(mpp.x, mpp.y) > 1 + UNEQUAL:
        yield f"pixels of {size} are not square, as no scanner's are; check the mpp"
    length = max(mpp.x * dimensions[0], mpp.y * dimensions[1]) / 1000
    if length > LARGEST_MM:
        yield f"with pixels of {size} the slide would be {length:.0f} mm long, more than any glass slide; check the mpp"

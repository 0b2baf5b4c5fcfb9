"""What is suspicious about a slide, but not so certainly wrong that it is refused.

A concern is found when a slide is opened, from what its file says of itself, or at the start of a scan, from its
pixels. Whoever opens the slide tells the user, and the run record keeps it, because the result depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ConcernKind(StrEnum):
    """What a concern is about, in the words of run records."""

    PIXEL_SIZE = "size of a pixel"
    PICTURE = "choice of the picture"
    COLOURS = "colours"
    MISSING = "missing area"
    TISSUE = "tissue"
    ROI = "region of interest"
    DECODERS = "decoders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something suspicious about a slide."""

    kind: ConcernKind
    """What it is about."""
    message: str
    """What is suspicious, and what to do. It names neither the slide nor its file, and quotes no text of the file:
    both may identify a patient."""


def colours_disagree(said: str, stored: str) -> Concern:
    """The concern that a file's header and its tiles disagree on its colours.

    Args:
        said: the colours that the header gives.
        stored: those that the tiles give.
    """
    message = f"the file says that its colours are {said}, but its tiles say {stored}; look whether they are right"
    return Concern(kind=ConcernKind.COLOURS, message=message)


def decoders_differ(level: int, difference: int) -> Concern:
    """The concern that two decoders make different pictures of a tile.

    Args:
        level: the tile's level.
        difference: largest difference of two pixels, grey levels.
    """
    message = (
        f"OpenSlide and tifffile decode a tile of level {level} differently, by up to {difference} grey levels: one of "
        "them is wrong. OpenSlide's pixels are used; look at the slide, and update openslide-bin"
    )
    return Concern(kind=ConcernKind.DECODERS, message=message)

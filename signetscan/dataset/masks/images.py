"""Images with a mask, and data sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.annotations import Region
    from signetscan.dataset.images import Part, Place

BACKGROUND = 0
"""Label of the pixels that no mask outlines."""
IGNORED = 255
"""Label of the pixels of which nobody said what they are; no class has it."""
BACKGROUND_NAME = "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """The file that says which pixels of an image show which class; as wide and high as the image."""

    path: Path
    """A picture of one channel."""
    label: int | None
    """Label of the pixels that it outlines; None if its values are labels."""
    cut: int = 127
    """Highest value that is background, with a `label`: JPEG makes values ring around 0 and 255."""
    shows: tuple[int, ...]
    """Labels of the classes that it shows, in ascending order."""

    @property
    def normal(self) -> bool:
        """Whether all that it does not outline is known to be background."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnMask:
    """What people drew on an image that is a part of a slide, in the slide's view pixels."""

    outlines: tuple[tuple[int, Region], ...]
    """Labels and areas; where areas overlap, the last one counts."""
    within: Region | None
    """The region that people looked through, if the image shows more than that: the rest is ignored."""
    shows: tuple[int, ...]
    """Labels of the classes that it shows, in ascending order."""
    normal: bool
    """Whether the region is declared to be background."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedImage:
    """One image with its mask."""

    path: Path
    """The image's file, or the slide's."""
    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    mask: Mask | DrawnMask | None
    """Its mask; None if all of it is known to be background."""
    slide: str
    """Slide or case that the image is from, by its name; images of one slide must not be split."""
    place: Place | None = None
    """Position of the image on the slide; None for an image that is a file of its own."""
    part: Part | None = None
    """Part of the data to which the folder assigns the image; None if it does not say."""

    @property
    def normal(self) -> bool:
        """Whether all of the image is known to be background, so that no pixel of it has a doubtful label."""
        return self.mask is None or self.mask.normal

    @property
    def shows(self) -> tuple[int, ...]:
        """Labels of the classes that the image shows, in ascending order."""
        return () if self.mask is None else self.mask.shows

    @property
    def name(self) -> str:
        """Name of the image, for messages."""
        return self.path.name if self.place is None else f"{self.path.name} at x {self.place.x}, y {self.place.y}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedDataset:
    """Images with masks for the training of one network."""

    images: tuple[MaskedImage, ...]
    """All images, in the order of their files' names."""
    class_names: tuple[str, ...]
    """Name of each label; the first is the background."""
    mpp: float
    """Size of the images' pixels, µm."""
    layout: str
    """Layout of the folder that they are from, in a phrase."""
    warnings: tuple[str, ...] = ()
    """What was left out or looks odd; one line for each kind, with counts and names."""

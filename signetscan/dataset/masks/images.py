"""Images with a mask, and data sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.images import Part

BACKGROUND = 0
"""Label of the pixels that no mask outlines."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedImage:
    """One image with its mask."""

    path: Path
    """The image's file."""
    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    mask: Mask | None
    """Its mask; None if all of it is known to be background."""
    slide: str
    """Slide or case that the image is from, by its name; images of one slide must not be split."""
    part: Part | None = None
    """Part of the data to which the folder assigns the image; None if it does not say."""

    @property
    def normal(self) -> bool:
        """Whether all of the image is known to be background, so that no pixel of it has a doubtful label."""
        return self.mask is None

    @property
    def shows(self) -> tuple[int, ...]:
        """Labels of the classes that the image shows, in ascending order."""
        return () if self.mask is None else self.mask.shows

    @property
    def name(self) -> str:
        """Name of the image, for messages."""
        return self.path.name


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

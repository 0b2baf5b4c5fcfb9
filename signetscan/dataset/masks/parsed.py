"""The output of the parsers of all layouts of images with masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.dataset.masks.images import MaskedImage
from signetscan.dataset.masks.pixels import picture_size
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.masks.images import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMasks:
    """All images of a folder that have a mask, or are known to need none."""

    layout: str
    """Layout of the folder, in a phrase."""
    images: list[MaskedImage]
    """All images, in the order of their files' names."""
    class_names: tuple[str, ...]
    """Name of each label; the first is the background."""


def masked_image(path: Path, mask: Mask | None, *, slide: str) -> MaskedImage:
    """An image and its mask, whose sizes are the same.

    Args:
        path: the image.
        mask: its mask; None if all of it is known to be background.
        slide: slide or case that the image is from.

    Raises:
        AnnotationError: a file is no image or too large, or the mask is of another size than the image.
    """
    width, height = picture_size(path)
    if mask is not None:
        size = picture_size(mask.path)
        if size != (width, height):
            message = (
                f"{mask.path}: a mask of {size[0]} x {size[1]} px for an image of {width} x {height} px, {path.name}; "
                "make the mask anew from that image"
            )
            raise AnnotationError(message)
    return MaskedImage(path=path, width=width, height=height, mask=mask, slide=slide)

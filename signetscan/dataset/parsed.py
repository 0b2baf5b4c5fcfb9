"""What the parsers of all layouts hand on: images with every object in them, before classes are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.image_names import slide_of
from signetscan.dataset.images import AnnotatedImage, image_size

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from numpy.typing import NDArray

NO_LABEL = -1
"""Of a box whose class has not been chosen yet."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParsedImage:
    """An image and all objects that its annotation file has for it."""

    image: AnnotatedImage
    """The image with the boxes as the file gives them: unchecked, without labels."""
    names: tuple[str, ...] = ()
    """Class name of each box; empty where the file gives none."""
    file: str
    """Name of the annotation file, for messages."""
    region: str
    """What was annotated as a whole: the image, or the region of the slide that it is a piece of."""


@dataclass(slots=True, kw_only=True, eq=False)
class ParsedFolder:
    """A whole folder."""

    layout: str
    """What kind of folder it is, in plain words."""
    images: list[ParsedImage] = field(default_factory=list)
    """All images, in the order of their files' names."""
    outside: dict[str, Counter[str]] = field(default_factory=dict)
    """By annotation file: classes of the objects outside all annotated regions."""


def parsed_image(
    path: Path,
    file: str,
    boxes: NDArray[np.float64] | None = None,
    names: tuple[str, ...] = (),
    *,
    normal: bool,
    ignored: NDArray[np.float64] | None = None,
) -> ParsedImage:
    """An image that is a file of its own.

    Args:
        path: the image.
        file: name of its annotation file.
        boxes: (N, 4), image pixels; none by default.
        names: class name of each.
        normal: whether it is declared to hold no cell.
        ignored: (M, 4), areas that do not count, image pixels; none by default.

    Raises:
        AnnotationError: it is not an image or is too large.
    """
    width, height = image_size(path)
    boxes, ignored = (np.empty((0, 4)) if each is None else each for each in (boxes, ignored))
    image = AnnotatedImage(
        path=path,
        width=width,
        height=height,
        boxes=boxes,
        labels=np.full(len(boxes), NO_LABEL, np.int64),
        ignored=ignored,
        normal=normal,
        slide=slide_of(path.stem),
    )
    return ParsedImage(image=image, names=names, file=file, region=path.name)

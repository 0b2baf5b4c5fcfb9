"""The output of the parsers of all layouts: images with all their objects, before classes are chosen."""

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
"""Label of a box before classes are chosen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParsedImage:
    """An image and all its objects in the annotation file."""

    image: AnnotatedImage
    """The image, with the boxes of the file, unchecked and without labels."""
    names: tuple[str, ...] = ()
    """Class name of each box; empty if the file has none."""
    file: str
    """Name of the annotation file, for messages."""
    region: str
    """Name of what was annotated as a whole: the image, or the region of the slide that it is a piece of."""


@dataclass(slots=True, kw_only=True, eq=False)
class ParsedFolder:
    """All images of a folder."""

    layout: str
    """Layout of the folder, in a phrase."""
    images: list[ParsedImage] = field(default_factory=list)
    """All images, in the order of their files' names."""
    outside: dict[str, Counter[str]] = field(default_factory=dict)
    """For each annotation file, the classes of its objects outside all annotated regions."""


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
        names: class name of each box.
        normal: whether the image is declared to have no cell.
        ignored: (M, 4), ignored areas, image pixels; none by default.

    Raises:
        AnnotationError: the file is not an image, or too large.
    """
    width, height = image_size(path)
    boxes = np.empty((0, 4)) if boxes is None else boxes
    ignored = np.empty((0, 4)) if ignored is None else ignored
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

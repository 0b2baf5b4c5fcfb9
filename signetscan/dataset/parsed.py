"""The output of the parsers of all layouts: images with all their objects, before classes are chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.framing import frame_of
from signetscan.dataset.image_names import slide_of
from signetscan.dataset.images import AnnotatedImage

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations.yolo import YoloSettings
    from signetscan.dataset.images import Part
    from signetscan.dataset.remarks import Remarks

NO_OBJECT = "Images whose annotation file has no object, taken for normal ones"
"""Remark on what is taken for normal without being called so."""
OTHERS_ONLY = "Images with objects of other classes only, taken for normal ones"
"""The same, of those in which somebody boxed something else."""
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
    """Name of what was annotated as a whole: the image, or the region of the slide that it is a piece of. No other
    image or region has it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageObjects:
    """What an annotation file says of one image; image pixels."""

    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """(N, 4), unchecked."""
    names: tuple[str, ...] = ()
    """Class name of each box."""
    ignored: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """(M, 4), ignored areas."""
    drawn_on: tuple[int, int] | None = None
    """Width and height of the image by the file; None if it does not say."""


@dataclass(slots=True, kw_only=True, eq=False)
class ParsedFolder:
    """All images of a folder."""

    layout: str
    """Layout of the folder, in a phrase."""
    images: list[ParsedImage] = field(default_factory=list)
    """All images, in the order of their files' names."""
    outside: dict[str, Counter[str]] = field(default_factory=dict)
    """For each annotation file, the classes of its objects outside all annotated regions."""
    settings: YoloSettings | None = None
    """What a `data.yaml` says, which may assign the images to parts."""

    def add(self, image: ParsedImage | None) -> None:
        """Add an image, unless it had to be left out."""
        if image is not None:
            self.images.append(image)


def parsed_image(
    path: Path,
    name: str,
    file: str,
    objects: ImageObjects,
    remarks: Remarks,
    *,
    normal: bool,
    part: Part | None = None,
) -> ParsedImage | None:
    """An image that is a file of its own.

    Args:
        path: the image.
        name: its name in the folder, with "/" between folders below, which no other image has.
        file: name of its annotation file.
        objects: what the annotation file says of it.
        remarks: collects why an image is left out.
        normal: whether the image is declared to have no cell.
        part: part of the data to which the folder assigns the image.

    Returns:
        The image; None if its boxes are in a frame that is not its own, or cannot be known.

    Raises:
        AnnotationError: the file is not an image, or too large.
    """
    marked = bool(len(objects.boxes) or len(objects.ignored))
    frame = frame_of(path, name, objects.drawn_on, remarks, marked=marked)
    if frame is None:
        return None
    image = AnnotatedImage(
        path=path,
        width=frame.width,
        height=frame.height,
        boxes=objects.boxes,
        labels=np.full(len(objects.boxes), NO_LABEL, np.int64),
        ignored=objects.ignored,
        normal=normal,
        slide=slide_of_image(name),
        upright=frame.upright,
        part=part,
    )
    return ParsedImage(image=image, names=objects.names, file=file, region=name)


def slide_of_image(name: str) -> str:
    """The slide of an image by its name in the folder: images of the same name in two folders are of two slides."""
    folder, slash, file = name.rpartition("/")
    stem = PurePosixPath(file).stem
    slide = slide_of(stem)
    return f"{folder}{slash}{slide}" if slide == stem else slide

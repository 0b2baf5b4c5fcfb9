"""What the readers of all layouts hand on: images with every object in them, before classes are chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.images import image_size
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.dataset.images import Place
    from signetscan.dataset.notes import Notes

IMAGE_ENDINGS = (".jpeg", ".jpg", ".png", ".tif", ".tiff")

WITHOUT_FILE = "Left out, without an annotation file"
WITHOUT_IMAGE = "Annotation files left out, without an image or slide"

NAME = re.compile(r"(?:(?P<slide>.+)_)?(?P<time>\d{4}-\d\d-\d\d \d\d_\d\d_\d\d)-lv0-\d+-\d+-\d+-\d+")
"""DigestPath's file names: `<slide id>_<date> <time>-lv0-<x>-<y>-<width>-<height>`, some without the slide id."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """An image and all objects that its annotation file has for it."""

    path: Path
    """The image's file, or the slide's."""
    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """(N, 4), pixels of the image; not checked."""
    names: tuple[str, ...] = ()
    """Class name of each box; empty where the file gives none."""
    normal: bool
    """Whether the annotation declares the image to hold no cell."""
    slide: str
    """Slide that it is from."""
    file: str
    """Name of the annotation file, for messages."""
    area: str
    """What was annotated as a whole: the image, or the region of the slide that it is a piece of."""
    place: Place | None = None
    """Where the image lies on the slide."""


@dataclass(slots=True, kw_only=True, eq=False)
class Gathered:
    """A whole folder."""

    layout: str
    """What kind of folder it is, in plain words."""
    found: list[Found] = field(default_factory=list)
    """All images, in the order of their files' names."""
    outside: dict[str, Counter[str]] = field(default_factory=dict)
    """By annotation file: classes of the objects outside all annotated regions."""


def slide_of(stem: str) -> str:
    """The slide of an image by its file name without ending.

    Without a slide id the date and time of the cut-out stand for it; any other name stands for itself.
    """
    match = NAME.fullmatch(stem)
    if match is None:
        return stem
    return match["slide"] or match["time"]


def files_in(folder: Path, endings: Sequence[str]) -> list[Path]:
    """Files of a folder by their endings in any case, sorted; hidden ones (`._x.jpeg` of a Mac) are no data."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(tuple(endings)) and not path.name.startswith(".")
        )
    except OSError as error:
        message = f"{folder}: cannot be read: {error.strerror}"
        raise AnnotationError(message) from error


def stem_of(path: Path, endings: Sequence[str]) -> str:
    """A file's name without its ending: the first of `endings`, one of which it must have."""
    ending = next(ending for ending in endings if path.name.lower().endswith(ending))
    return path.name[: -len(ending)]


def by_stem(files: Sequence[Path], endings: Sequence[str]) -> dict[str, Path]:
    """Files by their names without ending.

    Raises:
        AnnotationError: two files have the same name but for the ending.
    """
    stems: dict[str, Path] = {}
    for path in files:
        stem = stem_of(path, endings)
        if stem in stems:
            message = f"{path}: has the same name as {stems[stem].name}, so that annotations fit both; keep one of them"
            raise AnnotationError(message)
        stems[stem] = path
    return stems


def paired(images: dict[str, Path], files: dict[str, Path], notes: Notes) -> Iterator[tuple[Path, Path]]:
    """Images with their annotation files; those of either kind that are alone are counted."""
    for stem in sorted(files.keys() - images.keys()):
        notes.add(WITHOUT_IMAGE, files[stem].name)
    for stem, image in images.items():
        if stem in files:
            yield image, files[stem]
        else:
            notes.add(WITHOUT_FILE, image.name)


def found_image(
    path: Path, file: str, boxes: NDArray[np.float64] | None = None, names: tuple[str, ...] = (), *, normal: bool
) -> Found:
    """An image that is a file of its own.

    Raises:
        AnnotationError: it is not an image or is too large.
    """
    width, height = image_size(path)
    return Found(
        path=path,
        width=width,
        height=height,
        boxes=np.empty((0, 4)) if boxes is None else boxes,
        names=names,
        normal=normal,
        slide=slide_of(path.stem),
        file=file,
        area=path.name,
    )

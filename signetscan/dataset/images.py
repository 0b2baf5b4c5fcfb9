"""Annotated images, which are files or parts of slides; their pixels; and data sets of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from signetscan.dataset.options import MAX_MPP
from signetscan.errors import AnnotationError, OptionError
from signetscan.slides import ArraySlide, SlideAtMpp, open_slide
from signetscan.slides.at_mpp import MAX_ENLARGEMENT
from signetscan.slides.image_files import UNREADABLE, is_deep, open_image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ORIENTATION, TIFF_WIDTH, TIFF_HEIGHT = 274, 256, 257
"""Tags of TIFF; EXIF has the first one too."""
QUARTER_TURNS = (5, 6, 7, 8)
"""Values of the orientation that exchange width and height."""

MAX_PIXELS = 100_000_000
"""Largest image, pixels: it is held in memory."""


class Part(Enum):
    """A part of the data, as lists or folders of a data set assign its images."""

    TRAINING = "training"
    """To learn from."""
    VALIDATION = "validation"
    """To choose the epoch and the threshold by."""
    TEST = "test"
    """To judge the finished model by: never used in training."""


SAFEST_FIRST = (Part.TEST, Part.VALIDATION, Part.TRAINING)
"""The first of the parts that an image is in counts, so that what is held out in any of them stays so."""


@dataclass(frozen=True, slots=True)
class Place:
    """Position of an image on a slide, in the pixels of `SlideAtMpp`: squares of `mpp` from the slide's corner."""

    x: int
    """Left edge."""
    y: int
    """Top edge."""
    mpp: float
    """Size of a pixel, µm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnnotatedImage:
    """One image with its boxes."""

    path: Path
    """The image's file, or the slide's."""
    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    boxes: NDArray[np.float64]
    """(N, 4), inside the image, pixels of the image."""
    labels: NDArray[np.int64]
    """(N,), index into the class names."""
    normal: bool
    """Whether the image is declared to have no cell at all."""
    slide: str
    """Slide that the image is from, by its name; images of one slide must not be split."""
    place: Place | None = None
    """Position of the image on the slide; None for an image that is a file of its own."""
    ignored: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """(M, 4), ignored rectangles, pixels of the image; they may reach over its edges. Nothing in them is learnt as
    background, nor counted as a false positive."""
    shrink: float = 1.0
    """Side of a pixel of the image in pixels of its file or slide; the image is resampled when it is read."""
    upright: bool = False
    """Whether the pixels are turned as the file's EXIF orientation says, because the boxes were drawn on them so."""
    part: Part | None = None
    """Part of the data to which the folder assigns the image; None if it does not say."""

    @property
    def shows(self) -> tuple[int, ...]:
        """What a split spreads evenly, besides normal images: all images with cells are of one kind, 0."""
        return () if self.normal else (0,)

    @property
    def name(self) -> str:
        """Name of the image, for messages."""
        return self.path.name if self.place is None else f"{self.path.name} at x {self.place.x}, y {self.place.y}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Annotated images for the training of one detector."""

    images: tuple[AnnotatedImage, ...]
    """All images, in the order of their files' names."""
    class_names: tuple[str, ...]
    """Name of each label."""
    mpp: float
    """Size of the images' pixels, µm."""
    layout: str
    """Layout of the folder that they are from, in a phrase."""
    warnings: tuple[str, ...] = ()
    """What was left out or looks odd; one line for each kind, with counts and names."""
    pseudo_labels: int = 0
    """Number of boxes that a model added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What the header of an image file says, without its pixels."""

    stored: tuple[int, int]
    """Width and height of the pixels as they are stored."""
    upright: tuple[int, int]
    """Width and height of the picture, once it is turned as its orientation says."""
    is_turned: bool
    """Whether the orientation asks for a turn, so that programs show the picture in one of two ways."""
    always_upright: bool
    """Whether `read_image` turns the picture in any case: the library that reads TIFF does."""


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file as `read_image` reads it, pixels, from its header.

    Raises:
        AnnotationError: it is not an image, is too large, or has more than 8 bits per channel.
    """
    header = read_header(path)
    return header.upright if header.always_upright else header.stored


def read_header(path: Path) -> ImageHeader:
    """The sizes and the orientation of an image file.

    Raises:
        AnnotationError: it is not an image, is too large, or has more than 8 bits per channel.
    """
    with _opened(path) as image:
        is_tiff = isinstance(image, TiffImageFile)
        try:
            tags = image.tag_v2 if isinstance(image, TiffImageFile) else image.getexif()
            orientation = tags.get(ORIENTATION)
            width, height = (tags[TIFF_WIDTH], tags[TIFF_HEIGHT]) if is_tiff else image.size
        except UNREADABLE as error:
            message = f"{path}: its header cannot be read: {error}; save the image anew"
            raise AnnotationError(message) from error
    is_turned = isinstance(orientation, int) and 2 <= orientation <= 8
    upright = (height, width) if is_turned and orientation in QUARTER_TURNS else (width, height)
    return ImageHeader(stored=(width, height), upright=upright, is_turned=is_turned, always_upright=is_tiff)


def read_pixels(image: AnnotatedImage) -> NDArray[np.uint8]:
    """An image's pixels as uint8 (height, width, 3), RGB.

    Raises:
        AnnotationError: its file cannot be decoded.
        SlideError: its slide cannot be opened or decoded.
    """
    pixels = read_image(image.path, upright=image.upright) if image.place is None else _read_place(image, image.place)
    if image.shrink == 1:
        return pixels
    # By the same code that resamples slides in a scan, so that a model sees in a scan what it saw in training.
    return SlideAtMpp(ArraySlide([pixels], mpp=1.0), image.shrink, slack=0).read(0, 0, image.width, image.height)


def _read_place(image: AnnotatedImage, place: Place) -> NDArray[np.uint8]:
    with open_slide(image.path) as slide:
        view = SlideAtMpp(slide, place.mpp)
        return view.read(place.x, place.y, round(image.width * image.shrink), round(image.height * image.shrink))


def resample(dataset: Dataset, mpp: float) -> Dataset:
    """The same images and boxes in pixels of another size.

    Args:
        dataset: the images.
        mpp: size of a pixel, µm.

    Raises:
        OptionError: the size is out of range, or the images are too coarse for it.
    """
    if not dataset.mpp / MAX_ENLARGEMENT <= mpp <= MAX_MPP:
        message = (
            f"images of {dataset.mpp:g} µm/px cannot be resampled to {mpp:g} µm/px; choose a size from "
            f"{dataset.mpp / MAX_ENLARGEMENT:g} to {MAX_MPP:g} µm/px"
        )
        raise OptionError(message)
    factor = mpp / dataset.mpp
    return replace(dataset, images=tuple(_resampled(image, factor) for image in dataset.images), mpp=mpp)


def _resampled(image: AnnotatedImage, factor: float) -> AnnotatedImage:
    return replace(
        image,
        width=math.ceil(image.width / factor),
        height=math.ceil(image.height / factor),
        boxes=image.boxes / factor,
        ignored=image.ignored / factor,
        shrink=image.shrink * factor,
    )


def read_image(path: Path, *, upright: bool = False) -> NDArray[np.uint8]:
    """An image file as uint8 (H, W, 3), RGB.

    Args:
        path: the file.
        upright: whether to turn the picture as its EXIF orientation says; a TIFF is turned in any case.

    Raises:
        AnnotationError: it cannot be decoded.
    """
    with _opened(path) as image:
        try:
            return np.asarray((ImageOps.exif_transpose(image) if upright else image).convert("RGB"))
        except UNREADABLE as error:
            message = f"{path}: cannot be decoded: {error}; copy it again"
            raise AnnotationError(message) from error


def _opened(path: Path) -> Image.Image:
    try:
        image = open_image(path)
    except UNREADABLE as error:
        message = f"{path}: not a readable image: {error}"
        raise AnnotationError(message) from error
    problem = ""
    if image.width * image.height > MAX_PIXELS:
        problem = f"{image.width} x {image.height} px is too large for a training image; cut it into pieces"
    elif is_deep(image):
        problem = "has more than 8 bits per channel; save it as 8-bit RGB"
    if problem:
        image.close()
        message = f"{path}: {problem}"
        raise AnnotationError(message)
    return image

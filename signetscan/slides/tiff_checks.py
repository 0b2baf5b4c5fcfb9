"""Whether the picture that a TIFF's slide reader shows is the right one, and shown rightly, as far as its header tells.

This holds for plain TIFF, OME-TIFF and SVS. Other formats shift, repeat or make up their images, as OpenSlide knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tifffile

from signetscan.errors import SlideError
from signetscan.plurals import counted
from signetscan.slides.codestreams import StoredColours, has_jfif_mark, jpeg_colours
from signetscan.slides.concerns import Concern, ConcernKind, colours_disagree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from signetscan.slides.tiff_header import TiffHeader, TiffImage

PHOTOMETRICS = frozenset(
    {
        tifffile.PHOTOMETRIC.MINISWHITE,
        tifffile.PHOTOMETRIC.MINISBLACK,
        tifffile.PHOTOMETRIC.RGB,
        tifffile.PHOTOMETRIC.PALETTE,
        tifffile.PHOTOMETRIC.YCBCR,
    }
)
"""What channels may mean."""
SAID: dict[int, StoredColours] = {
    tifffile.PHOTOMETRIC.RGB: StoredColours.RGB,
    tifffile.PHOTOMETRIC.YCBCR: StoredColours.YCBCR,
}
"""What the channels are, by the tag."""
ORIENTATIONS = range(2, 9)
"""Values of the orientation tag that turn or mirror the picture; others say nothing."""
ALSO_LARGE = 0.25
"""An image with at least this share of the largest image's pixels is no label and no overview."""
ROUNDING = 1.0
"""Sides of a smaller copy may be rounded by this many pixels."""


def check_storage(header: TiffHeader, size: tuple[int, int], path: Path) -> None:
    """Refuse an image that no slide reader shows rightly.

    Args:
        header: the images of the file.
        size: width and height of the image that is read, pixels.
        path: the file.

    Raises:
        SlideError: it does not hold 8-bit RGB or grey, or is turned.
    """
    image = _image_of(header, size)
    if image is None:
        return
    if image.kind != "uint8" or image.bits != 8:
        kind = f"{image.bits or 'mixed'}-bit {image.kind or 'values'}"
        message = f"{path}: a TIFF of {kind}, not an 8-bit RGB or grey image; export it as 8-bit RGB"
        raise SlideError(message)
    if image.photometric not in PHOTOMETRICS:
        message = (
            f"{path}: a TIFF that is neither RGB nor grey (photometric {image.photometric}); export it as 8-bit RGB"
        )
        raise SlideError(message)
    channels = _same_size(header, image)
    if image.channels == 1 and channels > 1:
        message = f"{path}: a TIFF whose channels are {channels} separate grey images; export it as 8-bit RGB"
        raise SlideError(message)
    if image.orientation in ORIENTATIONS:
        message = (
            f"{path}: its orientation tag ({image.orientation}) says that the picture is turned or mirrored, which "
            "programs treat in different ways; export it upright, with orientation 1"
        )
        raise SlideError(message)


def picture_concerns(header: TiffHeader, size: tuple[int, int], *, heeds_jfif: bool) -> tuple[Concern, ...]:
    """What is suspicious about an image that is read.

    Args:
        header: the images of the file.
        size: width and height of the image that is read, pixels.
        heeds_jfif: whether its decoder takes JFIF tiles for YCbCr, which they are, whatever the tag says.
    """
    image = _image_of(header, size)
    if image is None:
        return ()
    concerns = [*stack_concerns(_same_size(header, image))]
    others = sum(_is_another(other, image) for other in header.images)
    if others:
        message = (
            f"the file holds {counted(others, 'further large image')}, which may be other slides or parts of this one, "
            "and which will not be scanned; check that this one is meant"
        )
        concerns.append(Concern(kind=ConcernKind.PICTURE, message=message))
    if not (heeds_jfif and has_jfif_mark(image.first_piece)):
        concerns += _false_colours(image)
    return tuple(concerns)


def stack_concerns(planes: int) -> tuple[Concern, ...]:
    """What is suspicious about a file that holds so many images of one size."""
    if planes < 2:
        return ()
    message = (
        f"the file holds {planes} images of this size, such as the focal planes of a z-stack, and only the first is "
        "scanned; export the sharpest"
    )
    return (Concern(kind=ConcernKind.PICTURE, message=message),)


def only_jfif_tells(image: TiffImage) -> bool:
    """Whether an image's tag says RGB and its JPEGs are JFIF files, thus YCbCr: so Bio-Formats writes OME-TIFF.

    tifffile goes by the JPEGs, OpenSlide by the tag.
    """
    says_rgb = image.photometric == tifffile.PHOTOMETRIC.RGB
    return says_rgb and _is_jpeg(image) and has_jfif_mark(image.first_piece)


def _is_jpeg(image: TiffImage) -> bool:
    return image.compression == tifffile.COMPRESSION.JPEG and image.channels == 3


def _image_of(header: TiffHeader, size: tuple[int, int]) -> TiffImage | None:
    return next((image for image in header.images if image.size == size), None)


def _same_size(header: TiffHeader, image: TiffImage) -> int:
    """Images of the size and number of channels of one, itself among them."""
    return sum(other.size == image.size and other.channels == image.channels for other in header.images)


def _is_another(other: TiffImage, image: TiffImage) -> bool:
    """Whether an image is large, and neither of the same size as the one that is read nor a smaller copy of it."""
    if other.is_reduced or other.pixels < ALSO_LARGE * image.pixels or other.size == image.size:
        return False
    return abs(other.height * image.width / image.height - other.width) > ROUNDING * max(image.width / image.height, 1)


def _false_colours(image: TiffImage) -> Iterator[Concern]:
    if not _is_jpeg(image):
        return
    said = SAID.get(image.photometric)
    stored = jpeg_colours(image.first_piece)
    if said is not None and stored is not None and said is not stored:
        yield colours_disagree(said, stored)

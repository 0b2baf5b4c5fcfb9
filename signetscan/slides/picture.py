"""Plain pictures as slides: a field of view saved as JPEG or PNG, such as DigestPath's images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import SlideError
from signetscan.slides.array_slide import ArraySlide
from signetscan.slides.image_files import UNREADABLE, is_deep, open_image

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}
"""First bytes of the files that are opened as pictures."""

ORIENTATION = 274
"""Exif's tag of the orientation: from 2 to 8 for a picture that is turned or mirrored."""

MAX_PIXELS = 100_000_000
"""Largest picture, pixels; pictures are held in memory."""


def picture_format(path: Path) -> str | None:
    """JPEG or PNG, by a file's first bytes; None if it is neither."""
    with path.open("rb") as file:
        first = file.read(max(map(len, SIGNATURES)))
    return next((name for signature, name in SIGNATURES.items() if first.startswith(signature)), None)


def open_picture(path: Path, format_name: str) -> ArraySlide:
    """Read a whole picture, with transparency over white; its mpp is unknown.

    Args:
        path: the file.
        format_name: the format that `picture_format` gave; no other decoder is tried.

    Raises:
        SlideError: it cannot be decoded or is too large.
    """
    try:
        with open_image(path, [format_name]) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} x {image.height} px"
                message = f"{path}: {size} is too large for a {format_name}; save it as a tiled TIFF"
                raise SlideError(message)
            if is_deep(image):
                message = f"{path}: has more than 8 bits per channel; save it as 8-bit RGB"
                raise SlideError(message)
            if image.getexif().get(ORIENTATION, 1) in range(2, 9):
                message = (
                    f"{path}: its orientation says that the picture is turned or mirrored, which programs treat in "
                    "different ways; save it upright"
                )
                raise SlideError(message)
            rgba = image.convert("RGBA")
    except UNREADABLE as error:
        message = f"{path}: a {format_name} that cannot be decoded: {error}; copy it again"
        raise SlideError(message) from error
    backdrop = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    pixels = np.asarray(Image.alpha_composite(backdrop, rgba).convert("RGB"))
    return ArraySlide([pixels], mpp=None, name=path.stem, format_name=format_name)

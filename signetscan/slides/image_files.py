"""Opening JPEG, PNG and other plain pictures with Pillow; all code that reads them uses this."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from PIL import Image, ImageFile

if TYPE_CHECKING:
    from pathlib import Path

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises on files that it cannot open or decode; SyntaxError is for a broken chunk of a PNG."""


def open_image(path: Path, formats: list[str] | None = None) -> Image.Image:
    """Open a picture without decoding it. Pillow's warning about large pictures is off: callers check the size.

    Args:
        path: the file.
        formats: Pillow's names of the formats to try; all by default.

    Raises:
        OSError, ValueError, SyntaxError, DecompressionBombError: see `UNREADABLE`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=formats)


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture has more than 8 bits per channel.

    Pillow would cut the values of grey off at 255, and keep only the high byte of colours, which are black if a camera
    stored 12 bits.
    """
    parts = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return image.mode.startswith(("I", "F")) or any(";16" in str(part.args) for part in parts)

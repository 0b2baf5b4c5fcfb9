"""Opening JPEG, PNG and other plain pictures with Pillow, the same way wherever one is read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises on files that it cannot open or decode; SyntaxError is a broken chunk of a PNG."""


def open_image(path: Path, formats: list[str] | None = None) -> Image.Image:
    """Open a picture, to be decoded later; the caller checks its size, so Pillow's warning about that is silent.

    Args:
        path: the file.
        formats: Pillow's names of the formats to try; all by default.

    Raises:
        OSError, ValueError, SyntaxError, DecompressionBombError: see `UNREADABLE`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=formats)

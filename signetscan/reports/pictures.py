"""Pictures as text that is a part of the page: plots, and crops of an image with a box drawn in."""

from __future__ import annotations

import base64
import io
from enum import StrEnum
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from signetscan.slides.array_slide import cut

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.formats.colours import Colour

THUMBNAIL_PX = 224
"""Side of a crop in the file, pixels: twice the side at which it is shown, for high-density screens."""
MARGIN = 1.3
"""A crop is at least this many times as wide as its box."""
LINE_PX = 3
"""Width of a box's line, pixels."""
QUALITY = 82
"""Quality of a JPEG."""


class BoxColour(StrEnum):
    """Colour of a box by what it shows. The colours stand out from the stains, and from each other even in grey."""

    HIT = "#1557b0"
    MISS = "#ffb000"
    FALSE_POSITIVE = "#d1101c"
    UNMATCHED = "#00a86b"


def figure_uri(figure: Figure) -> str:
    """A plot as a PNG in a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return picture_uri(buffer, "image/png")


def thumbnail_uri(pixels: NDArray[np.uint8], box: Box, colour: BoxColour, *, window: float) -> str:
    """A box, drawn in, and its surroundings as a JPEG in a data URI.

    Args:
        pixels: the image, uint8 (H, W, 3).
        box: x0, y0, x1, y1, image pixels.
        colour: colour of the box.
        window: side of the area shown, image pixels; a large box gets more. What lies beyond the image is white.
    """
    x0, y0, x1, y1 = box
    side = max(round(max(window, MARGIN * (x1 - x0), MARGIN * (y1 - y0))), 1)
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    shown = Image.fromarray(cut(pixels, left, top, (side, side)))
    shown = shown.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BICUBIC)
    scale = THUMBNAIL_PX / side
    edges = [(x0 - left) * scale, (y0 - top) * scale, (x1 - left) * scale - 1, (y1 - top) * scale - 1]
    draw = ImageDraw.Draw(shown)
    # The line gets a white seam on both sides, which is drawn first and one pixel wider.
    for line_colour, seam in (("white", 1), (str(colour), 0)):
        grown = [edges[0] - seam, edges[1] - seam, edges[2] + seam, edges[3] + seam]
        draw.rectangle(_in_order(grown), outline=line_colour, width=LINE_PX + 2 * seam)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=QUALITY)
    return picture_uri(buffer, "image/jpeg")


def _in_order(edges: list[float]) -> Box:
    """The edges of a box, the second no less than the first, as Pillow demands."""
    x0, y0, x1, y1 = edges
    return x0, y0, max(x0, x1), max(y0, y1)


def css_colour(colour: Colour) -> str:
    """A colour as CSS has it."""
    return "#" + "".join(f"{part:02x}" for part in colour)


def picture_uri(buffer: io.BytesIO, kind: str) -> str:
    """An encoded picture as a data URI; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"

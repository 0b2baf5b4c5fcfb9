"""The overview of a slide: its picture, the part of the slide that it shows, and the outline of the tissue.

The picture is made from the slide's levels, never from its label or macro image, which may show patients' names.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from skimage import measure

from signetscan.reports.pictures import QUALITY, picture_uri
from signetscan.scan.overview import MAX_OVERVIEW_SIDE, read_overview
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.scan.tissue import TissueMask
    from signetscan.slides import Slide

OVERVIEW_PX = 2400
"""Longer side of the picture, pixels: sharp on a wide screen, and when it is enlarged; up to a megabyte."""
OUTLINE_PX = 800
"""Longer side of the mask whose outline is drawn, pixels."""
OUTLINE_TOLERANCE = 0.6
"""How far the drawn outline may be from that of the mask, pixels of the mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownArea:
    """The part of a slide that is shown: the bounds that the file declares, else the whole slide."""

    x: float
    """Left edge, level-0 pixels."""
    y: float
    """Top edge."""
    width: float
    """Width."""
    height: float
    """Height."""
    size_um: tuple[float, float]
    """Width and height, µm."""

    def per_cent(self, x: float, y: float) -> tuple[float, float]:
        """A point, level-0 pixels, in per cent of the area's width and height."""
        return 100 * (x - self.x) / self.width, 100 * (y - self.y) / self.height


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overview:
    """A picture of a slide."""

    area: ShownArea
    """The part of the slide that it shows."""
    pixels: NDArray[np.uint8]
    """(H, W, 3)."""
    is_readable: bool
    """Whether the slide could be read; the pixels are white if not."""

    def uri(self) -> str:
        """The picture as a JPEG in a data URI."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=QUALITY)
        return picture_uri(buffer, "image/jpeg")


def make_overview(slide: Slide) -> Overview:
    """A picture of a slide, white where it is too damaged to read.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    mpp = known_mpp(slide)
    width, height = slide.dimensions
    bounds = slide.bounds
    x, y, inner_width, inner_height = (
        (0, 0, width, height) if bounds is None else (bounds.x, bounds.y, bounds.width, bounds.height)
    )
    step = max(max(inner_width, inner_height) / OVERVIEW_PX, max(width, height) / MAX_OVERVIEW_SIDE, 1.0)
    overview = read_overview(slide, step, allow_unread=True)
    rows, columns = overview.unread.shape
    left, right = _cut(x, x + inner_width, columns / width, columns)
    top, bottom = _cut(y, y + inner_height, rows / height, rows)
    pixel = width / columns, height / rows
    shown_width, shown_height = (right - left) * pixel[0], (bottom - top) * pixel[1]
    area = ShownArea(
        x=left * pixel[0],
        y=top * pixel[1],
        width=shown_width,
        height=shown_height,
        size_um=(shown_width * mpp.x, shown_height * mpp.y),
    )
    shown = np.s_[top:bottom, left:right]
    return Overview(area=area, pixels=overview.pixels[shown], is_readable=not overview.unread[shown].all())


def _cut(start: float, end: float, scale: float, length: int) -> tuple[int, int]:
    """The range of pixels along an axis of a picture that shows a range of level 0; at least one pixel."""
    first = min(max(int(start * scale), 0), length - 1)
    return first, max(min(round(end * scale), length), first + 1)


def outline_path(tissue: TissueMask, area: ShownArea) -> str:
    """The outline of tissue as an SVG path, in thousandths of the area's width and height."""
    columns, rows = tissue.mask.shape[1], tissue.mask.shape[0]
    box = (
        max(area.x / tissue.pixel[0], 0),
        max(area.y / tissue.pixel[1], 0),
        min((area.x + area.width) / tissue.pixel[0], columns),
        min((area.y + area.height) / tissue.pixel[1], rows),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return ""
    step = max((box[2] - box[0]) / OUTLINE_PX, (box[3] - box[1]) / OUTLINE_PX, 1)
    size = max(round((box[2] - box[0]) / step), 1), max(round((box[3] - box[1]) / step), 1)
    mask = Image.fromarray(tissue.mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX, box=box)
    parts = []
    for contour in measure.find_contours(np.pad(np.asarray(mask), 1), 127.5):
        # Contours run through the centres of pixels and count the padding; half a pixel less is the mask's own frame.
        line = measure.approximate_polygon(contour, OUTLINE_TOLERANCE) - 0.5
        points = np.rint(np.clip(line[:, ::-1] / size, 0, 1) * 1000).astype(int)
        parts.append("M" + "L".join(f"{x} {y}" for x, y in points.tolist()) + "Z")
    return "".join(parts)

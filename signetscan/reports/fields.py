"""Pictures of fields: squares of a slide, read at about the size at which they are shown, with what was found drawn in.

What is drawn is an SVG over the picture, in thousandths of its side, so that it can be switched off.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import SlideError
from signetscan.reports.pictures import QUALITY, picture_uri
from signetscan.slides import SlideAtMpp
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.slides import Mpp, Slide

FIELD_PX = 384
"""Side of a picture in the file, pixels: cells can be told apart, and twelve take about half a megabyte."""
UNITS = 1000
"""Side of a picture in the units in which is drawn on it."""
MOST_UM = 1e4
"""Longest side of a field that gets a picture, µm. Files that somebody edited may hold any place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLine:
    """Lines of one colour on a picture."""

    path: str
    """An SVG path."""
    colour: str
    """A CSS colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPicture:
    """The picture of a field."""

    uri: str
    """Empty where the slide could not be read."""
    point: tuple[float, float]
    """Its middle in per cent of the overview's width and height."""
    drawn: tuple[DrawnLine, ...]
    x: float
    """Its middle, level-0 pixels."""
    y: float


def square_around(x: float, y: float, side_um: float, mpp: Mpp) -> Box:
    """The square of a side around a point; both in level-0 pixels."""
    across, down = side_um / mpp.x / 2, side_um / mpp.y / 2
    return x - across, y - down, x + across, y + down


def field_uri(slide: Slide, box: Box) -> str:
    """The picture of a square as a JPEG in a data URI; empty where it cannot be decoded.

    Args:
        slide: the slide.
        box: the square, x0, y0, x1, y1, level-0 pixels; what of it lies beyond the slide is white.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    mpp = known_mpp(slide)
    side_um = max((box[2] - box[0]) * mpp.x, (box[3] - box[1]) * mpp.y)
    if not side_um <= MOST_UM:
        return ""
    view = SlideAtMpp(slide, max(mpp.x, mpp.y, side_um / FIELD_PX))
    left, top = math.floor(box[0] / view.scale[0]), math.floor(box[1] / view.scale[1])
    width = max(round((box[2] - box[0]) / view.scale[0]), 1)
    height = max(round((box[3] - box[1]) / view.scale[1]), 1)
    try:
        pixels = view.read(left, top, width, height)
    except SlideError:
        return ""
    buffer = io.BytesIO()
    shown = Image.fromarray(pixels).resize((FIELD_PX, FIELD_PX), Image.Resampling.BICUBIC)
    shown.save(buffer, "JPEG", quality=QUALITY)
    return picture_uri(buffer, "image/jpeg")


def bounds_of(rings: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The box around each ring, (N, 4), x0, y0, x1, y1; so that those near a square are found at once."""
    if not rings:
        return np.empty((0, 4))
    starts = np.cumsum([0, *(len(ring) for ring in rings[:-1])])
    corners = np.concatenate(rings)
    return np.hstack([np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)])


def lines_within(rings: Sequence[NDArray[np.float64]], bounds: NDArray[np.float64], box: Box) -> str:
    """The edges of rings that touch a square, as an SVG path in its units; empty where there is none.

    Args:
        rings: closed rings of corners, (K, 2) each, level-0 pixels.
        bounds: the boxes around them, by `bounds_of`.
        box: the square, x0, y0, x1, y1, level-0 pixels.
    """
    low, high = np.array(box[:2]), np.array(box[2:])
    near = (bounds[:, :2] <= high).all(axis=1) & (bounds[:, 2:] >= low).all(axis=1)
    parts = []
    for ring in (rings[index] for index in np.flatnonzero(near).tolist()):
        below, above = np.minimum(ring[:-1], ring[1:]), np.maximum(ring[:-1], ring[1:])
        touches = ((above >= low) & (below <= high)).all(axis=1)
        points = np.rint((ring - low) / (high - low) * UNITS).astype(np.int64)
        # Runs of edges that touch the square are lines; a run ends where an edge does not.
        changes = np.flatnonzero(np.diff(np.concatenate([[False], touches, [False]]).astype(np.int8)))
        for start, end in changes.reshape(-1, 2).tolist():
            line = points[start : end + 1].tolist()
            parts.append("M" + "L".join(f"{x} {y}" for x, y in line))
    return "".join(parts)


def boxes_within(boxes: NDArray[np.float64], square: Box, most: int) -> str:
    """Boxes whose middle lies in a square, as an SVG path in its units.

    Args:
        boxes: (N, 4), x0, y0, x1, y1, level-0 pixels, the most important first.
        square: the same.
        most: most boxes that are drawn.
    """
    low, high = np.array(square[:2]), np.array(square[2:])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = boxes[((middles >= low) & (middles <= high)).all(axis=1)][:most]
    placed = np.rint((inside.reshape(-1, 2, 2) - low) / (high - low) * UNITS).astype(np.int64).reshape(-1, 4)
    return "".join(f"M{x0} {y0}H{x1}V{y1}H{x0}Z" for x0, y0, x1, y1 in placed.tolist())

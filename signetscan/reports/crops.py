"""Pictures of single detections, read from the slide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import SlideError
from signetscan.reports.pictures import MARGIN, THUMBNAIL_PX, BoxColour, thumbnail_uri
from signetscan.slides import SlideAtMpp
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.slides import Slide

WINDOW_UM = 40.0
"""Side of a picture, µm: a large cell and its neighbours."""

LARGEST_PX = 4096
"""Longest side of a box that gets a picture, level-0 pixels. Files that somebody edited may hold any box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """One picture of the gallery."""

    uri: str
    """Empty where there is no picture: the slide could not be read, or the box is too large for a cell."""
    score: float
    class_name: str
    x: float
    """Centre of the box, level-0 pixels."""
    y: float


def pick(scores: NDArray[np.float32], most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The detections with the highest scores and, of the others, those with the lowest; ties keep their order.

    Args:
        scores: scores of all detections.
        most: most detections of each kind.

    Returns:
        Indices of the best detections, highest score first, and of the borderline ones, lowest score first.
    """
    order = np.argsort(-scores, kind="stable")
    others = order[most:]
    return order[:most], others[np.argsort(scores[others], kind="stable")[:most]]


def make_crops(slide: Slide, scanned: ScannedSlide, which: NDArray[np.intp]) -> list[GalleryPicture]:
    """Pictures of some detections.

    Args:
        slide: the slide.
        scanned: its detections.
        which: indices of the detections.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    shown = scanned.detections.select(which)
    rows = zip(shown.boxes.tolist(), shown.labels.tolist(), shown.scores.tolist(), strict=True)
    return [
        GalleryPicture(
            uri=crop_uri(slide, (x0, y0, x1, y1), BoxColour.HIT, window_um=WINDOW_UM),
            score=score,
            class_name=scanned.class_names[label],
            x=(x0 + x1) / 2,
            y=(y0 + y1) / 2,
        )
        for (x0, y0, x1, y1), label, score in rows
    ]


def crop_uri(slide: Slide, box: Box, colour: BoxColour, *, window_um: float) -> str:
    """A picture of a box on a slide and its surroundings, read at about the size at which it is shown.

    Args:
        slide: the slide.
        box: level-0 pixels.
        colour: colour in which the box is drawn.
        window_um: side of the area shown, µm; a large box gets more.

    Returns:
        As `thumbnail_uri`; empty where the slide cannot be decoded, or the box is too large for a cell.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    mpp = known_mpp(slide)
    x0, y0, x1, y1 = box
    if max(x1 - x0, y1 - y0) > LARGEST_PX:
        return ""
    side_um = max(window_um, MARGIN * (x1 - x0) * mpp.x, MARGIN * (y1 - y0) * mpp.y)
    view = SlideAtMpp(slide, max(mpp.x, mpp.y, side_um / THUMBNAIL_PX))
    left, top, right, bottom = (
        edge / scale for edge, scale in zip(box, (*view.scale, *view.scale), strict=True)
    )  # in view pixels
    window = side_um / max(view.pixel_um)
    reach = math.ceil(window / 2) + 2  # two pixels more, since the centre and the window are rounded
    x, y = math.floor((left + right) / 2) - reach, math.floor((top + bottom) / 2) - reach
    try:
        pixels = view.read(x, y, 2 * reach + 1, 2 * reach + 1)
    except SlideError:
        return ""
    return thumbnail_uri(pixels, (left - x, top - y, right - x, bottom - y), colour, window=window)

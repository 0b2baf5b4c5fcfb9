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
"""Longest side of a box that gets a picture, level-0 pixels; a file that somebody changed may hold any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """One picture of the gallery."""

    uri: str
    """Empty where there is no picture: the slide could not be read, or the box is no cell's."""
    score: float
    class_name: str
    x: float
    """Of the centre, level-0 pixels."""
    y: float


def pick(scores: NDArray[np.float32], most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The detections of the highest scores, and of the others those of the lowest; equal ones in their order.

    Args:
        scores: of all detections.
        most: most detections of each kind.

    Returns:
        Indices of the best, the highest score first; of the borderline ones, the lowest first.
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
    """A picture of what lies around a box on a slide, read at about the size at which it is shown.

    Args:
        slide: the slide.
        box: level-0 pixels.
        colour: of the box.
        window_um: side of what is shown, µm; more where the box needs it.

    Returns:
        As `thumbnail_uri`; empty where the slide cannot be decoded, or the box is no cell's.

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
    reach = math.ceil(window / 2) + 2
    x, y = math.floor((left + right) / 2) - reach, math.floor((top + bottom) / 2) - reach
    try:
        pixels = view.read(x, y, 2 * reach + 1, 2 * reach + 1)
    except SlideError:
        return ""
    return thumbnail_uri(pixels, (left - x, top - y, right - x, bottom - y), colour, window=window)

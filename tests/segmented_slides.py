"""Segmented slides as writers get them, made up for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from signetscan.formats.class_areas import ClassArea
from signetscan.formats.segmented_slide import SegmentedSlide
from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, UNREAD, ClassMap
from signetscan.scan.options import ResolvedSegmentOptions
from signetscan.slides import Mpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("Background", "Gland: Low", '"High" <b>')
COLOURS = ((200, 200, 200), (255, 127, 0), (227, 26, 28))
PIXEL = (16.0, 8.0)
"""Level-0 pixels per pixel of the map."""
MPP = Mpp(0.25, 0.5)


def patches(rows: int, columns: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Classes in patches, with glass and something that could not be read; and probabilities."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.normal(size=(len(NAMES), rows, columns)), (0, 6, 6))
    classes = (fields.argmax(axis=0) + FIRST_CLASS).astype(np.uint8)
    classes[ndimage.gaussian_filter(rng.normal(size=(rows, columns)), 9) > 0.02] = NOT_SCANNED
    classes[: rows // 8, : columns // 8] = UNREAD
    scored = rng.integers(0, 256, (rows, columns), np.uint8)
    scored[(classes == NOT_SCANNED) | (classes == UNREAD)] = 0
    return classes, scored


def segmented(rows: int = 70, columns: int = 90, **changes: Any) -> SegmentedSlide:  # noqa: ANN401
    """A slide with a map of so many rows and columns."""
    classes, scored = patches(rows, columns)
    pixel_um = PIXEL[0] * MPP.x, PIXEL[1] * MPP.y
    values: dict[str, Any] = {
        "name": "a slide.regions",
        "class_map": ClassMap(classes=classes, scored=scored, pixel=PIXEL, pixel_um=pixel_um),
        "class_names": NAMES,
        "class_colours": COLOURS,
        "background": 0,
        "scored": (1, 2),
        "options": ResolvedSegmentOptions(
            tile_size=1024, batch_size=1, read_threads=1, trim_tiles=False, min_area=0, min_hole=0, simplify=0.0
        ),
        "areas": tuple(
            ClassArea(
                name=name,
                mm2=round(int((classes == label).sum()) * pixel_um[0] * pixel_um[1] / 1e6, 6),
                share=0.25,
                regions=3,
            )
            for label, name in enumerate(NAMES, FIRST_CLASS)
        ),
        "model": "test",
        "model_sha256": "0" * 64,
        "learnt_from": "glands",
        "fingerprint": "f",
        "mpp": MPP,
        "dimensions": (int(columns * PIXEL[0]) - 5, int(rows * PIXEL[1]) - 3),
    }
    return SegmentedSlide(**(values | changes))

"""Real images to draw on, resampled to the simulator's 0.25 µm per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import AnnotationError, SlideError
from signetscan.simulate.canvas import TISSUE_STEP, Canvas
from signetscan.simulate.options import MPP
from signetscan.simulate.stain import stain_of
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.slides.image_files import UNREADABLE, open_image
from signetscan.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.simulate.stain import Stain

MAX_PIXELS = 200_000_000
"""Largest background, pixels after resampling: it is held in memory."""

BARE_GLASS = 215
"""A pixel of an overview whose darkest channel is above this shows glass, 0 to 255."""
CROP_TRIES = 6
"""Places tried for a crop, to find one with enough tissue in it."""
ENOUGH_TISSUE = 0.6
"""Share of tissue above which one crop is as good as another."""


def read_background(path: Path) -> NDArray[np.uint8]:
    """A real image at 0.25 µm per pixel, uint8 (H, W, 3).

    Args:
        path: a picture, taken to have that resolution, or a slide that knows its own.

    Raises:
        AnnotationError: the picture cannot be read or is too large.
        SlideError: the slide cannot be opened, or its resolution is unknown.
    """
    if path.suffix.lower() in PICTURE_SUFFIXES:  # taken to be of 0.25 µm per pixel; all others are opened as slides
        try:
            with open_image(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise AnnotationError(_too_large(path))
                return np.asarray(image.convert("RGB"))
        except UNREADABLE as error:
            message = f"{path}: cannot read this background picture: {error}"
            raise AnnotationError(message) from error
    with open_slide(path) as slide:
        view = SlideAtMpp(slide, MPP)
        width, height = view.dimensions
        if width * height > MAX_PIXELS:
            raise SlideError(_too_large(path))
        return view.read(0, 0, width, height)


def _too_large(path: Path) -> str:
    return f"{path}: too large for a background (over {MAX_PIXELS // 1_000_000} megapixels); cut a part out of it"


def random_crop(
    rng: np.random.Generator, backgrounds: Sequence[NDArray[np.uint8]], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A piece of a real image, turned or mirrored by lot; a small one is continued by its own mirror image.

    Args:
        rng: source of randomness.
        backgrounds: real images (H, W, 3).
        size: width and height of the piece, pixels.
    """
    areas = np.array([image.shape[0] * image.shape[1] for image in backgrounds], np.float64)
    image = backgrounds[int(rng.choice(len(backgrounds), p=areas / areas.sum()))]
    image = np.rot90(image, int(rng.integers(4)))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    crops = (_crop(rng, image, size) for _ in range(CROP_TRIES))
    return max(crops, key=lambda crop: float(min(tissue_map(crop).mean(), ENOUGH_TISSUE)))


def _crop(rng: np.random.Generator, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size
    missing = max(height - image.shape[0], 0), max(width - image.shape[1], 0)
    if any(missing):
        image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), "symmetric")
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def real_canvas(rng: np.random.Generator, crop: NDArray[np.uint8]) -> tuple[Canvas, Stain]:
    """A canvas holding a real image (H, W, 3), and the stain that it was taken apart with."""
    stain = stain_of(crop)
    canvas = Canvas(rng, stain.to_amounts(crop))
    canvas.tissue = tissue_map(crop)
    return canvas, stain


def tissue_map(crop: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a real image (H, W, 3) shows tissue, one value for each 16 x 16 pixels."""
    height, width = crop.shape[:2]
    small = Image.fromarray(crop).resize((-(-width // TISSUE_STEP), -(-height // TISSUE_STEP)), Image.Resampling.BOX)
    darkest = np.asarray(small.convert("RGB")).min(axis=2)
    return np.asarray(darkest < BARE_GLASS)

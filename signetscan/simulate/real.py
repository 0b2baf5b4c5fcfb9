"""Real images to draw on, resampled to the simulator's 0.25 µm per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import AnnotationError, SlideError
from signetscan.simulate.canvas import TISSUE_STEP
from signetscan.simulate.noise import log_uniform
from signetscan.simulate.options import MPP
from signetscan.simulate.real_canvas import RealCanvas
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
"""Value, 0 to 255, above which the darkest channel of an overview's pixel is glass."""
ZOOM = (0.6, 1.3)
"""Least and most magnification of a piece: what is said of a file's magnification is often off."""
CROP_TRIES = 6
"""Crops to choose from, so that one has enough tissue."""
ENOUGH_TISSUE = 0.6
"""Fraction of tissue above which crops are equally good."""
CROWDED = 0.5
"""Part of the pieces that are chosen for their many nuclei: cells of cancer lie in crowds more often than others."""


def read_background(path: Path) -> NDArray[np.uint8]:
    """A real image at 0.25 µm per pixel, uint8 (H, W, 3).

    Args:
        path: an image, assumed to have that mpp, or a slide with any known mpp.

    Raises:
        AnnotationError: the image cannot be read or is too large.
        SlideError: the slide cannot be opened or is too large, or its mpp is unknown.
    """
    if path.suffix.lower() in PICTURE_SUFFIXES:
        try:
            with open_image(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise AnnotationError(_too_large(path))
                return np.asarray(image.convert("RGB"))
        except UNREADABLE as error:
            message = f"{path}: cannot read this background image: {error}"
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
    """A random piece of a real image, randomly turned, mirrored and magnified.

    Images that are too small are continued by mirroring.

    Args:
        rng: source of randomness.
        backgrounds: real images (H, W, 3).
        size: width and height of the piece, pixels.
    """
    zoom = log_uniform(rng, *ZOOM)
    taken = (max(round(size[0] / zoom), 16), max(round(size[1] / zoom), 16))
    crowded = rng.random() < CROWDED
    # By area, so that every part of all images is equally likely.
    areas = np.array([image.shape[0] * image.shape[1] for image in backgrounds], np.float64)
    images = rng.choice(len(backgrounds), CROP_TRIES if crowded else 1, p=areas / areas.sum())
    crops = [_crop(rng, backgrounds[int(images[index % len(images)])], taken) for index in range(CROP_TRIES)]
    tissue = [float(min(tissue_map(crop).mean(), ENOUGH_TISSUE)) for crop in crops]
    # Haematoxylin takes the red light that eosin lets through.
    dark = [255 - float(crop[::8, ::8, 0].mean()) if crowded else 0.0 for crop in crops]
    chosen = crops[max(range(CROP_TRIES), key=lambda index: (tissue[index], dark[index]))]
    return np.asarray(Image.fromarray(chosen).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))


def _crop(rng: np.random.Generator, image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A piece from anywhere in an image, which is turned and mirrored at random before."""
    width, height = size
    image = np.rot90(image, int(rng.integers(4)))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    missing = max(height - image.shape[0], 0), max(width - image.shape[1], 0)
    if any(missing):
        image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), "symmetric")
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def real_canvas(rng: np.random.Generator, crop: NDArray[np.uint8]) -> tuple[RealCanvas, Stain]:
    """A canvas with a real image (H, W, 3) on it, and the stain that gives the image again."""
    stain = stain_of(crop)
    canvas = RealCanvas(rng, stain.to_amounts(crop))
    canvas.tissue = tissue_map(crop)
    return canvas, stain


def tissue_map(crop: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a real image (H, W, 3) shows tissue, for each square of 16 x 16 pixels."""
    height, width = crop.shape[:2]
    small = Image.fromarray(crop).resize((-(-width // TISSUE_STEP), -(-height // TISSUE_STEP)), Image.Resampling.BOX)
    darkest = np.asarray(small.convert("RGB")).min(axis=2)
    return np.asarray(darkest < BARE_GLASS)

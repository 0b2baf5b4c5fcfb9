"""Cutting training crops out of annotated images. Every crop depends on the seed, the epoch and its number alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.dataset import read_pixels
from signetscan.pixel_cache import PixelCache
from signetscan.slides.array_slide import cut
from signetscan.training.augment import degrade, restain, turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.dataset import AnnotatedImage, Place
    from signetscan.training.options import TrainOptions

CACHE_PART = 0.3
"""Part of the machine's memory for decoded images: decoding one costs as much as training on a crop of it."""
CACHE_BYTES = 2 << 30
"""The same where the machine does not say how much memory it has."""

LEAST_VISIBLE = 0.4
"""A cell of which less than this part lies in the crop is no longer a cell to find."""

RESTAIN = 0.2
"""How much the stain varies under strong augmentation; see `restain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A square of an image, which crops are cut from."""

    image: int
    """Index of the image."""
    x: int
    """Left edge, image pixels."""
    y: int
    """Top edge, image pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingCrop:
    """What the network sees in one go."""

    pixels: NDArray[np.uint8]
    """(S, S, 3)."""
    boxes: NDArray[np.float64]
    """(N, 4), crop pixels."""
    labels: NDArray[np.int64]
    """(N,)."""
    normal: bool
    """Whether it is from an image without cells."""
    name: str
    """The image's name, for messages."""
    ignored: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 4)))
    """(M, 4), rectangles in which nothing is background, crop pixels."""


class ImageCache:
    """Decoded images, the latest used ones kept. Safe to use from several threads."""

    def __init__(self) -> None:
        self._images: PixelCache[tuple[Path, Place | None]] = PixelCache(_cache_bytes())

    def get(self, image: AnnotatedImage) -> NDArray[np.uint8]:
        """An image's pixels, which nobody may write to.

        Raises:
            AnnotationError: it cannot be decoded.
            SlideError: its slide cannot be read.
        """
        # Pieces of one slide share its file, so the place is part of the key.
        return self._images.get((image.path, image.place), lambda: read_pixels(image))


def _cache_bytes() -> int:
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return CACHE_BYTES
    return int(memory * CACHE_PART)


def list_patches(images: Sequence[AnnotatedImage], side: int, step: int) -> tuple[list[Patch], list[Patch]]:
    """All patches with a box, and all patches of normal images.

    Patches of positive images without any box are left out: each would be a bet that nobody missed a cell in it.

    Args:
        images: the images.
        side: side of a patch, pixels.
        step: distance between patches, pixels.
    """
    positives, normals = [], []
    for index, image in enumerate(images):
        for y in _starts(image.height, side, step):
            for x in _starts(image.width, side, step):
                patch = Patch(image=index, x=x, y=y)
                if image.normal:
                    normals.append(patch)
                elif _holds_centre(image.boxes, x, y, side):
                    positives.append(patch)
    return positives, normals


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where patches start along one axis, so that all of it is covered; the last one ends at the edge."""
    last = max(length - side, 0)
    return [*range(0, last, step), last]


def _holds_centre(boxes: NDArray[np.float64], x: int, y: int, side: int) -> bool:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - (x, y)
    return bool(((middle >= 0) & (middle < side)).all(axis=1).any())


def plan_epoch(
    rng: np.random.Generator, positives: Sequence[Patch], normals: Sequence[Patch], options: TrainOptions
) -> list[list[Patch]]:
    """The batches of an epoch: each holds positive and normal patches in the ratio asked for.

    An epoch ends when every positive patch was used once, or after `options.batches` batches; patches are used in
    random order, and again from the start where one kind runs out.
    """
    wanted = options.batch_size / (1 + options.normals_per_positive) if normals else options.batch_size
    of_positive = max(1, round(wanted))
    batches = options.batches or -(-len(positives) // of_positive)
    first = _endless(rng, positives, batches * of_positive)
    second = _endless(rng, normals, batches * (options.batch_size - of_positive)) if normals else []
    return [
        first[number::batches][:of_positive] + second[number::batches][: options.batch_size - of_positive]
        for number in range(batches)
    ]


def _endless(rng: np.random.Generator, patches: Sequence[Patch], count: int) -> list[Patch]:
    chosen: list[Patch] = []
    while len(chosen) < count:
        chosen += [patches[index] for index in rng.permutation(len(patches))]
    return chosen[:count]


def cut_crop(
    rng: np.random.Generator, cache: ImageCache, image: AnnotatedImage, patch: Patch, options: TrainOptions
) -> TrainingCrop:
    """A random crop of a patch, augmented."""
    scale = float(np.exp(rng.uniform(-1, 1) * np.log(options.max_scale)))
    side = round(options.crop / scale)
    # A patch of an image smaller than itself ends where the image does, so that no crop is of nothing.
    room_x, room_y = (max(min(options.patch, end) - side, 0) for end in (image.width - patch.x, image.height - patch.y))
    x, y = patch.x + int(rng.integers(room_x + 1)), patch.y + int(rng.integers(room_y + 1))
    pixels = cut(cache.get(image), x, y, (side, side))
    if side != options.crop:
        resized = Image.fromarray(pixels).resize((options.crop, options.crop), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized)
    boxes, labels = _visible(image, x, y, side)
    both = np.concatenate([boxes, image.ignored - (x, y, x, y)]) * (options.crop / side)
    pixels, both = turn(rng, pixels, both)
    boxes, ignored = both[: len(labels)], both[len(labels) :]
    if options.augment == "strong":
        pixels = degrade(rng, restain(rng, pixels, RESTAIN))
    return TrainingCrop(
        pixels=pixels, boxes=boxes, labels=labels, normal=image.normal, name=image.name, ignored=ignored
    )


def _visible(image: AnnotatedImage, x: int, y: int, side: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The boxes of which enough lies in a window, clipped to it, in its pixels."""
    moved = image.boxes - (x, y, x, y)
    clipped = np.clip(moved, 0, side)
    size, whole = clipped[:, 2:] - clipped[:, :2], moved[:, 2:] - moved[:, :2]
    keep = (size.prod(axis=1) >= LEAST_VISIBLE * whole.prod(axis=1)) & (size.min(axis=1, initial=np.inf) > 1)
    return clipped[keep], image.labels[keep]

"""Training crops of annotated images. A crop depends on the seed, the epoch and its number alone."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

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
    from signetscan.training.options import RunOptions, TrainOptions

CACHE_PART = 0.3
"""Part of the machine's memory that decoded images may fill: decoding one costs as much as training on a crop of it."""
CACHE_BYTES = 2 << 30
"""The limit where the system does not say how much memory it has."""

LEAST_VISIBLE = 0.4
"""A cell of which less than this part lies in the crop is no cell to predict."""

REACH = 0.75
"""How far beyond the edge of the image crops are drawn, in sides of a crop, before they are mirrored to at most a half:
a cell at the edge of the image is then in 0.75, one half a crop from it in 1.25 times as many crops as others, along
each axis. If all crops lay in the image, a cell in its corner would hardly be in any."""
TRIES = 20
"""How often a crop of an image with cells is drawn anew until it shows one."""

RESTAIN = 0.2
"""How much the stain varies under strong augmentation; see `restain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A part of an image from which crops are cut. It may reach over the edge of the image."""

    image: int
    """Index of the image."""
    x: int
    """Left edge, image pixels."""
    y: int
    """Top edge, image pixels."""
    width: int
    """Width, pixels; at least that of a crop."""
    height: int
    """Height, pixels."""
    label: int | None = None
    """Label of the class that crops of it are to show; None if any will do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingCrop:
    """A square of pixels to train on, augmented, with its boxes."""

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


class Sized(Protocol):
    """An image."""

    @property
    def width(self) -> int:
        """Width, pixels."""

    @property
    def height(self) -> int:
        """Height, pixels."""


class ImageCache:
    """Decoded images, of which those used last are kept. Safe to use from several threads."""

    def __init__(self) -> None:
        self._images: PixelCache[tuple[Path, Place | None]] = PixelCache(cache_bytes())

    def get(self, image: AnnotatedImage) -> NDArray[np.uint8]:
        """The pixels of an image, read-only, since crops share them.

        Raises:
            AnnotationError: the image cannot be decoded.
            SlideError: its slide cannot be read.
        """
        # Regions of one slide share its file, so the path alone would not do as the key.
        return self._images.get((image.path, image.place), lambda: read_pixels(image))


def cache_bytes() -> int:
    """How many bytes of decoded images may be kept in memory."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return CACHE_BYTES
    return int(memory * CACHE_PART)


def list_patches(images: Sequence[AnnotatedImage], options: TrainOptions) -> tuple[list[Patch], list[Patch]]:
    """All patches with the centre of a box, and all patches of normal images.

    Patches of positive images without any box are left out, because annotators may have missed cells in them.

    Args:
        images: the images.
        options: sides of patches and crops, and distance between patches.
    """
    positives: list[Patch] = []
    normals: list[Patch] = []
    for index, image in enumerate(images):
        for y, height in spans(image.height, options):
            for x, width in spans(image.width, options):
                patch = Patch(image=index, x=x, y=y, width=width, height=height)
                if image.normal:
                    normals.append(patch)
                elif _holds_centre(image.boxes, patch):
                    positives.append(patch)
    return positives, normals


def spans(length: int, options: RunOptions) -> list[tuple[int, int]]:
    """Start and length of the patches along one axis, as many as patches that lie in the image would need.

    Their crops start at equally many places of each, from `REACH` of a crop before the image on, so that no place is
    left out and none is in more crops than another.
    """
    if length <= options.crop:
        return [(length - options.crop, 2 * options.crop - length)]  # every crop shows all of it
    count = len(range(0, max(length - options.patch, 0), options.patch_step)) + 1
    reach = round(REACH * options.crop)
    starts = np.linspace(-reach, length - options.crop + reach, count + 1).round().astype(int).tolist()
    return [(start, end - start + options.crop) for start, end in itertools.pairwise(starts)]


def _holds_centre(boxes: NDArray[np.float64], patch: Patch) -> bool:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - (patch.x, patch.y)
    return bool(((centres >= 0) & (centres < (patch.width, patch.height))).all(axis=1).any())


def plan_epoch(
    rng: np.random.Generator, positives: Sequence[Sequence[Patch]], normals: Sequence[Patch], options: RunOptions
) -> list[list[Patch]]:
    """The batches of an epoch, each with positive and normal patches in the ratio of the options.

    An epoch ends when as many positive patches have been used as there are places of such patches, or after
    `options.batches` batches. Patches come in random order; when one kind runs out, it is shuffled again.

    Args:
        rng: gives the order.
        positives: patches of images that are not normal, in groups from which equally many are taken.
        normals: patches of normal images.
        options: batch size, ratio and number of batches.
    """
    wanted = options.batch_size / (1 + options.normals_per_positive) if normals else options.batch_size
    # At least one: a batch without any positive would have no box to learn from.
    positives_each = max(1, round(wanted))
    normals_each = options.batch_size - positives_each if normals else 0
    places = {(patch.image, patch.x, patch.y) for group in positives for patch in group}
    batches = options.batches or -(-len(places) // positives_each)
    chosen_positives = _from_groups(rng, positives, batches * positives_each)
    chosen_normals = _shuffled(rng, normals, batches * normals_each)
    # Every batch takes each `batches`-th patch, so that the patches of one shuffle are spread over the epoch, and each
    # batch has about as many of every group. Which groups have one more changes with the number, so the order is mixed:
    # or the last batches, by whose statistics a network is judged, would show the same groups most.
    order = range(batches) if len(positives) == 1 else rng.permutation(batches).tolist()
    return [chosen_positives[number::batches] + chosen_normals[number::batches] for number in order]


def _from_groups(rng: np.random.Generator, groups: Sequence[Sequence[Patch]], count: int) -> list[Patch]:
    """So many patches, group by group, as many of each or one more; the groups that give one more are chosen anew."""
    if len(groups) == 1:
        return _shuffled(rng, groups[0], count)
    extra = set(rng.permutation(len(groups))[: count % len(groups)].tolist())
    shares = [count // len(groups) + (index in extra) for index in range(len(groups))]
    return [patch for group, share in zip(groups, shares, strict=True) for patch in _shuffled(rng, group, share)]


def _shuffled(rng: np.random.Generator, patches: Sequence[Patch], count: int) -> list[Patch]:
    """So many patches in random order, each as often as any other or once more."""
    chosen: list[Patch] = []
    while len(chosen) < count:
        chosen += [patches[index] for index in rng.permutation(len(patches))]
    return chosen[:count]


def cut_crop(
    rng: np.random.Generator, cache: ImageCache, image: AnnotatedImage, patch: Patch, options: TrainOptions
) -> TrainingCrop:
    """A random crop of a patch, augmented. It is white where it reaches over the edge of the image."""
    scale = float(np.exp(rng.uniform(-1, 1) * np.log(options.max_scale)))
    side = round(options.crop / scale)
    x, y = place_crop(rng, image, patch, options, side)
    for _ in range(TRIES):
        if image.normal or len(_visible(image, x, y, side)[0]):
            break
        x, y = place_crop(rng, image, patch, options, side)
    pixels = cut(cache.get(image), x, y, (side, side))
    if side != options.crop:
        resized = Image.fromarray(pixels).resize((options.crop, options.crop), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized)
    boxes, labels = _visible(image, x, y, side)
    # Boxes and ignored areas are turned together, because each call of `turn` draws anew.
    rectangles = np.concatenate([boxes, image.ignored - (x, y, x, y)]) * (options.crop / side)
    pixels, rectangles = turn(rng, pixels, rectangles)
    boxes, ignored = rectangles[: len(labels)], rectangles[len(labels) :]
    if options.augment == "strong":
        pixels = degrade(rng, restain(rng, pixels, RESTAIN))
    return TrainingCrop(
        pixels=pixels, boxes=boxes, labels=labels, normal=image.normal, name=image.name, ignored=ignored
    )


def place_crop(rng: np.random.Generator, image: Sized, patch: Patch, options: RunOptions, side: int) -> tuple[int, int]:
    """A random left and top edge of a crop of a patch, image pixels."""
    places = []
    for start, length, end in ((patch.x, patch.width, image.width), (patch.y, patch.height, image.height)):
        # A crop of another scale has its centre where one of the usual size has it.
        drawn = start + int(rng.integers(length - options.crop + 1)) + (options.crop - side) // 2
        # At most half of a crop is beyond the edge: one that would reach farther is mirrored at that limit.
        first, last = (-side // 2, end - side // 2) if end > side else (end - side, 0)
        mirrored = 2 * first - drawn if drawn < first else 2 * last - drawn if drawn > last else drawn
        places.append(min(max(mirrored, first), last))
    x, y = places
    return x, y


def _visible(image: AnnotatedImage, x: int, y: int, side: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The boxes of which enough lies in a window, clipped to it, in its pixels; and their labels."""
    moved = image.boxes - (x, y, x, y)
    clipped = np.clip(moved, 0, side)
    size, whole = clipped[:, 2:] - clipped[:, :2], moved[:, 2:] - moved[:, :2]
    keep = (size.prod(axis=1) >= LEAST_VISIBLE * whole.prod(axis=1)) & (size.min(axis=1, initial=np.inf) > 1)
    return clipped[keep], image.labels[keep]

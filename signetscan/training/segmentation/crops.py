"""Training crops of images with masks. A crop depends on the seed, the epoch and its number alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from signetscan.dataset.masks.images import BACKGROUND, IGNORED, DrawnMask
from signetscan.training.augment import degrade, restain, turn
from signetscan.training.crops import RESTAIN, TRIES, Patch, place_crop, spans
from signetscan.training.losses import Source
from signetscan.training.segmentation.options import STRIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from signetscan.dataset.masks.view import MaskedView
    from signetscan.training.segmentation.options import SegmentationOptions

SHOWS_ITS_CLASS = 0.5
"""Part of the crops of images with lesions that are drawn anew until they show the class for which their patch was
chosen, if they can; the others show what else there is in such an image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedCrop:
    """A square of pixels to train on, augmented, with labels at the network's output stride s."""

    pixels: NDArray[np.uint8]
    """(S, S, 3), S a multiple of the network's stride."""
    labels: NDArray[np.uint8]
    """(S / s, S / s)."""
    sources: NDArray[np.uint8]
    """(S / s, S / s), `Source` of each label; ignored outside the image, and where nobody said what it shows."""
    name: str
    """The image's name, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskedBatch:
    """B crops as tensors."""

    pixels: Tensor
    """uint8 (B, S, S, 3), RGB."""
    labels: Tensor
    """int64 (B, S / s, S / s)."""
    sources: Tensor
    """int64 (B, S / s, S / s)."""
    names: tuple[str, ...]
    """Names of the images, for messages."""


def list_patches(views: Sequence[MaskedView], options: SegmentationOptions) -> tuple[list[list[Patch]], list[Patch]]:
    """All patches of images that show a class in a group for each class, and all of other images.

    A patch is in the group of each class that its image shows; if that has several, of those that the patch shows, and
    of the one that most images show if it shows none. Equally many crops of each group make a rare class as well known
    as a frequent one.

    Args:
        views: the images.
        options: sides of patches and crops, and distance between patches.

    Raises:
        AnnotationError: a mask cannot be decoded.
        OutputError: the file of a large mask cannot be written.
    """
    groups: dict[int, list[Patch]] = {}
    normals: list[Patch] = []
    images_with = Counter(label for view in views for label in view.image.shows)
    for index, view in enumerate(views):
        for y, height in spans(view.height, options):
            for x, width in spans(view.width, options):
                patch = Patch(image=index, x=x, y=y, width=width, height=height)
                if not view.image.shows:
                    normals.append(patch)
                for label in _labels_in(view, patch, images_with):
                    groups.setdefault(label, []).append(replace(patch, label=label))
    return [groups[label] for label in sorted(groups)], normals


def _labels_in(view: MaskedView, patch: Patch, images_with: Counter[int]) -> tuple[int, ...]:
    """The labels of the classes to whose groups a patch belongs."""
    shows = view.image.shows
    if len(shows) <= 1 and not isinstance(view.image.mask, DrawnMask):  # the mask need not be read
        return shows
    if not shows:
        return ()
    found = np.flatnonzero(np.bincount(view.labels(patch.x, patch.y, patch.width, patch.height).ravel()))
    labels = tuple(int(label) for label in found if label not in (BACKGROUND, IGNORED))
    return labels or (max(shows, key=lambda label: images_with[label]),)


def cut_crop(rng: np.random.Generator, view: MaskedView, patch: Patch, options: SegmentationOptions) -> MaskedCrop:
    """A random crop of a patch, augmented. It is white, and without a label, where it reaches over the image's edge."""
    scale = float(np.exp(rng.uniform(-1, 1) * np.log(options.max_scale)))
    side = round(options.crop / scale)
    shows_it = patch.label is not None and rng.random() < SHOWS_ITS_CLASS
    x, y = _place(rng, view, patch, options, side)
    labels = view.labels(x, y, side, side)
    for _ in range(TRIES if shows_it else 0):
        if (labels == patch.label).any():
            break
        x, y = _place(rng, view, patch, options, side)
        labels = view.labels(x, y, side, side)
    columns, rows = (
        (start + np.arange(side) >= 0) & (start + np.arange(side) < end)
        for start, end in ((x, view.width), (y, view.height))
    )
    inside = (rows[:, None] & columns).astype(np.uint8)
    layers = _resized(view.pixels(x, y, side, side), labels, inside, options.crop)
    # One array, because each call of `turn` draws anew.
    layers, _ = turn(rng, layers, np.empty((0, 4)))
    pixels = np.ascontiguousarray(layers[..., :3])
    if options.augment == "strong":
        pixels = degrade(rng, restain(rng, pixels, RESTAIN))
    step = options.architecture.output_stride
    padded = -(-options.crop // STRIDE) * STRIDE - options.crop
    labels, inside = (
        np.pad(layers[..., channel], (0, padded))[step // 2 :: step, step // 2 :: step] for channel in (3, 4)
    )
    known = inside.astype(np.bool_) & (labels != IGNORED)
    labels = np.where(known, labels, np.uint8(BACKGROUND))
    return MaskedCrop(
        pixels=np.pad(pixels, ((0, padded), (0, padded), (0, 0)), constant_values=255),
        labels=labels,
        sources=_sources(labels, known, normal=view.image.normal),
        name=view.image.name,
    )


def _place(
    rng: np.random.Generator, view: MaskedView, patch: Patch, options: SegmentationOptions, side: int
) -> tuple[int, int]:
    """A random left and top edge of a crop of a patch, view pixels.

    All crops of an image no larger than a crop would have the same centre. So there, one that will be enlarged lies
    anywhere in the crop of the usual size, and that lies anywhere in one that will be shrunk.
    """
    freedom = abs(options.crop - side) // 2
    x, y = place_crop(rng, view, patch, options, side)
    across, down = rng.integers(-freedom, freedom + 1, 2).tolist()
    return (
        x + (across if view.width <= options.crop else 0),
        y + (down if view.height <= options.crop else 0),
    )


def _resized(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], inside: NDArray[np.uint8], side: int
) -> NDArray[np.uint8]:
    """Pixels, labels and what is inside the image as one array (side, side, 5)."""
    if len(pixels) != side:
        size = (side, side)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        labels, inside = (
            np.asarray(Image.fromarray(layer).resize(size, Image.Resampling.NEAREST)) for layer in (labels, inside)
        )
    return np.dstack([pixels, labels, inside])


def _sources(labels: NDArray[np.uint8], known: NDArray[np.bool_], *, normal: bool) -> NDArray[np.uint8]:
    """How far each label can be trusted; see `signetscan.training.segmentation.losses`."""
    background = Source.NORMAL if normal else Source.NOISY
    sources = np.where(labels == BACKGROUND, np.uint8(background), np.uint8(Source.POSITIVE))
    return np.where(known, sources, np.uint8(Source.IGNORED))


def make_batch(crops: Sequence[MaskedCrop], *, pin: bool = False) -> MaskedBatch:
    """Join crops to a batch.

    Args:
        crops: at least one; all of the same size.
        pin: whether to use pinned memory, from which a GPU copies while the CPU goes on.
    """
    tensors = (
        torch.from_numpy(np.stack([crop.pixels for crop in crops])),
        torch.from_numpy(np.stack([crop.labels for crop in crops]).astype(np.int64)),
        torch.from_numpy(np.stack([crop.sources for crop in crops]).astype(np.int64)),
    )
    pixels, labels, sources = (tensor.pin_memory() if pin else tensor for tensor in tensors)
    return MaskedBatch(pixels=pixels, labels=labels, sources=sources, names=tuple(crop.name for crop in crops))

"""Real colon glands at a quarter of their size, and the dropping of outlined glands from their masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from signetscan.atomic import make_folder
from signetscan.dataset.masks.images import BACKGROUND_NAME, Mask, MaskedDataset, MaskedImage
from signetscan.dataset.masks.reading import read_masked_dataset
from signetscan.dataset.splits import hold_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Truth = NDArray[np.bool_]

Data = Literal["lesions", "glands"]
"""`lesions`: outlined glands of neoplastic images are to be found, and all pixels of benign ones are known to be
background, as in DigestPath. `glands`: all glands are to be found, and no image is without one."""

SEEN: Mapping[Data, Mapping[str, bool]] = {
    "lesions": {"adenocarcinoma": True, "high-grade-in": True, "low-grade-in": True, "normal": False, "polyp": False},
    "glands": dict.fromkeys(("adenocarcinoma", "high-grade-in", "low-grade-in", "normal", "polyp"), True),
}
"""The folders that are used, and whether what they outline is to be found. Serrated adenomas are left out: they are
neither clearly benign nor graded as the others are."""

SIZE_PX = 1.0
"""Size of the pixels of the images, µm, by the size of crypts."""
REDUCED = 4
"""Pixels of an image per pixel of the reduced one, along each axis."""
CASE_IMAGES = 3
"""Most images of a case to choose by and to test on, so that no case decides."""
TEST_PART, CHOOSE_PART = 0.35, 0.2
"""Part of the cases to test on, the same for all seeds; and part of the others to choose a threshold by."""
TEST_SEED = 2019
NEIGHBOURS = np.ones((3, 3), np.bool_)
"""Pixels that touch at a corner belong to one outline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSets:
    """The images of a seed; no case is in two of the sets."""

    learn: tuple[MaskedImage, ...]
    choose: tuple[MaskedImage, ...]
    test: tuple[MaskedImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Images with some outlines dropped from their masks."""

    images: tuple[MaskedImage, ...]
    """The same images; one that has lost all outlines still has a mask, so that its background stays doubtful."""
    outlines: int
    """Outlines before."""
    kept: int
    """Outlines that are left."""
    pixels_kept: float
    """Part of the outlined pixels that are left."""
    without: int
    """Images that have lost all outlines."""


def reduced_dataset(source: Path, data: Data, folder: Path) -> MaskedDataset:
    """EBHI-Seg's images of the chosen kinds, averaged to pixels of `SIZE_PX` times `REDUCED`.

    Args:
        source: the data set, with a folder for each grade.
        data: what is to be found.
        folder: where the reduced files go; those that are there are not made again.
    """
    whole = read_masked_dataset(source, classes=tuple(SEEN[data]), mpp=SIZE_PX)
    make_folder(folder)
    images = [_reduced(image, folder, found=SEEN[data][image.path.parent.parent.name]) for image in whole.images]
    names = (BACKGROUND_NAME, "lesion" if data == "lesions" else "gland")
    return replace(whole, images=tuple(images), class_names=names, mpp=SIZE_PX * REDUCED, warnings=())


def _reduced(image: MaskedImage, folder: Path, *, found: bool) -> MaskedImage:
    """An image at its reduced size, with a mask if what it outlines is to be found, and without one if not."""
    stem = f"{image.path.parent.parent.name}-{image.path.stem}"
    path, mask_path = folder / f"{stem}.png", folder / f"{stem}_mask.png"
    if not path.exists():
        with Image.open(image.path) as picture:
            picture.convert("RGB").reduce(REDUCED).save(path)
    if isinstance(image.mask, Mask) and not mask_path.exists():
        with Image.open(image.mask.path) as picture:
            grey = picture.convert("L").reduce(REDUCED)
        grey.point([0 if value <= 127 else 255 for value in range(256)]).save(mask_path)
    with Image.open(path) as picture:
        width, height = picture.size
    mask = Mask(path=mask_path, label=1, shows=(1,)) if found and image.mask is not None else None
    return replace(image, path=path, width=width, height=height, mask=mask)


def image_sets(dataset: MaskedDataset, seed: int) -> ImageSets:
    """The images of a seed: others to learn from and to choose by, the same to test on."""
    rest, test = hold_out(dataset.images, TEST_PART, None, TEST_SEED)
    learn, choose = hold_out(rest, CHOOSE_PART, None, seed)
    return ImageSets(learn=tuple(learn), choose=few_of_each(choose), test=few_of_each(test))


def few_of_each(images: Sequence[MaskedImage]) -> tuple[MaskedImage, ...]:
    """At most `CASE_IMAGES` of each case, spread over its images."""
    cases: dict[str, list[MaskedImage]] = {}
    for image in images:
        cases.setdefault(image.slide, []).append(image)
    chosen: list[MaskedImage] = []
    for case in cases.values():
        places = np.linspace(0, len(case) - 1, min(len(case), CASE_IMAGES)).round().astype(int)
        chosen += [case[place] for place in places]
    return tuple(chosen)


def truth_of(image: MaskedImage) -> Truth:
    """Which pixels of an image are to be found, (height, width)."""
    if not isinstance(image.mask, Mask):
        return np.zeros((image.height, image.width), np.bool_)
    with Image.open(image.mask.path) as picture:
        return np.asarray(np.asarray(picture.convert("L")) > image.mask.cut)


def outlines_of(truth: Truth) -> tuple[NDArray[np.int32], int]:
    """The number of the outline, from 1 on, that each pixel belongs to, 0 for none; and how many outlines there are.

    Glands whose outlines touch count as one.
    """
    numbers, count = ndimage.label(truth, NEIGHBOURS)
    return np.asarray(numbers, np.int32), int(count)


def drop_outlines(images: Sequence[MaskedImage], rate: float, seed: int, folder: Path) -> Dropped:
    """The same images without a part of all their outlines, drawn at random, as whole components.

    Outlines that are dropped at a rate of 0.3 are dropped at 0.5 too.

    Args:
        images: the images.
        rate: part of the outlines to drop, 0 to 1.
        seed: decides which.
        folder: where the new masks go.
    """
    make_folder(folder)
    labelled = [outlines_of(truth_of(image)) for image in images]
    total = sum(count for _, count in labelled)
    kept = np.ones(total, np.bool_)
    kept[np.random.default_rng([seed, 9]).permutation(total)[: round(rate * total)]] = False
    partial: list[MaskedImage] = []
    start, before, after, without = 0, 0, 0, 0
    for image, (numbers, count) in zip(images, labelled, strict=True):
        left = np.concatenate([[False], kept[start : start + count]])[numbers]
        start += count
        before, after = before + int((numbers > 0).sum()), after + int(left.sum())
        without += bool(count) and not left.any()
        if not isinstance(image.mask, Mask):
            partial.append(image)
            continue
        path = folder / f"{image.path.stem}_mask.png"
        Image.fromarray(np.where(left, np.uint8(255), np.uint8(0))).save(path)
        partial.append(replace(image, mask=replace(image.mask, path=path)))
    return Dropped(
        images=tuple(partial),
        outlines=total,
        kept=int(kept.sum()),
        pixels_kept=after / before if before else 1.0,
        without=without,
    )

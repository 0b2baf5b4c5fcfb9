"""Splitting images into those to learn from and those held out, so that no slide is on both sides."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import AnnotationError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.dataset.images import AnnotatedImage

    Split = tuple[list[AnnotatedImage], list[AnnotatedImage]]


def hold_out(images: Sequence[AnnotatedImage], share: float, fold: tuple[int, int] | None, seed: int) -> Split:
    """Split for a training run: by folds if there is one, else by a share.

    Args:
        images: all images.
        share: share of each kind of image to hold out, 0 to 1; 0 holds out nothing.
        fold: (I, K): hold out fold I of K, counted from 1.
        seed: decides which slides.

    Returns:
        Images to learn from, and images held out.

    Raises:
        AnnotationError: the images with cells are of too few slides.
    """
    if fold is not None:
        return k_folds(images, fold[1], seed)[fold[0] - 1]
    slides = {image.slide for image in images if not image.normal}
    if share > 0 and len(slides) == 1:
        message = (
            f"all images with cells are of one slide ({slides.pop()}), which cannot be both learnt from and held out; "
            "annotate a second slide, or train with a validation split of 0"
        )
        raise AnnotationError(message, options=("validation_split",))
    return split_by_slide(images, share, seed)


def split_by_slide(images: Sequence[AnnotatedImage], share: float, seed: int) -> Split:
    """Split into two parts that share no slide, each with its part of positive and of normal images.

    Args:
        images: all images.
        share: share of each kind of image in the second part, 0 to 1.
        seed: decides which slides.

    Returns:
        The rest and the part, each in the order of `images`.
    """
    rng = np.random.default_rng(seed)
    of_slide = _by_slide(images)
    taken: set[str] = set()
    for slides in _kinds(of_slide):
        total = sum(len(of_slide[slide]) for slide in slides)
        count = 0
        for slide in rng.permutation(slides).tolist() if slides else []:
            if count < round(share * total):
                taken.add(slide)
                count += len(of_slide[slide])
    return _divided(images, taken)


def k_folds(images: Sequence[AnnotatedImage], k: int, seed: int) -> list[Split]:
    """Split k times, so that each image is held out once and no slide is on both sides.

    The folds have about as many images with cells each, and about as many normal ones.

    Args:
        images: all images.
        k: number of folds, from 2.
        seed: decides which slides come together.

    Returns:
        For each fold the images to learn from and those held out, in the order of `images`.

    Raises:
        OptionError: k is below 2.
        AnnotationError: the images with cells are of fewer than k slides.
    """
    if k < 2:
        message = f"there must be at least 2 folds, not {k}"
        raise OptionError(message)
    of_slide = _by_slide(images)
    positive, normal = _kinds(of_slide)
    if len(positive) < k:
        message = f"{k} folds need images with cells of at least {k} slides, and there are {len(positive)}; use fewer"
        raise AnnotationError(message)
    rng = np.random.default_rng(seed)
    folds: list[set[str]] = [set() for _ in range(k)]
    counts = np.zeros(k, np.int64)
    for slides in (positive, normal):
        of_kind = np.zeros(k, np.int64)
        shuffled = rng.permutation(slides).tolist() if slides else []
        # The largest first, each into the fold with the fewest: what comes last evens out.
        for slide in sorted(shuffled, key=lambda slide: -len(of_slide[slide])):
            fold = int(np.lexsort((counts, of_kind))[0])
            folds[fold].add(slide)
            of_kind[fold] += len(of_slide[slide])
            counts[fold] += len(of_slide[slide])
    return [_divided(images, taken) for taken in folds]


def _by_slide(images: Sequence[AnnotatedImage]) -> dict[str, list[AnnotatedImage]]:
    of_slide: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        of_slide[image.slide].append(image)
    return of_slide


def _kinds(of_slide: dict[str, list[AnnotatedImage]]) -> tuple[list[str], list[str]]:
    """Slides with an image with cells, and slides with normal images only."""
    normal = {slide for slide, own in of_slide.items() if all(image.normal for image in own)}
    return sorted(of_slide.keys() - normal), sorted(normal)


def _divided(images: Sequence[AnnotatedImage], taken: set[str]) -> Split:
    rest = [image for image in images if image.slide not in taken]
    return rest, [image for image in images if image.slide in taken]

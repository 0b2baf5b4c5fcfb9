"""Splits into training images and held-out images, so that no slide is on both sides."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from signetscan.dataset.images import Part
from signetscan.errors import AnnotationError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence


class FromSlide(Protocol):
    """An image of a slide, with boxes or with a mask."""

    @property
    def slide(self) -> str:
        """Slide that the image is from; images of one slide must not be split."""

    @property
    def normal(self) -> bool:
        """Whether the image is known to have nothing that is to be found."""

    @property
    def shows(self) -> tuple[int, ...]:
        """Labels of the classes that the image shows; a split spreads each evenly."""

    @property
    def part(self) -> Part | None:
        """Part of the data to which the data set assigns the image."""


Image = TypeVar("Image", bound=FromSlide)
Split = tuple[list[Image], list[Image]]


def hold_out(images: Sequence[Image], validation_split: float, fold: tuple[int, int] | None, seed: int) -> Split[Image]:
    """Split for a training run: by folds if a fold is given, else by the data set itself, else by the validation split.

    Args:
        images: all images.
        validation_split: part of each kind of image to hold out, 0 to 1; 0 holds out nothing. It does not matter where
            the data set assigns images to validation.
        fold: (I, K): hold out fold I of K, counted from 1.
        seed: decides which slides are held out.

    Returns:
        Training images, and held-out images.

    Raises:
        AnnotationError: the images with cells are of too few slides.
    """
    if fold is not None:
        return k_folds(images, fold[1], seed)[fold[0] - 1]
    assigned = [image for image in images if image.part is Part.VALIDATION]
    if assigned:
        return [image for image in images if image.part is not Part.VALIDATION], assigned
    slides = {image.slide for image in images if not image.normal}
    if validation_split > 0 and len(slides) == 1:
        message = (
            f"all images with cells are of one slide ({slides.pop()}), which cannot be both learnt from and held out; "
            "annotate a second slide, or hold out nothing"
        )
        raise AnnotationError(message, options=("validation_split",))
    return split_by_slide(images, validation_split, seed)


def split_by_slide(images: Sequence[Image], validation_split: float, seed: int) -> Split[Image]:
    """Split into training and held-out images that have no slide in common, with all kinds of images in either.

    Each kind of slide keeps one to learn from, but for normal ones; see `_kinds`.

    Args:
        images: all images.
        validation_split: part of the images of each kind of slide to hold out, 0 to 1.
        seed: decides which slides are held out.

    Returns:
        Training images and held-out images, each in the order of `images`.
    """
    rng = np.random.default_rng(seed)
    of_slide = _by_slide(images)
    held_out: set[str] = set()
    *positive, normal = _kinds(of_slide)
    for slides in (*positive, normal):
        total = sum(len(of_slide[slide]) for slide in slides)
        count = 0
        shuffled = rng.permutation(slides).tolist() if slides else []
        for slide in shuffled if slides is normal else shuffled[:-1]:
            if count < round(validation_split * total):
                held_out.add(slide)
                count += len(of_slide[slide])
    return _divided(images, held_out)


def k_folds(images: Sequence[Image], k: int, seed: int) -> list[Split[Image]]:
    """Split k times, so that each image is held out once and no slide is on both sides.

    All folds have about the same number of images of each kind of slide; see `_kinds`.

    Args:
        images: all images.
        k: number of folds, from 2.
        seed: decides which slides form a fold.

    Returns:
        For each fold training images and held-out images, in the order of `images`.

    Raises:
        OptionError: k is below 2.
        AnnotationError: the images with cells are of fewer than k slides.
    """
    if k < 2:
        message = f"there must be at least 2 folds, not {k}"
        raise OptionError(message)
    of_slide = _by_slide(images)
    *positive, normal = _kinds(of_slide)
    count = sum(map(len, positive))
    if count < k:
        message = f"{k} folds need images with cells of at least {k} slides, but there are {count}; use fewer"
        raise AnnotationError(message)
    rng = np.random.default_rng(seed)
    folds: list[set[str]] = [set() for _ in range(k)]
    counts = np.zeros(k, np.int64)
    for slides in (*positive, normal):
        kind_counts = np.zeros(k, np.int64)
        shuffled = rng.permutation(slides).tolist() if slides else []
        # The largest first, each into the fold with the fewest images of the kind: the small ones even out the rest.
        for slide in sorted(shuffled, key=lambda slide: -len(of_slide[slide])):
            fold = int(np.lexsort((counts, kind_counts))[0])
            folds[fold].add(slide)
            kind_counts[fold] += len(of_slide[slide])
            counts[fold] += len(of_slide[slide])
    return [_divided(images, held_out) for held_out in folds]


def _by_slide(images: Sequence[Image]) -> dict[str, list[Image]]:
    of_slide: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        of_slide[image.slide].append(image)
    return of_slide


def _kinds(of_slide: dict[str, list[Image]]) -> list[list[str]]:
    """Slides by what they show, each in one list: of each class those of which it is the rarest, then normal slides.

    The rarest class is the one that the fewest slides show: it is the one that a split must not leave to chance.
    """
    shown = {slide: {label for image in of_slide[slide] for label in image.shows} for slide in sorted(of_slide)}
    slides_with = Counter(label for labels in shown.values() for label in labels)
    kinds: dict[int, list[str]] = {label: [] for label in sorted(slides_with)}
    for slide, labels in shown.items():
        if labels:
            kinds[min(labels, key=lambda label: (slides_with[label], label))].append(slide)
    return [*kinds.values(), [slide for slide, labels in shown.items() if not labels]]


def _divided(images: Sequence[Image], held_out: set[str]) -> Split[Image]:
    training = [image for image in images if image.slide not in held_out]
    return training, [image for image in images if image.slide in held_out]

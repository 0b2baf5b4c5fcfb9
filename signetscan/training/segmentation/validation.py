"""Evaluation of a segmenter on whole images, tile by tile as in a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.regions import RegionResult, top_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.dataset.masks.view import MaskedView
    from signetscan.models.segmenter import Segmenter

    Progress = Callable[[int, int], None]

FULL = 255
"""A probability of 1."""


def judge_images(
    segmenter: Segmenter, views: Sequence[MaskedView], on_progress: Progress | None = None
) -> list[RegionResult]:
    """What a segmenter says of each image, and the truth of its pixels.

    Args:
        segmenter: the segmenter.
        views: the images, in pixels of its size.
        on_progress: called with (images done, images in all) after each image.
    """
    results = []
    for number, view in enumerate(views, start=1):
        results.append(judge_image(segmenter, view))
        if on_progress is not None:
            on_progress(number, len(views))
    return results


def judge_image(segmenter: Segmenter, view: MaskedView) -> RegionResult:
    """What a segmenter says of an image, and the truth of its pixels; see `judge_images`."""
    spec = segmenter.spec
    count, scored = len(spec.class_names), list(spec.slide_score.classes)
    confusion = np.zeros(count * count, np.int64)
    histogram = np.zeros(FULL + 1, np.int64)
    for x, y, probabilities in inner_parts(segmenter, view):
        step = spec.output_stride
        width, height = (
            min(probabilities.shape[axis] * step, end) for axis, end in ((2, view.width - x), (1, view.height - y))
        )
        # A place of the output stands for all pixels beneath it; of equal probabilities, the first class has it.
        labels = probabilities.argmax(axis=0).repeat(step, axis=0).repeat(step, axis=1)[:height, :width]
        truth = view.labels(x, y, width, height).astype(np.int64)
        confusion += np.bincount((truth * count + labels).ravel(), minlength=count * count)
        sums = probabilities[scored].sum(axis=0, dtype=np.int64)[: -(-height // step), : -(-width // step)]
        histogram += np.bincount(np.minimum(sums, FULL).ravel(), minlength=FULL + 1)
    return RegionResult(
        confusion=confusion.reshape(count, count),
        scored=tuple(scored),
        score=top_mean(histogram, spec.slide_score.top_share) / FULL,
        name=view.image.name,
        slide=view.image.slide,
    )


def inner_parts(segmenter: Segmenter, view: MaskedView) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """The parts of an image that single tiles speak of, without their margins, which may reach over its edges.

    Yields:
        Left and top edge, pixels, and the probabilities (C, h, w) of the part, at the output stride.
    """
    spec = segmenter.spec
    # On an image smaller than a tile, most of a tile would be white.
    whole = max(view.width, view.height) + 2 * spec.margin
    side = min(spec.tile_size, -(-whole // spec.stride) * spec.stride)
    inner = spec.inner_side_of(side)
    margin, kept = spec.margin // spec.output_stride, inner // spec.output_stride
    for y in range(0, view.height, inner):
        for x in range(0, view.width, inner):
            # A copy, because what an image reads may be read-only, of which torch warns.
            tile = view.pixels(x - spec.margin, y - spec.margin, side, side).copy()
            (probabilities,) = segmenter.segment(tile[None])
            yield x, y, probabilities[:, margin : margin + kept, margin : margin + kept]

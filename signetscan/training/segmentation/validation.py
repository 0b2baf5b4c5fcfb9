"""Evaluation of a segmenter on whole images, by the same code as a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.masks.images import IGNORED
from signetscan.evaluation.regions import RegionResult
from signetscan.scan.class_map import BAND, FIRST_CLASS
from signetscan.scan.options import SegmentOptions
from signetscan.scan.segment import segment_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from signetscan.dataset.masks.view import MaskedView
    from signetscan.models.segmenter import Segmenter
    from signetscan.scan.class_map import ClassMap

    Progress = Callable[[int, int], None]

OPTIONS = SegmentOptions(read_threads=1, batch_size=1, tissue_mask=False)
"""How images are scanned: all of each, because a pixel that is left out would have no class."""


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
    """What a segmenter says of an image, and the truth of each of its own pixels; see `judge_images`.

    Pixels of which nobody said what they show do not count, but they do in the image's score.
    """
    spec, image = segmenter.spec, view.image
    count = len(spec.class_names)
    found = segment_slide(view.as_slide(spec.mpp), segmenter, OPTIONS)
    rows, columns = places_of(found.class_map, np.arange(image.height), np.arange(image.width))
    confusion = np.zeros(count * count, np.int64)
    for top in range(0, image.height, BAND):
        band = rows[top : top + BAND]
        labels = found.class_map.classes[band][:, columns].astype(np.int64) - FIRST_CLASS
        truth = view.image_labels(top, len(band)).astype(np.int64)
        known = truth != IGNORED
        confusion += np.bincount(truth[known] * count + labels[known], minlength=count * count)
    return RegionResult(
        confusion=confusion.reshape(count, count),
        scored=spec.slide_score.classes,
        score=found.slide_score or 0.0,
        name=image.name,
        slide=image.slide,
    )


def places_of(
    class_map: ClassMap, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and columns of a map in which those of an image lie: one of the map stands for several of the image."""
    width, height = class_map.pixel
    in_rows, in_columns = (np.floor((of_image + 0.5) / size) for of_image, size in ((rows, height), (columns, width)))
    return in_rows.astype(np.intp), in_columns.astype(np.intp)

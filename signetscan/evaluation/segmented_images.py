"""Evaluation of a segmenter on whole images, by the same code as a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.label_maps import compare_labels
from signetscan.evaluation.regions import RegionResult
from signetscan.scan.class_map import BAND, FIRST_CLASS
from signetscan.scan.options import SegmentOptions
from signetscan.scan.segment import segment_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.dataset.masks.view import MaskedView
    from signetscan.models.segmenter import Segmenter
    from signetscan.scan.class_map import ClassMap

    Progress = Callable[[int, int], None]
    Labels = NDArray[np.uint8]

OPTIONS = SegmentOptions(read_threads=1, batch_size=1, tissue_mask=False)
"""How images are scanned: all of each, because a pixel that is left out would have no class."""
LEAST_REGION_UM2 = 500.0
"""Smallest region that counts, µm²: a gland of 25 µm. Smaller ones are specks of a mask, or cut by the edge."""


def judge_images(
    segmenter: Segmenter, views: Sequence[MaskedView], on_progress: Progress | None = None
) -> list[RegionResult]:
    """What a segmenter says of each image, and the truth of its pixels.

    Args:
        segmenter: the segmenter.
        views: the images, in pixels of its size, whose labels are its classes.
        on_progress: called with (images done, images in all) after each image.
    """
    results = []
    for number, view in enumerate(views, start=1):
        results.append(judge_image(segmenter, view))
        if on_progress is not None:
            on_progress(number, len(views))
    return results


def judge_image(
    segmenter: Segmenter,
    view: MaskedView,
    *,
    label_of: Labels | None = None,
    least_um2: float = LEAST_REGION_UM2,
    name: str = "",
) -> RegionResult:
    """What a segmenter says of an image, and the truth of each of its own pixels.

    Pixels of which nobody said what they show do not count, but they do in the image's score.

    Args:
        segmenter: the segmenter.
        view: the image, in pixels of its size.
        label_of: the segmenter's class for each label of the mask; the same by default.
        least_um2: smallest region that counts, µm².
        name: the image's name; that of its file by default.
    """
    spec, image = segmenter.spec, view.image
    found = segment_slide(view.as_slide(spec.mpp), segmenter, OPTIONS)
    class_map = found.class_map
    rows, columns = places_of(class_map, np.arange(image.height), np.arange(image.width))

    def bands() -> Iterator[tuple[Labels, Labels]]:
        for top in range(0, image.height, BAND):
            band = rows[top : top + BAND]
            truth = view.image_labels(top, len(band))
            labels = class_map.classes[band][:, columns] - FIRST_CLASS
            yield (truth if label_of is None else label_of[truth]), labels

    # A pixel of the map is `pixel` pixels of the image wide, and `pixel_um` wide.
    pixel_um2 = np.prod(class_map.pixel_um) / np.prod(class_map.pixel)
    compared = compare_labels(
        (image.width, image.height),
        bands(),
        classes=len(spec.class_names),
        background=spec.background,
        least_px=least_um2 / float(pixel_um2),
    )
    return RegionResult(
        confusion=compared.confusion,
        scored=spec.slide_score.classes,
        score=found.slide_score or 0.0,
        name=name or image.name,
        slide=image.slide,
        outlines=compared.outlines(),
    )


def places_of(
    class_map: ClassMap, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows and columns of a map in which those of an image lie: one of the map stands for several of the image."""
    width, height = class_map.pixel
    in_rows, in_columns = (np.floor((of_image + 0.5) / size) for of_image, size in ((rows, height), (columns, width)))
    return in_rows.astype(np.intp), in_columns.astype(np.intp)

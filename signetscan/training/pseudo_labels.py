"""Repairing partial annotations with a model's own evidence: the second stage, on top of DGHM.

DGHM keeps unboxed cells from being unlearnt, but never learns their boxes (the weakness that its authors name). Here a
trained model looks at its own training images again; what it finds beside the given boxes becomes a box, and a new
model learns from both. How sure a finding must be is measured on the clean group, from both its sides:

- It must score as high as most of the given boxes do; see `TYPICAL`.
- Every detection in an image that holds no cell is false, so their density above a score tells how many of those in
  the other images are; see `PRECISION`. Alone it is too kind: a network has unlearnt the look-alikes of its normal
  images, and DGHM leaves the negatives beside cells at higher scores than those.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.dataset import hold_out
from signetscan.errors import OptionError, TrainingError
from signetscan.evaluation import MATCH_IOU
from signetscan.scan.merge import suppress
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.validation import detect_images

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.detections import Detections
    from signetscan.evaluation import ImageResult
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import TrainOptions

TYPICAL = 0.25
"""New boxes score at least what this share of the given boxes stay below. On simulated images of which 70% of the boxes
were dropped, nearly 9 in 10 of what DGHM-C finds above it are cells; at 0.1 it is 7 in 10."""
BESIDE_IOU = 0.1
"""What overlaps a given box, or a surer finding, by more than this may be the same cell once more."""
PRECISION = 0.9
"""Share of the new boxes that shall be cells, as far as the normal images tell."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repair:
    """Images with the boxes that a model added."""

    images: tuple[AnnotatedImage, ...]
    """All images, in the order given; new boxes come after the given ones."""
    thresholds: tuple[float, ...]
    """Score from which detections of each class were taken; infinite where none was."""
    added: int
    """Number of new boxes."""


def repair_labels(checkpoint: Checkpoint, images: Sequence[AnnotatedImage], device: torch.device) -> Repair:
    """Add the boxes that a trained model is sure of to the images it learnt from.

    Args:
        checkpoint: the model; its classes are those of the images.
        images: the images, with normal ones among them.
        device: where to run it.

    Raises:
        TrainingError: no image is normal, so that nothing tells how sure to be.
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
    """
    if not any(image.normal for image in images):
        message = "repairing labels needs images without cells: they tell which scores can be trusted"
        raise TrainingError(message)
    results = detect_images(checkpoint.make_network().to(device), checkpoint, images, device)
    return add_findings(images, results, len(checkpoint.class_names))


def repair_dataset(
    dataset: Dataset, teacher: Path, options: TrainOptions, device: torch.device
) -> tuple[Dataset, Repair]:
    """The data set with repaired labels in the images that a run with these options learns from.

    The images that it holds out stay as people annotated them. They are those that the teacher held out too, if its
    run had the same data, seed and share or fold.

    Args:
        dataset: annotated images.
        teacher: a checkpoint of the first stage.
        options: those of the second stage.
        device: where to run the teacher.

    Raises:
        TrainingError: the checkpoint cannot be read, or no image to learn from is normal.
        OptionError: the checkpoint is for other classes or another size of pixels.
        AnnotationError: an image cannot be decoded, or images with cells are of too few slides to hold one out.
        SlideError: a slide cannot be read.
    """
    checkpoint = load_checkpoint(teacher)
    if (checkpoint.class_names, checkpoint.mpp) != (dataset.class_names, dataset.mpp):
        message = (
            f"{teacher}: finds {', '.join(checkpoint.class_names)} at {checkpoint.mpp:g} um/px, and the data has "
            f"{', '.join(dataset.class_names)} at {dataset.mpp:g}; take a run on such data to repair it"
        )
        raise OptionError(message)
    learn, _ = hold_out(dataset.images, options.validation_share, options.fold, options.seed)
    repair = repair_labels(checkpoint, learn, device)
    after = {id(image): repaired for image, repaired in zip(learn, repair.images, strict=True)}
    images = tuple(after.get(id(image), image) for image in dataset.images)
    return replace(dataset, images=images, mined=repair.added), repair


def add_findings(images: Sequence[AnnotatedImage], results: Sequence[ImageResult], classes: int) -> Repair:
    """Turn detections beside the given boxes into boxes; see `repair_labels`.

    Args:
        images: the images.
        results: what was found in each.
        classes: number of classes.
    """
    area = {kind: sum(image.width * image.height for image in images if image.normal is kind) for kind in (True, False)}
    pairs = list(zip(images, results, strict=True))
    beside = [_beside(result.detections, image.boxes) for image, result in pairs]
    thresholds = []
    for label in range(classes):
        own = [(image, new.scores[new.labels == label]) for image, new in zip(images, beside, strict=True)]
        maybe = np.concatenate([np.empty(0), *(scores for image, scores in own if not image.normal)])
        false = np.concatenate([np.empty(0), *(scores for image, scores in own if image.normal)])
        given = np.concatenate([np.empty(0), *(scores_on_given(image, result, label) for image, result in pairs)])
        typical = float(np.quantile(given, TYPICAL)) if len(given) else np.inf
        thresholds.append(max(typical, sure_score(maybe, false, area[False] / area[True], PRECISION)))
    repaired = tuple(
        image if image.normal else _with(image, new, thresholds) for image, new in zip(images, beside, strict=True)
    )
    added = sum(len(after.boxes) - len(before.boxes) for after, before in zip(repaired, images, strict=True))
    return Repair(images=repaired, thresholds=tuple(thresholds), added=added)


def scores_on_given(image: AnnotatedImage, result: ImageResult, label: int) -> NDArray[np.floating]:
    """The highest score of a detection on each given box of a class, (N,); 0 where there is none."""
    found = result.detections.select(result.detections.labels == label)
    overlap = iou_matrix(image.boxes[image.labels == label], found.boxes)
    best: NDArray[np.floating] = np.where(overlap >= MATCH_IOU, found.scores, 0.0).max(axis=1, initial=0.0)
    return best


def sure_score(
    scores: NDArray[np.floating], false_scores: NDArray[np.floating], area_ratio: float, precision: float
) -> float:
    """The lowest score from which detections are expected to be cells often enough.

    Args:
        scores: (N,), detections that may be cells.
        false_scores: (M,), detections that are none, on other ground.
        area_ratio: area where `scores` were found over that where `false_scores` were.
        precision: share of cells wanted, 0 to 1.

    Returns:
        One of `scores`, or infinity if none will do.
    """
    levels = np.unique(scores)
    taken = len(scores) - np.searchsorted(np.sort(scores), levels)
    expected_false = area_ratio * (len(false_scores) - np.searchsorted(np.sort(false_scores), levels))
    sure = levels[taken - expected_false >= precision * taken]
    return float(sure.min(initial=np.inf))


def _beside(detections: Detections, boxes: NDArray[np.float64]) -> Detections:
    """Those that lie on no given box and on no surer finding."""
    overlap = iou_matrix(detections.boxes, boxes).max(axis=1, initial=0.0)
    return suppress(detections.select(overlap <= BESIDE_IOU), BESIDE_IOU)


def _with(image: AnnotatedImage, found: Detections, thresholds: Sequence[float]) -> AnnotatedImage:
    """The image with what was found above its class's threshold."""
    new = found.select(found.scores >= np.asarray(thresholds)[found.labels])
    return replace(
        image,
        boxes=np.concatenate([image.boxes, new.boxes.astype(np.float64)]),
        labels=np.concatenate([image.labels, new.labels.astype(image.labels.dtype)]),
    )

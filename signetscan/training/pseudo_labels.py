"""Pseudo-labels: boxes that a trained model adds to partial annotations, as a second stage after DGHM.

DGHM keeps unboxed cells from being unlearnt, but never learns their boxes (the weakness that its authors name). Here a
trained model detects in its own training images; a sure detection away from the given boxes becomes a box, and a new
model learns from both. How sure a detection must be is measured on labels that can be trusted, in two ways:

- It must score as high as most of the given boxes do; see `TYPICAL`.
- Every detection in an image without cells is false, so their density above a score tells how many of the detections in
  the other images are false; see `PRECISION`. Alone this is too lenient: the network has unlearnt the look-alikes of
  its normal images, while DGHM leaves negatives beside cells at higher scores than those.
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

    from signetscan.boxes import Float
    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.detections import Detections
    from signetscan.evaluation import ImageResult
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import TrainOptions

TYPICAL = 0.25
"""Quantile of the given boxes' scores that a new box must reach. On simulated images without 70% of their boxes, nearly
9 in 10 of DGHM-C's detections above it are cells; with 0.1, it is 7 in 10."""
SAME_CELL_IOU = 0.1
"""A detection that overlaps a given box, or a surer detection, by more than this may be the same cell again."""
PRECISION = 0.9
"""Precision that new boxes must have, as estimated from the false positives in normal images."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabels:
    """Images with the boxes that a model added."""

    images: tuple[AnnotatedImage, ...]
    """All images, in the order given; new boxes come after the given ones."""
    thresholds: tuple[float, ...]
    """Lowest score with which detections of each class became boxes; infinite where none did."""
    added: int
    """Number of new boxes."""


def label_images(checkpoint: Checkpoint, images: Sequence[AnnotatedImage], device: torch.device) -> PseudoLabels:
    """Add the boxes that a trained model is sure of to its training images.

    Args:
        checkpoint: the model; its classes are those of the images.
        images: the images, with normal ones among them.
        device: device to run the model on.

    Raises:
        TrainingError: no image is normal, so that nothing tells which scores can be trusted.
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
    """
    if not any(image.normal for image in images):
        message = "pseudo-labels need images without cells, which tell how high a score can be trusted"
        raise TrainingError(message, options=("pseudo_labels",))
    results = detect_images(checkpoint.make_network().to(device), checkpoint, images, device)
    return add_sure_detections(images, results, len(checkpoint.class_names))


def label_dataset(
    dataset: Dataset, teacher: Path, options: TrainOptions, device: torch.device
) -> tuple[Dataset, PseudoLabels]:
    """The data set with pseudo-labels in the images that a run with these options learns from.

    Held-out images stay as people annotated them. `same_split` sees to it that the teacher held out the same ones.

    Args:
        dataset: annotated images.
        teacher: a checkpoint of the first stage.
        options: the options of the second stage.
        device: device to run the teacher on.

    Raises:
        TrainingError: the checkpoint cannot be read, its weights are not finite, or no training image is normal.
        OptionError: the checkpoint is for other classes or another mpp.
        AnnotationError: an image cannot be decoded, or the images with cells are of too few slides to hold one out.
        SlideError: a slide cannot be read.
    """
    checkpoint = load_checkpoint(teacher)
    if (checkpoint.class_names, checkpoint.mpp) != (dataset.class_names, dataset.mpp):
        message = (
            f"{teacher}: detects {', '.join(checkpoint.class_names)} at {checkpoint.mpp:g} µm/px, but the data has "
            f"{', '.join(dataset.class_names)} at {dataset.mpp:g} µm/px; name a run on such data"
        )
        raise OptionError(message, options=("pseudo_labels",))
    if checkpoint.broken_weights:
        message = f"{teacher}: its weights are not finite numbers, so it detects nothing; name another run"
        raise TrainingError(message, options=("pseudo_labels",))
    learn, _ = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    labels = label_images(checkpoint, learn, device)
    # `hold_out` gives the data set's own objects, so their identity tells which ones were labelled.
    labelled = {id(before): after for before, after in zip(learn, labels.images, strict=True)}
    images = tuple(labelled.get(id(image), image) for image in dataset.images)
    return replace(dataset, images=images, pseudo_labels=labels.added), labels


def add_sure_detections(images: Sequence[AnnotatedImage], results: Sequence[ImageResult], classes: int) -> PseudoLabels:
    """Turn sure detections away from the given boxes into boxes; see `label_images`.

    Args:
        images: the images.
        results: the detections in each image.
        classes: number of classes.
    """
    unboxed = [_unboxed(result.detections, image.boxes) for image, result in zip(images, results, strict=True)]
    thresholds = tuple(_threshold(label, images, results, unboxed) for label in range(classes))
    labelled = tuple(
        image if image.normal else _with_boxes(image, candidates, thresholds)
        for image, candidates in zip(images, unboxed, strict=True)
    )
    added = sum(len(after.boxes) - len(before.boxes) for after, before in zip(labelled, images, strict=True))
    return PseudoLabels(images=labelled, thresholds=thresholds, added=added)


def _threshold(
    label: int,
    images: Sequence[AnnotatedImage],
    results: Sequence[ImageResult],
    unboxed: Sequence[Detections],
) -> float:
    """Lowest score that meets both conditions of the module's docstring for a class.

    Args:
        label: the class.
        images: the images.
        results: all detections in each image.
        unboxed: those of them that lie on no given box.
    """
    # Each starts with an empty array, because there may be no image of its kind.
    undecided: list[NDArray[Float]] = [np.empty(0)]
    false: list[NDArray[Float]] = [np.empty(0)]
    given: list[NDArray[Float]] = [np.empty(0)]
    area = {True: 0, False: 0}  # of normal images and of the others, pixels
    for image, result, detections in zip(images, results, unboxed, strict=True):
        area[image.normal] += image.width * image.height
        (false if image.normal else undecided).append(detections.scores[detections.labels == label])
        given.append(scores_on_given(image, result, label))
    given_scores = np.concatenate(given)
    typical = float(np.quantile(given_scores, TYPICAL)) if len(given_scores) else np.inf
    sure = sure_score(np.concatenate(undecided), np.concatenate(false), area[False] / area[True], PRECISION)
    return max(typical, sure)


def scores_on_given(image: AnnotatedImage, result: ImageResult, label: int) -> NDArray[Float]:
    """The highest score of a detection on each given box of a class, (N,); 0 where no detection lies on it."""
    of_class = result.detections.select(result.detections.labels == label)
    overlap = iou_matrix(image.boxes[image.labels == label], of_class.boxes)
    best: NDArray[Float] = np.where(overlap >= MATCH_IOU, of_class.scores, 0.0).max(axis=1, initial=0.0)
    return best


def sure_score(scores: NDArray[Float], false_scores: NDArray[Float], area_ratio: float, precision: float) -> float:
    """The lowest score from which detections are expected to be cells often enough.

    Args:
        scores: (N,), detections that may be cells.
        false_scores: (M,), detections that are certainly none, in other images.
        area_ratio: area of the images of `scores` over the area of those of `false_scores`.
        precision: part of the detections that must be cells, 0 to 1.

    Returns:
        One of `scores`, or infinity if none is high enough.
    """
    thresholds = np.unique(scores)
    above = len(scores) - np.searchsorted(np.sort(scores), thresholds)
    expected_false = area_ratio * (len(false_scores) - np.searchsorted(np.sort(false_scores), thresholds))
    sure = thresholds[above - expected_false >= precision * above]
    return float(sure.min(initial=np.inf))


def _unboxed(detections: Detections, boxes: NDArray[np.float64]) -> Detections:
    """The detections that lie on no given box and on no surer detection."""
    overlap = iou_matrix(detections.boxes, boxes).max(axis=1, initial=0.0)
    return suppress(detections.select(overlap <= SAME_CELL_IOU), SAME_CELL_IOU)


def _with_boxes(image: AnnotatedImage, detections: Detections, thresholds: Sequence[float]) -> AnnotatedImage:
    """The image with a box for each detection that reaches its class's threshold."""
    sure = detections.select(detections.scores >= np.asarray(thresholds)[detections.labels])
    return replace(
        image,
        boxes=np.concatenate([image.boxes, sure.boxes.astype(np.float64)]),
        labels=np.concatenate([image.labels, sure.labels.astype(image.labels.dtype)]),
    )

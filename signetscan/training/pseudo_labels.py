"""Pseudo-labels: boxes that a trained model adds to partial annotations, the second stage on top of DGHM.

DGHM keeps unboxed cells from being unlearnt, but never learns their boxes (the weakness that its authors name). Here a
trained model looks at its own training images again; a sure detection beside the given boxes becomes a box, and a new
model learns from both. How sure it must be is measured on labels that can be trusted, in two ways:

- It must score as high as most of the given boxes do; see `TYPICAL`.
- Every detection in an image that holds no cell is false, so their density above a score tells how many of those in
  the other images are; see `PRECISION`. Alone this is too kind: a network has unlearnt the look-alikes of its normal
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

    from signetscan.boxes import Float
    from signetscan.dataset import AnnotatedImage, Dataset
    from signetscan.detections import Detections
    from signetscan.evaluation import ImageResult
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import TrainOptions

TYPICAL = 0.25
"""Quantile of the given boxes' scores that a new box must reach. On simulated images of which 70% of the boxes were
dropped, nearly 9 in 10 of DGHM-C's detections above it are cells; at 0.1 it is 7 in 10."""
BESIDE_IOU = 0.1
"""A detection that overlaps a given box, or a surer detection, by more than this may be the same cell once more."""
PRECISION = 0.9
"""Precision that new boxes are to have, as estimated from the false positives in normal images."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PseudoLabels:
    """Images with the boxes that a model added."""

    images: tuple[AnnotatedImage, ...]
    """All images, in the order given; new boxes come after the given ones."""
    thresholds: tuple[float, ...]
    """Score from which detections of each class became boxes; infinite where none did."""
    added: int
    """Number of new boxes."""


def label_images(checkpoint: Checkpoint, images: Sequence[AnnotatedImage], device: torch.device) -> PseudoLabels:
    """Add the boxes that a trained model is sure of to the images it learnt from.

    Args:
        checkpoint: the model; its classes are those of the images.
        images: the images, with normal ones among them.
        device: where to run the model.

    Raises:
        TrainingError: no image is normal, so that nothing tells how sure to be.
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
    """
    if not any(image.normal for image in images):
        message = "pseudo-labels need images without cells: these tell which scores can be trusted"
        raise TrainingError(message, options=("pseudo_labels",))
    results = detect_images(checkpoint.make_network().to(device), checkpoint, images, device)
    return add_sure_detections(images, results, len(checkpoint.class_names))


def label_dataset(
    dataset: Dataset, teacher: Path, options: TrainOptions, device: torch.device
) -> tuple[Dataset, PseudoLabels]:
    """The data set with pseudo-labels in the images that a run with these options learns from.

    The images that it holds out stay as people annotated them. They are those that the teacher held out too, if its
    run had the same data, seed and validation split or fold.

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
            f"{teacher}: detects {', '.join(checkpoint.class_names)} at {checkpoint.mpp:g} µm/px, and the data has "
            f"{', '.join(dataset.class_names)} at {dataset.mpp:g}; name a run on such data"
        )
        raise OptionError(message, options=("pseudo_labels",))
    learn, _ = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    labels = label_images(checkpoint, learn, device)
    labelled = {id(before): after for before, after in zip(learn, labels.images, strict=True)}
    images = tuple(labelled.get(id(image), image) for image in dataset.images)
    return replace(dataset, images=images, pseudo_labels=labels.added), labels


def add_sure_detections(images: Sequence[AnnotatedImage], results: Sequence[ImageResult], classes: int) -> PseudoLabels:
    """Turn sure detections beside the given boxes into boxes; see `label_images`.

    Args:
        images: the images.
        results: the detections in each.
        classes: number of classes.
    """
    beside = [_beside(result.detections, image.boxes) for image, result in zip(images, results, strict=True)]
    thresholds = tuple(_threshold(label, images, results, beside) for label in range(classes))
    labelled = tuple(
        image if image.normal else _with_boxes(image, new, thresholds)
        for image, new in zip(images, beside, strict=True)
    )
    added = sum(len(after.boxes) - len(before.boxes) for after, before in zip(labelled, images, strict=True))
    return PseudoLabels(images=labelled, thresholds=thresholds, added=added)


def _threshold(
    label: int,
    images: Sequence[AnnotatedImage],
    results: Sequence[ImageResult],
    beside: Sequence[Detections],
) -> float:
    """Score from which detections of a class become boxes: both conditions of the module's text must hold.

    Args:
        label: the class.
        images: the images.
        results: all detections in each.
        beside: those of them that lie on no given box.
    """
    maybe: list[NDArray[Float]] = [np.empty(0)]
    false: list[NDArray[Float]] = [np.empty(0)]
    given: list[NDArray[Float]] = [np.empty(0)]
    area = {True: 0, False: 0}  # of normal images and of the others, pixels
    for image, result, new in zip(images, results, beside, strict=True):
        area[image.normal] += image.width * image.height
        (false if image.normal else maybe).append(new.scores[new.labels == label])
        given.append(scores_on_given(image, result, label))
    on_given = np.concatenate(given)
    typical = float(np.quantile(on_given, TYPICAL)) if len(on_given) else np.inf
    sure = sure_score(np.concatenate(maybe), np.concatenate(false), area[False] / area[True], PRECISION)
    return max(typical, sure)


def scores_on_given(image: AnnotatedImage, result: ImageResult, label: int) -> NDArray[Float]:
    """The highest score of a detection on each given box of a class, (N,); 0 where there is none."""
    of_class = result.detections.select(result.detections.labels == label)
    overlap = iou_matrix(image.boxes[image.labels == label], of_class.boxes)
    best: NDArray[Float] = np.where(overlap >= MATCH_IOU, of_class.scores, 0.0).max(axis=1, initial=0.0)
    return best


def sure_score(scores: NDArray[Float], false_scores: NDArray[Float], area_ratio: float, precision: float) -> float:
    """The lowest score from which detections are expected to be cells often enough.

    Args:
        scores: (N,), detections that may be cells.
        false_scores: (M,), detections that are none, in other images.
        area_ratio: area of the images that `scores` are from over that of the others.
        precision: part of the detections that are to be cells, 0 to 1.

    Returns:
        One of `scores`, or infinity if none will do.
    """
    levels = np.unique(scores)
    taken = len(scores) - np.searchsorted(np.sort(scores), levels)
    expected_false = area_ratio * (len(false_scores) - np.searchsorted(np.sort(false_scores), levels))
    sure = levels[taken - expected_false >= precision * taken]
    return float(sure.min(initial=np.inf))


def _beside(detections: Detections, boxes: NDArray[np.float64]) -> Detections:
    """Those that lie on no given box and on no surer detection."""
    overlap = iou_matrix(detections.boxes, boxes).max(axis=1, initial=0.0)
    return suppress(detections.select(overlap <= BESIDE_IOU), BESIDE_IOU)


def _with_boxes(image: AnnotatedImage, detections: Detections, thresholds: Sequence[float]) -> AnnotatedImage:
    """The image with a box for each detection that reaches its class's threshold."""
    new = detections.select(detections.scores >= np.asarray(thresholds)[detections.labels])
    return replace(
        image,
        boxes=np.concatenate([image.boxes, new.boxes.astype(np.float64)]),
        labels=np.concatenate([image.labels, new.labels.astype(image.labels.dtype)]),
    )

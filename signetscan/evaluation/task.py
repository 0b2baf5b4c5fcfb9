"""The task of an evaluation: detection or segmentation, by what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.dataset.digestpath import digestpath_root
from signetscan.dataset.found import find_files
from signetscan.dataset.masks.reading import KNOWN_LAYOUTS, has_masks
from signetscan.dataset.slides import has_slides
from signetscan.errors import AnnotationError
from signetscan.evaluation.region_results import has_regions
from signetscan.models.spec import Task
from signetscan.suffixes import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

MODEL_SUFFIX = ".onnx"
"""Suffix of a model file, which is judged by running it on images with masks."""


def task_of_evaluation(predictions: Path, truth: Path) -> Task:
    """What is to be evaluated: regions if the truth has masks, or the predictions have nothing else; else boxes.

    Raises:
        AnnotationError: the predictions are of a segmentation, and the truth has neither masks nor slides.
    """
    is_mask = truth.is_file() and truth.suffix.lower() in PICTURE_SUFFIXES
    if is_mask:
        message = f"{truth}: is a picture; {KNOWN_LAYOUTS}"
        raise AnnotationError(message)
    if predictions.suffix.lower() == MODEL_SUFFIX:
        return Task.SEGMENTATION
    if has_masks(truth):
        # DigestPath's two data sets may lie in one folder: then the predictions say which is meant.
        return Task.SEGMENTATION if has_regions(predictions) or digestpath_root(truth) is None else Task.DETECTION
    if has_regions(predictions) and not _has_boxes(predictions):
        if not (truth.is_dir() and has_slides(find_files(truth))):
            message = (
                f"{truth}: has neither images with masks nor slides with outlines, against which results of a "
                f"segmentation are evaluated; {KNOWN_LAYOUTS}"
            )
            raise AnnotationError(message)
        return Task.SEGMENTATION
    return Task.DETECTION


def _has_boxes(predictions: Path) -> bool:
    """Whether there is something in a folder that is no result of a segmentation."""
    return predictions.is_dir() and any(
        path.is_file() and not has_regions(path) for path in predictions.rglob("*.*json")
    )

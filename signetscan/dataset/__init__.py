"""Annotated images to learn from: reading them from folders of several layouts, and splitting them by slide."""

from __future__ import annotations

from signetscan.dataset.digestpath import CLASS_NAME, NEGATIVE_FOLDER, POSITIVE_FOLDER, TRUTH_FOLDER
from signetscan.dataset.found import slide_of
from signetscan.dataset.images import (
    MPP,
    AnnotatedImage,
    Dataset,
    Place,
    image_size,
    read_image,
    read_pixels,
    resample,
)
from signetscan.dataset.reading import read_dataset
from signetscan.dataset.splits import hold_out, k_folds, split_by_slide

__all__ = [
    "CLASS_NAME",
    "MPP",
    "NEGATIVE_FOLDER",
    "POSITIVE_FOLDER",
    "TRUTH_FOLDER",
    "AnnotatedImage",
    "Dataset",
    "Place",
    "hold_out",
    "image_size",
    "k_folds",
    "read_dataset",
    "read_image",
    "read_pixels",
    "resample",
    "slide_of",
    "split_by_slide",
]

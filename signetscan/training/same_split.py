"""The split of a second stage: what an earlier run held out stays held out, and what it learnt from does not become so.

A model that learnt from an image boxes it well, so pseudo-labels of such a model, and the figures on images that it
learnt from, would flatter the second stage. The seed alone must not bring that about.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from signetscan.dataset import hold_out
from signetscan.dataset.images import Part
from signetscan.errors import OptionError
from signetscan.plurals import counted
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.engine import data_digest

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset import Dataset
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.options import TrainOptions


def with_split_of(dataset: Dataset, options: TrainOptions, path: Path) -> tuple[Dataset, TrainOptions]:
    """The data set and options of a run that holds out what an earlier run held out.

    Images of slides that the earlier run did not have are learnt from.

    Args:
        dataset: annotated images.
        options: the options of the new run.
        path: checkpoint of the earlier run.

    Returns:
        Both as they are, if the options hold out the same slides. If they do not, a data set that assigns the images to
        the two parts, with a warning that says so, and options without a fold.

    Raises:
        TrainingError: the checkpoint cannot be read.
        OptionError: the earlier run held out nothing, or does not say what, on other data.
        AnnotationError: the images with cells are of too few slides to hold one out.
    """
    former = held_out_by(load_checkpoint(path), dataset, path)
    _, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    wanted = {image.slide for image in held_out}
    kept = former & {image.slide for image in dataset.images}
    if wanted == kept or (former and not kept):  # of other slides altogether, nothing is to be kept
        return dataset, options
    if wanted and not former:
        message = f"{path}: the run held out nothing, so its model has learnt from all images; hold out nothing either"
        raise OptionError(message, options=("pseudo_labels", "validation_split"))
    images = tuple(
        replace(image, part=Part.VALIDATION if image.slide in kept else Part.TRAINING) for image in dataset.images
    )
    held = counted(sum(image.part is Part.VALIDATION for image in images), "image")
    warning = f"Held out are the {held} that {path} held out, not those by the seed, fold and split of this run"
    return replace(dataset, images=images, warnings=(*dataset.warnings, warning)), replace(options, fold=None)


def held_out_by(checkpoint: Checkpoint, dataset: Dataset, path: Path) -> set[str]:
    """The slides that an earlier run held out.

    Raises:
        OptionError: an earlier version wrote the checkpoint, which does not say, and the run was on other data.
    """
    if checkpoint.held_out_slides is not None:
        return set(checkpoint.held_out_slides)
    if checkpoint.data_digest != data_digest(dataset.images):
        message = (
            f"{path}: an earlier version wrote it, which does not say what it held out, and the data has changed "
            "since; train that run anew, or name its data"
        )
        raise OptionError(message, options=("pseudo_labels",))
    options = checkpoint.options
    _, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    return {image.slide for image in held_out}

"""What a user should know before relying on a run for segmentation: data that teaches or tells too little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.errors import TrainingError
from signetscan.plurals import counted
from signetscan.training.segmentation.options import TRUSTS_CLEAN_ONLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.dataset.masks.images import MaskedImage
    from signetscan.training.segmentation.checkpoint import SegmentationCheckpoint
    from signetscan.training.segmentation.options import SegmentationOptions

NO_NORMALS = "No image is known to be background as a whole"
FEW_SLIDES = 8
"""Held-out slides below which their figures tell little."""


def check_masked_split(
    learn: Sequence[MaskedImage],
    held_out: Sequence[MaskedImage],
    class_names: Sequence[str],
    options: SegmentationOptions,
) -> None:
    """Check that there is something to learn from, and something to choose by if that was asked for.

    Raises:
        TrainingError: a class has no image to learn from, or images were to be held out and none has a mask.
    """
    if not any(image.shows for image in learn):
        message = "no training image has a mask: check the data, or hold out fewer images"
        raise TrainingError(message, options=("validation_split", "fold"))
    shown = _labels_shown(learn)
    for label, name in enumerate(class_names):
        if label and label not in shown:
            message = (
                f"no training image shows the class {name}, because all of them are held out; hold out others, or "
                "leave the class out"
            )
            raise TrainingError(message, options=("validation_split", "fold", "seed", "classes"))
    wanted = options.fold is not None or options.validation_split > 0
    if wanted and not any(image.shows for image in held_out):
        message = "no held-out image has a mask, so no epoch could be chosen: hold out more images, or none"
        raise TrainingError(message, options=("validation_split", "fold"))


def masked_split_cautions(
    learn: Sequence[MaskedImage],
    held_out: Sequence[MaskedImage],
    class_names: Sequence[str],
    options: SegmentationOptions,
) -> list[str]:
    """What the images to learn from and the held-out ones lack; sentences without their full stops."""
    if not held_out:
        return ["No image is held out: the latest epoch counts as the best, and nothing tells how good it is"]
    cautions: list[str] = []
    slides = len({image.slide for image in held_out})
    if slides < FEW_SLIDES:
        cautions.append(f"Only {counted(slides, 'slide')} held out: the figures rest on so few")
    if options.loss.loss in TRUSTS_CLEAN_ONLY and not any(image.normal for image in learn):
        which = "All images without a lesion are held out" if any(image.normal for image in held_out) else NO_NORMALS
        cautions.append(
            f"{which}, so DGHM can trust no background; if everything is outlined, the loss ce suits better"
        )
    shown = _labels_shown(held_out)
    absent = [name for label, name in enumerate(class_names) if label and label not in shown]
    if absent:
        cautions.append(f"No held-out image shows the class {', '.join(absent)}: nothing tells how it is found")
    return cautions


def _labels_shown(images: Sequence[MaskedImage]) -> set[int]:
    """The labels of the classes that any image shows."""
    return {label for image in images for label in image.shows}


def cautions_of(checkpoint: SegmentationCheckpoint) -> tuple[str, ...]:
    """What a user of the model should know of how it was chosen, as ends of sentences about it."""
    if not checkpoint.history:
        return ()
    if not checkpoint.held_out_slides:
        return ("nothing tells how good it is, because no image was held out",)
    if checkpoint.held_out is None:  # of an epoch that is not the best one, no figures are kept
        return ()
    cautions: list[str] = []
    if not checkpoint.held_out.dice.value:
        cautions.append("it found nothing of what is outlined in the held-out images")
    if checkpoint.held_out.auc.value is None:
        cautions.append("the AUC of its score is unknown: all held-out images show a scored class, or none does")
    slides = len(checkpoint.held_out_slides)
    if slides < FEW_SLIDES:
        cautions.append(f"its figures rest on {counted(slides, 'slide')} only")
    return tuple(cautions)

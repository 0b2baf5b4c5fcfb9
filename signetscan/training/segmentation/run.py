"""A training run from a folder of images with masks to a checkpoint and a report, as `signetscan train` does it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from signetscan.dataset import hold_out
from signetscan.dataset.masks.reading import read_masked_dataset
from signetscan.dataset.options import MAX_MPP
from signetscan.errors import OptionError
from signetscan.extras import require
from signetscan.slides.at_mpp import MAX_ENLARGEMENT
from signetscan.training.run import DataRead, EpochDone, TrainingProgress, TrainingResult
from signetscan.training.run_claim import check_held, claimed
from signetscan.training.segmentation.cautions import cautions_of, check_masked_split, masked_split_cautions
from signetscan.training.segmentation.checkpoint import load_segmentation_checkpoint
from signetscan.training.segmentation.engine import describe_masked, fit_to_masks, train_on_masks
from signetscan.training.segmentation.options import segmentation_options
from signetscan.training.segmentation.report import write_segmentation_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.training.options import TrainingRequest
    from signetscan.training.run import TrainingEvent
    from signetscan.training.segmentation.options import SegmentationOptions


def train_segmenter(
    request: TrainingRequest,
    options: SegmentationOptions | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingResult:
    """Train a network that segments on a folder of images with masks, and write its checkpoints and report.

    Args:
        request: the data, where the run's files go, and what to start from.
        options: how to train; by default those of the preset `strong`. See `segmentation_options`.
        on_event: called with each event as it happens.

    Raises:
        AnnotationError: the data cannot be used, or the images with masks are of too few slides to hold one out.
        DeviceError: `cuda` was asked for, and there is no GPU.
        OptionError: the options do not fit the data, the task or the run to resume.
        TrainingError: there is nothing to learn from or to choose by, the folder holds another run, another run is at
            work in it, or a loss or a weight is not a finite number.
        OutputError: a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    emit = on_event or (lambda _: None)
    require("matplotlib")  # the report needs it, and it would be missed only after hours of training
    _check_request(request)
    dataset = read_masked_dataset(request.data, classes=request.classes, mpp=request.mpp)
    if request.model_mpp is not None and not dataset.mpp / MAX_ENLARGEMENT <= request.model_mpp <= MAX_MPP:
        message = (
            f"images of {dataset.mpp:g} µm/px cannot be resampled to {request.model_mpp:g} µm/px; choose a size from "
            f"{dataset.mpp / MAX_ENLARGEMENT:g} to {MAX_MPP:g} µm/px"
        )
        raise OptionError(message, options=("model_mpp",))
    options = fit_to_masks(options or segmentation_options(), dataset)
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    cautions = tuple(masked_split_cautions(learn, held_out, dataset.class_names, options))
    emit(DataRead(dataset=dataset, description=describe_masked(dataset.images), cautions=cautions))
    check_masked_split(learn, held_out, dataset.class_names, options)

    def progress(stage: Literal["training", "validating", "reporting"], done: int, total: int) -> None:
        emit(TrainingProgress(stage=stage, done=done, total=total))

    with claimed(request.out) as claim:
        checkpoint = train_on_masks(
            dataset,
            options,
            request.out,
            mpp=request.model_mpp,
            scored=request.scored,
            device=request.device,
            weights=request.weights,
            resume=request.resume,
            on_progress=partial(progress, "training"),
            on_validation=partial(progress, "validating"),
            on_epoch=lambda metrics: emit(EpochDone(metrics=metrics)),
            before_writing=lambda: check_held(claim, request.out),
        )
        report = write_segmentation_report(
            request.out, dataset, device=request.device, on_progress=partial(progress, "reporting")
        )
        best = load_segmentation_checkpoint(checkpoint)
    return TrainingResult(checkpoint=checkpoint, report=report, held_out=best.held_out, cautions=cautions_of(best))


def _check_request(request: TrainingRequest) -> None:
    """Check that nothing was asked for that only detection has.

    Raises:
        OptionError: something was.
    """
    if request.pseudo_labels is not None:
        message = "pseudo-labels are boxes, and this is a run for segmentation; leave them out"
        raise OptionError(message, options=("pseudo_labels",))
    if request.others_are_normal:
        message = "masks say which images have nothing of a class; leave out that others are normal"
        raise OptionError(message, options=("others_are_normal",))

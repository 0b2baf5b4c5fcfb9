"""A training run from a folder of annotated images to a checkpoint and a report, as `signetscan train` does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from signetscan.dataset import hold_out, read_dataset, resample
from signetscan.extras import require
from signetscan.training.cautions import cautions_of, check_split, split_cautions
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.devices import choose_device
from signetscan.training.engine import describe, fit_options, train
from signetscan.training.options import preset_options
from signetscan.training.pseudo_labels import label_dataset
from signetscan.training.report import write_report
from signetscan.training.run_claim import check_held, claimed
from signetscan.training.same_split import with_split_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from signetscan.batch.claims import Claim
    from signetscan.dataset import Dataset
    from signetscan.dataset.masks.images import MaskedDataset
    from signetscan.models.held_out import HeldOut, HeldOutRegions
    from signetscan.training.options import TrainingRequest, TrainOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRead:
    """The images have been read, and resampled if that was asked for."""

    dataset: Dataset | MaskedDataset
    """The data; its warnings say what was left out or looks odd."""
    description: str
    """How many images there are, and how many boxes or masks, in a phrase."""
    cautions: tuple[str, ...] = ()
    """What the images to learn from and the held-out ones lack; sentences without their full stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabelsAdded:
    """An earlier run's model has added the boxes that it is sure of."""

    teacher: Path
    """Checkpoint of that run."""
    added: int
    """Number of new boxes."""
    thresholds: tuple[float, ...]
    """Lowest score with which detections of each class became boxes; infinite where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """A step of a stage is done."""

    stage: Literal["training", "validating", "reporting"]
    """`training` counts batches over the whole run, the others count images; `validating` starts anew each epoch."""
    done: int
    """Steps done."""
    total: int
    """Steps in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochDone:
    """An epoch is done, and its checkpoint has been written."""

    metrics: Mapping[str, float]
    """Its row of the table of metrics."""


TrainingEvent = DataRead | PseudoLabelsAdded | TrainingProgress | EpochDone


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The files of a training run."""

    checkpoint: Path
    """The best epoch's checkpoint, which can be exported."""
    report: Path
    """A page with the run's curves and figures."""
    held_out: HeldOut | HeldOutRegions | None
    """How the model of the best epoch does on held-out images; None if nothing was held out."""
    cautions: tuple[str, ...] = ()
    """Why to doubt the model of the best epoch, as ends of sentences about it."""


def train_detector(
    request: TrainingRequest,
    options: TrainOptions | None = None,
    on_event: Callable[[TrainingEvent], None] | None = None,
) -> TrainingResult:
    """Train a detector on a folder of annotated images, and write its checkpoints and report.

    Args:
        request: the data, where the run's files go, and what to start from.
        options: how to train; the paper's recipe by default. See `preset_options`.
        on_event: called with each event as it happens.

    Raises:
        AnnotationError: the data cannot be used, or the images with cells are of too few slides to hold one out.
        SlideError: a slide cannot be read.
        DeviceError: `cuda` was asked for, and there is no GPU.
        OptionError: the options do not fit the data, the teacher or the run to resume.
        TrainingError: there are no boxes to learn from or to choose by, the folder holds another run, another run is at
            work in it, or a loss or a weight is not a finite number.
        OutputError: a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    emit = on_event or (lambda _: None)
    require("matplotlib")  # the report needs it, and it would be missed only after hours of training
    dataset = read_dataset(
        request.data, classes=request.classes, mpp=request.mpp, others_are_normal=request.others_are_normal
    )
    if request.model_mpp is not None:
        dataset = resample(dataset, request.model_mpp)
    # Before pseudo-labels are added, so that the FPN levels depend only on boxes that people drew.
    options = fit_options(options or preset_options(), dataset)
    if request.pseudo_labels is not None:
        dataset, options = with_split_of(dataset, options, request.pseudo_labels)
    learn, held_out = hold_out(dataset.images, options.validation_split, options.fold, options.seed)
    cautions = tuple(split_cautions(learn, held_out, dataset.class_names))
    emit(DataRead(dataset=dataset, description=describe(dataset.images), cautions=cautions))
    check_split(learn, held_out, dataset.class_names, options)
    with claimed(request.out) as claim:
        return _train(request, options, dataset, claim, emit)


def _train(
    request: TrainingRequest,
    options: TrainOptions,
    dataset: Dataset,
    claim: Claim,
    emit: Callable[[TrainingEvent], None],
) -> TrainingResult:
    """Train in a folder that this run has claimed; see `train_detector`."""
    if request.pseudo_labels is not None:
        device = choose_device(request.device)
        dataset, labels = label_dataset(dataset, request.pseudo_labels, options, device)
        emit(PseudoLabelsAdded(teacher=request.pseudo_labels, added=labels.added, thresholds=labels.thresholds))

    def progress(stage: Literal["training", "validating", "reporting"], done: int, total: int) -> None:
        emit(TrainingProgress(stage=stage, done=done, total=total))

    checkpoint = train(
        dataset,
        options,
        request.out,
        device=request.device,
        weights=request.weights,
        resume=request.resume,
        on_progress=partial(progress, "training"),
        on_validation=partial(progress, "validating"),
        on_epoch=lambda metrics: emit(EpochDone(metrics=metrics)),
        before_writing=lambda: check_held(claim, request.out),
    )
    report = write_report(request.out, dataset, device=request.device, on_progress=partial(progress, "reporting"))
    best = load_checkpoint(checkpoint)
    return TrainingResult(checkpoint=checkpoint, report=report, held_out=best.held_out, cautions=cautions_of(best))

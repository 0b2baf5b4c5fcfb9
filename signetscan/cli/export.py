"""`signetscan export`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from signetscan.cli.console import FILE, POSITIVE

if TYPE_CHECKING:
    from pathlib import Path

SPEC_OPTIONS = {"score_threshold": "threshold", "tile_size": "tile_size", "tile_overlap": "overlap"}
"""Fields of the contract that an option may set."""


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--out", "-o", type=FILE, help="Model file.  [default: the checkpoint's, as .onnx]")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    default="fp32",
    help="Of weights and convolutions; fp16 is half the size, and for GPUs; int8 is a quarter, and for CPUs.",
)
@click.option(
    "--calibrate-on",
    type=FILE,
    multiple=True,
    metavar="SLIDE",
    help="For int8: slide or picture with cells, or folder of them, to take its ranges from; may be given repeatedly.  "
    "[default: none]",
)
@click.option("--name", help="Short name of the model.  [default: the file's]")
@click.option(
    "--training-data",
    default="",
    show_default=False,
    help="What it learnt from, for the card.  [default: what the run noted]",
)
@click.option("--licence", default="unknown", help="Licence of the weights, for the card.")
@click.option(
    "--check-on",
    type=FILE,
    multiple=True,
    metavar="SLIDE",
    help="Slide or picture whose tissue the file is checked on too; may be given several times.  [default: none]",
)
@click.option(
    "--mpp",
    type=POSITIVE,
    help="Size of the pixels of these slides and pictures, um.  [default: theirs, or the model's]",
)
@click.option("--threshold", type=float, help="Score threshold.  [default: the one chosen in training]")
@click.option(
    "--tile-size", type=int, help="Side of the tiles to be scanned, pixels at the model's mpp.  [default: 1024]"
)
@click.option("--overlap", type=int, help="Overlap of the tiles, pixels at the model's mpp.  [default: 256]")
def export(
    checkpoint: Path,
    out: Path | None,
    precision: Literal["fp32", "fp16", "int8"],
    calibrate_on: tuple[Path, ...],
    check_on: tuple[Path, ...],
    mpp: float | None,
    **card: Any,  # noqa: ANN401
) -> None:
    """Turn the CHECKPOINT of a training run into a model file.

    The file is checked against torch on random tiles, and on real ones by --check-on; it is not written if they differ.

    An int8 model is made from half of the tiles of --calibrate-on, and checked on the other half and on --check-on.

    Example: signetscan export runs/first/best.pt --out mine.onnx --check-on slide.svs

    For a CPU: signetscan export runs/first/best.pt --precision int8 --calibrate-on slides
    """
    from dataclasses import replace

    if (precision == "int8") != bool(calibrate_on):
        message = "--precision int8 and --calibrate-on go together"
        raise click.UsageError(message)

    from signetscan.training.checkpoint import load_checkpoint
    from signetscan.training.export import calibration_tiles, export_model, real_tiles
    from signetscan.training.spec import make_spec

    target = out or checkpoint.with_suffix(".onnx")
    state = load_checkpoint(checkpoint)
    own = {field: card.pop(option) for field, option in SPEC_OPTIONS.items()}
    spec = make_spec(state, **card | {"name": card["name"] or target.stem})
    spec = replace(spec, **{field: value for field, value in own.items() if value is not None})
    tiles = [tile for path in check_on for tile in real_tiles(path, spec, mpp=mpp)]
    calibration, others = calibration_tiles(calibrate_on, spec, mpp=mpp) if calibrate_on else ([], [])
    worst = export_model(
        state.make_network(), spec, target, precision=precision, tiles=[*tiles, *others], calibration=calibration
    )
    within = f"within {worst['box_px']:.5f} px and {worst['score']:.1e} in score of the checkpoint"
    if precision == "int8":
        changed = f"{worst['missed']:.1%} of its detections missed, {worst['added']:.1%} added"
        within = f"95% of candidates {within}, {changed}"
    click.echo(f"{target}: {within}")

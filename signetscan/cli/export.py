"""`signetscan export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Model file.  [default: the checkpoint's, as .onnx]")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    help="Of weights and convolutions; fp16 is half the size, and for GPUs.",
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
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="SLIDE",
    help="Slide or picture whose tissue the file is checked on too; may be given several times.",
)
@click.option("--threshold", type=float, help="Score threshold.  [default: the one chosen in training]")
def export(
    checkpoint: Path,
    out: Path | None,
    precision: Literal["fp32", "fp16"],
    name: str | None,
    training_data: str,
    licence: str,
    check_on: tuple[Path, ...],
    threshold: float | None,
) -> None:
    """Turn the CHECKPOINT of a training run into a model file for `signetscan detect`.

    The file is checked against torch on random tiles, and on real ones by --check-on; it is not written if they differ.

    Example: signetscan export runs/first/best.pt --out mine.onnx --check-on slide.svs
    """
    from dataclasses import replace

    from signetscan.training.checkpoint import load_checkpoint
    from signetscan.training.export import export_model, real_tiles
    from signetscan.training.spec import make_spec

    target = out or checkpoint.with_suffix(".onnx")
    state = load_checkpoint(checkpoint)
    spec = make_spec(state, name=name or target.stem, training_data=training_data, licence=licence)
    if threshold is not None:
        spec = replace(spec, score_threshold=threshold)
    tiles = [tile for path in check_on for tile in real_tiles(path, spec)]
    worst = export_model(state.make_network(), spec, target, precision=precision, tiles=tiles)
    click.echo(f"{target}: within {worst['box_px']:.5f} px and {worst['score']:.1e} in score of the checkpoint")

"""`signetscan export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, note, result
from signetscan.cli.flags import flags_of, given
from signetscan.cli.held_out import held_out_lines
from signetscan.training.export_options import ExportOptions

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.training.export import ExportedModel
    from signetscan.training.segmentation.export import ExportedSegmenter


@click.command()
@click.argument("checkpoint", type=FILE)
@flags_of(ExportOptions)
def export(checkpoint: Path, **values: object) -> None:
    """Turn the CHECKPOINT of a training run into a model file.

    The file is checked against torch on random tiles, and on tiles of the slides of --check-on; it is written only if
    the results are the same.

    A checkpoint of a run for segmentation becomes a model that segments.

    An int8 model is calibrated on half of the tiles of the slides of --calibrate-on, and checked on the other half and
    on those of --check-on.

    Example: signetscan export runs/first/best.pt --out mine.onnx --check-on slide.svs

    For a CPU: signetscan export runs/first/best.pt --precision int8 --calibrate-on slides
    """
    options = given(ExportOptions, values)

    from signetscan.training.export import export_checkpoint
    from signetscan.training.segmentation.checkpoint import is_for_segmentation
    from signetscan.training.segmentation.export import export_segmentation_checkpoint

    model: ExportedModel | ExportedSegmenter
    if is_for_segmentation(checkpoint):
        model = export_segmentation_checkpoint(checkpoint, options)
        outcome = _segmenter_line(model)
    else:
        model = export_checkpoint(checkpoint, options)
        outcome = _line(model)
    for caution in model.spec.cautions:
        note(f"Caution: the model is to be doubted: {caution}.")
    for line in held_out_lines(model.spec.held_out) if model.spec.held_out is not None else ():
        note(line)
    result(outcome)


def _line(model: ExportedModel) -> str:
    differences = model.differences
    within = f"within {differences.box_px:.5f} px and {differences.score:.1e} in score of the checkpoint"
    if model.spec.precision == "int8":
        changed = f"{differences.missed:.1%} of its detections missed, {differences.added:.1%} added"
        within = f"95% of candidates {within}, {changed}"
    return f"{model.path}: {within}"


def _segmenter_line(model: ExportedSegmenter) -> str:
    differences = model.differences
    within = f"probabilities within {differences.probability:.3f} of the checkpoint's"
    return f"{model.path}: {within}, another class at {differences.changed:.2%} of the places"

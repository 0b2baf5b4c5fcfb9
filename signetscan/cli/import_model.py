"""`signetscan import`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, POSITIVE, note, result
from signetscan.cli.flags import flags_of, given
from signetscan.foreign.options import ImportOptions
from signetscan.plurals import counted

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.foreign.importing import ImportedModel


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--out", "-o", type=FILE, required=True, help="Model file to write.")
@click.option("--mpp", type=POSITIVE, required=True, help="Size of the pixels that the network learnt from, µm/px.")
@flags_of(ImportOptions)
def import_model(file: Path, out: Path, mpp: float, **values: object) -> None:
    """Turn an ONNX FILE of another library into a model file.

    Knows detectors as RT-DETR, D-FINE, DEIM, RF-DETR, Ultralytics, torchvision and MMDetection export them: by the
    names and shapes of their inputs and outputs, or by --kind. Weights in files beside FILE are taken in.

    The model is run beside FILE on made-up tiles, and on tiles of the slides of --check-on; it is written only if both
    find the same.

    Example: signetscan import yolo.onnx --out mine.onnx --mpp 0.25

    Then:    signetscan detect slide.svs --model mine.onnx
    """
    options = given(ImportOptions, values)

    from signetscan.foreign.importing import import_model

    model = import_model(file, out, mpp=mpp, options=options)
    for caution in model.spec.cautions:
        note(f"Caution: the model is to be doubted: {caution}.")
    result(_line(file, model))


def _line(file: Path, model: ImportedModel) -> str:
    spec, agreement = model.spec, model.agreement
    taken = "any number of tiles" if spec.batch_size is None else counted(spec.batch_size, "tile")
    takes = f"{model.kind}, takes {taken} of {spec.tile_size} px at once"
    within = f"within {agreement.box_px:.5f} px and {agreement.score:.1e} in score of {file.name}"
    return f"{model.path}: {takes}; {counted(agreement.candidates, 'candidate')} {within}"

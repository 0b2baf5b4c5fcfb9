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

    from signetscan.foreign.importing import ImportedDetector, ImportedSegmenter


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--out", "-o", type=FILE, required=True, help="Model file to write.")
@click.option(
    "--mpp",
    type=POSITIVE,
    help="Size of the pixels that the network learnt from, µm/px.  [default: what the config says]",
)
@flags_of(ImportOptions)
def import_model(file: Path, out: Path, mpp: float | None, **values: object) -> None:
    """Turn an ONNX FILE of another library into a model file.

    Knows detectors as RT-DETR, D-FINE, DEIM, RF-DETR, Ultralytics, torchvision and MMDetection export them, networks
    that segment, and networks that classify patches, such as those of the WSInfer zoo: by the names and shapes of their
    inputs and outputs, or by --kind. Weights in files beside FILE are taken in.

    The model is run beside FILE on made-up tiles, and on tiles of the slides of --check-on; it is written only if both
    find the same.

    Example: signetscan import yolo.onnx --out mine.onnx --mpp 0.25

    Then:    signetscan detect slide.svs --model mine.onnx (or segment)
    """
    options = given(ImportOptions, values)

    from signetscan.foreign.importing import import_model

    model = import_model(file, out, mpp=mpp, options=options)
    for caution in model.spec.cautions:
        note(f"Caution: the model is to be doubted: {caution}.")
    result(_line(file, model))


def _line(file: Path, model: ImportedDetector | ImportedSegmenter) -> str:
    from signetscan.foreign.importing import ImportedSegmenter

    spec = model.spec
    taken = "any number of tiles" if spec.batch_size is None else counted(spec.batch_size, "tile")
    takes = f"{model.kind}, takes {taken} of {spec.tile_size} px at once"
    if isinstance(model, ImportedSegmenter):
        said = model.agreement
        agrees = f"{counted(said.places, 'place')} within {said.probability:.4f} in probability"
    else:
        found = model.agreement
        within = f"within {found.box_px:.5f} px and {found.score:.1e} in score"
        agrees = f"{counted(found.candidates, 'candidate')} {within}"
    return f"{model.path}: {takes}; {agrees} of {file.name}"

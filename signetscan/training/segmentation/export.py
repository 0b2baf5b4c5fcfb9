"""Export of a checkpoint that segments as a model file, checked against torch before it is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.atomic import part_path
from signetscan.errors import ModelError, OptionError
from signetscan.models.segmentation_spec import PROBABILITIES
from signetscan.models.segmenter import load_segmenter
from signetscan.models.writing import save_graph
from signetscan.scan.real_tiles import real_tiles
from signetscan.training.export import calibration_tiles, random_tiles
from signetscan.training.export_options import ExportOptions
from signetscan.training.graph import GraphForm, fold_norms, make_graph
from signetscan.training.quantise import make_int8_graph
from signetscan.training.segmentation.checkpoint import load_segmentation_checkpoint
from signetscan.training.segmentation.network import FULL, SegmentationInference
from signetscan.training.segmentation.segmenter import TorchSegmenter
from signetscan.training.segmentation.spec import make_segmentation_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.models.segmenter import Segmenter
    from signetscan.training.segmentation.network import SegmentationNet

FORM = GraphForm(inference=SegmentationInference, outputs=(PROBABILITIES,), scores=PROBABILITIES)

MAX_ERROR: dict[str, float] = {"fp32": 1 / FULL, "fp16": 0.03, "int8": 0.15}
"""Largest difference of a probability between torch (in fp32) and the file; but for the rarest, see `QUANTILE`."""
QUANTILE: dict[str, float] = {"fp32": 1.0, "fp16": 0.999, "int8": 0.95}
"""Part of the probabilities that must keep within that limit."""
MAX_CHANGED: dict[str, float] = {"fp32": 0.001, "fp16": 0.005, "int8": 0.05}
"""Largest part of the places that get another class from the file than from torch: those between two classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDifferences:
    """How much a model file differs from its network on the same tiles."""

    probability: float
    """Difference of a probability, 0 to 1, within which almost all keep; see `QUANTILE`."""
    changed: float
    """Part of the places that get another class, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSegmenter:
    """A model file, and how closely it follows its checkpoint."""

    path: Path
    """The file."""
    spec: SegmentationSpec
    """Its contract."""
    differences: ClassDifferences
    """Differences from the checkpoint's network."""


def export_segmentation_checkpoint(checkpoint: Path, options: ExportOptions | None = None) -> ExportedSegmenter:
    """Turn the checkpoint of a run for segmentation into a model file, which is written only if it says the same.

    The file is checked against torch on random tiles, and on tiles of the slides in `check_on`. An int8 model is
    calibrated on half of the tiles of the slides in `calibrate_on`, and checked on the other half.

    Args:
        checkpoint: the checkpoint's file.
        options: precision, contract and slides to check on; the defaults of `ExportOptions` if None.

    Raises:
        TrainingError: the checkpoint cannot be read.
        ModelError: the network gives no numbers or always the same, the file's results differ too much, or the contract
            is not valid; nothing is written.
        OptionError: a threshold or an overlap was given, which only detectors have.
        SlideError: a slide or image to check on cannot be read, or shows no tissue.
        OutputError: the file cannot be written.
    """
    options = options or ExportOptions()
    for name in ("threshold", "overlap"):
        if getattr(options, name) is not None:
            message = f"{checkpoint}: a model that segments has no {name}; leave it out"
            raise OptionError(message, options=(name,))
    path = options.out or checkpoint.with_suffix(".onnx")
    state = load_segmentation_checkpoint(checkpoint)
    if state.broken_weights:
        message = (
            f"{checkpoint}: weights are not finite numbers ({state.broken_weights[0]}); its training has diverged. "
            "Take an earlier checkpoint, or train anew with a lower learning rate"
        )
        raise ModelError(message)
    spec = make_segmentation_spec(
        state,
        name=options.name or path.stem,
        training_data=options.training_data or "",
        licence=options.licence,
        intended_use=options.intended_use,
    )
    spec = replace(spec, tile_size=options.tile_size or spec.tile_size, precision=options.precision)
    tiles = [tile for slide in options.check_on for tile in real_tiles(slide, spec, mpp=options.mpp)]
    calibration: list[NDArray[np.uint8]] = []
    if options.calibrate_on:
        calibration, checked = calibration_tiles(options.calibrate_on, spec, mpp=options.mpp)
        tiles += checked
    differences = export_segmenter(state.make_network(), spec, path, tiles=tiles, calibration=calibration)
    return ExportedSegmenter(path=path, spec=spec, differences=differences)


def export_segmenter(
    network: SegmentationNet,
    spec: SegmentationSpec,
    path: Path,
    *,
    tiles: Sequence[NDArray[np.uint8]] = (),
    calibration: Sequence[NDArray[np.uint8]] = (),
) -> ClassDifferences:
    """Write a model file, after checking that ONNX Runtime says the same with it as torch does.

    Args:
        network: the trained network, in evaluation mode, on the CPU.
        spec: the contract, with the precision.
        path: the file to write.
        tiles: images (H, W, 3), with sides that are multiples of the stride, to check on besides random ones; an int8
            file is checked on these alone, because its ranges are those of tissue.
        calibration: such images whose activations give the ranges of int8.

    Raises:
        ModelError: the file's results differ from torch's; nothing is written.
        OutputError: the file cannot be written.
    """
    reference = TorchSegmenter(network, spec, torch.device("cpu"))
    _check_knows_something(reference)
    with part_path(path) as part:
        if spec.precision == "int8":
            graph = make_int8_graph(network, spec.stride, calibration, FORM)
        else:
            # Norms are folded in for fp16 only, where that saves rounding; see `fold_norms`.
            exported = fold_norms(network).half() if spec.precision == "fp16" else network
            graph = make_graph(exported, spec.stride, FORM)
        save_graph(graph, spec, part)
        file = load_segmenter(part, device="cpu")
        checked = [*tiles] if spec.precision == "int8" else [*random_tiles(spec), *tiles]
        for tile in random_tiles(spec):  # a file must run on tiles of all shapes, and keep the contract there
            file.segment(tile[None])
        return check_segmenter(reference, file, checked)


def _check_knows_something(segmenter: Segmenter) -> None:
    """Check that a network does not give the same probabilities to everything, as one does whose numbers overflow.

    Raises:
        ModelError: it does not.
    """
    count = len(segmenter.spec.class_names)
    found = [segmenter.segment(tile[None]).reshape(count, -1) for tile in random_tiles(segmenter.spec)]
    joined = np.concatenate(found, axis=1)
    if (joined == joined[:, :1]).all():
        message = f"{segmenter.spec.name}: the network says the same of everything; train it anew"
        raise ModelError(message)


def check_segmenter(reference: Segmenter, file: Segmenter, tiles: Sequence[NDArray[np.uint8]]) -> ClassDifferences:
    """Compare a model file with its network, in fp32, on tiles.

    Raises:
        ModelError: they differ by more than the rounding of the precision.
    """
    precision = file.spec.precision
    ours, theirs = ([segmenter.segment(tile[None])[0] for tile in tiles] for segmenter in (reference, file))
    apart = np.concatenate([np.abs(a.astype(np.int16) - b).ravel() for a, b in zip(ours, theirs, strict=True)])
    other = np.concatenate([(a.argmax(0) != b.argmax(0)).ravel() for a, b in zip(ours, theirs, strict=True)])
    differences = ClassDifferences(
        probability=float(np.quantile(apart, QUANTILE[precision])) / FULL, changed=float(other.mean())
    )
    if differences.probability > MAX_ERROR[precision] or differences.changed > MAX_CHANGED[precision]:
        message = (
            f"{file.spec.name}: the exported model differs from torch by {differences.probability:.3f} in probability, "
            f"and in the class of {differences.changed:.2%} of the places; it was not written"
        )
        raise ModelError(message)
    return differences

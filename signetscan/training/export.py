"""Export of a checkpoint as a model file that keeps the contract, checked against torch before it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.atomic import part_path
from signetscan.dataset.file_pairs import files_in
from signetscan.errors import ModelError, OptionError, SlideError
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.models.detector import load_detector
from signetscan.models.writing import save_graph
from signetscan.scan.real_tiles import real_tiles
from signetscan.suffixes import IMAGE_SUFFIXES, SLIDE_SUFFIXES
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.detector import TorchDetector
from signetscan.training.export_options import ExportOptions
from signetscan.training.graph import fold_norms, make_graph
from signetscan.training.int8_check import Differences, check_int8
from signetscan.training.quantise import make_int8_graph
from signetscan.training.retinanet import Inference
from signetscan.training.spec import make_spec

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.models.spec import ModelSpec
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.export_options import ExportPrecision, FloatPrecision
    from signetscan.training.retinanet import RetinaNet

MAX_BOX_ERROR: dict[FloatPrecision, float] = {"fp32": 0.01, "fp16": 0.5}
"""Largest difference of a box between torch (in fp32) and the file, pixels."""
MAX_SCORE_ERROR: dict[FloatPrecision, float] = {"fp32": 1e-4, "fp16": 5e-3}
"""Largest difference of a score."""
TIES: dict[FloatPrecision, float] = {"fp32": 0.0, "fp16": 0.1}
"""Part of the candidates that may differ by more: where two anchors of a position score almost the same, rounding
decides which of them becomes the candidate."""
CALIBRATION_TILES = 16
"""Most tiles that give an int8 network its ranges; it is checked on as many others."""
SAME_SCORE = 1e-6
"""Scores of noise and of a blank tile that differ by no more, which is rounding, are those of a network that knows
nothing."""
CHECK_SCORE = 0.05
"""Candidates above this score are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedModel:
    """A model file, and how closely it follows its checkpoint."""

    path: Path
    """The file."""
    spec: DetectionSpec
    """Its contract."""
    differences: Differences
    """Differences from the checkpoint's network: the largest ones, or for int8 those that 95% of candidates keep."""


def export_checkpoint(checkpoint: Path, options: ExportOptions | None = None) -> ExportedModel:
    """Turn the checkpoint of a training run into a model file, which is written only if it gives the same results.

    The file is checked against torch on random tiles, and on tiles of the slides in `check_on`. An int8 model is
    calibrated on half of the tiles of the slides in `calibrate_on`, and checked on the other half.

    Args:
        checkpoint: the checkpoint's file.
        options: precision, contract and slides to check on; the defaults of `ExportOptions` if None.

    Raises:
        TrainingError: the checkpoint cannot be read.
        ModelError: the network cannot score, nobody knows what it finds at its threshold, the file's results differ too
            much, or the contract is not valid; nothing is written.
        SlideError: a slide or image to check on cannot be read, or shows no tissue.
        OutputError: the file cannot be written.
    """
    options = options or ExportOptions()
    path = options.out or checkpoint.with_suffix(".onnx")
    state = load_checkpoint(checkpoint)
    _check_can_score(state, checkpoint, options)
    spec = make_spec(
        state,
        name=options.name or path.stem,
        training_data=options.training_data or "",
        licence=options.licence,
        intended_use=options.intended_use,
        threshold=options.threshold,
    )
    spec = replace(
        spec,
        tile_size=spec.tile_size if options.tile_size is None else options.tile_size,
        tile_overlap=spec.tile_overlap if options.overlap is None else options.overlap,
    )
    tiles = [tile for slide in options.check_on for tile in real_tiles(slide, spec, mpp=options.mpp)]
    calibration: list[NDArray[np.uint8]] = []
    if options.calibrate_on:
        calibration, checked = calibration_tiles(options.calibrate_on, spec, mpp=options.mpp)
        tiles += checked
    differences = export_model(
        state.make_network(), spec, path, precision=options.precision, tiles=tiles, calibration=calibration
    )
    return ExportedModel(path=path, spec=replace(spec, precision=options.precision), differences=differences)


def _check_can_score(state: Checkpoint, path: Path, options: ExportOptions) -> None:
    """Check that a network has finite weights, and a threshold at which somebody has looked.

    Raises:
        ModelError: it has not.
    """
    broken = state.broken_weights
    if broken:
        message = (
            f"{path}: weights are not finite numbers ({broken[0]}), so the network cannot score anything; its training "
            "has diverged. Take an earlier checkpoint, or train anew with a lower learning rate"
        )
        raise ModelError(message)
    if options.threshold is None and state.threshold < LEAST_SCORE:
        message = (
            f"{path}: its score threshold is {state.threshold:g}, below {LEAST_SCORE}, the lowest score that training "
            "looks at, so nobody knows how much it would let through; choose one with signetscan evaluate, and give it"
        )
        raise ModelError(message, options=("threshold",))


def export_model(
    network: RetinaNet,
    spec: DetectionSpec,
    path: Path,
    *,
    precision: ExportPrecision = "fp32",
    tiles: Sequence[NDArray[np.uint8]] = (),
    calibration: Sequence[NDArray[np.uint8]] = (),
) -> Differences:
    """Write a model file, after checking that ONNX Runtime detects the same with it as torch does.

    Args:
        network: the trained network, in evaluation mode, on the CPU.
        spec: the contract, stored in the file with the precision.
        path: the file to write.
        precision: of the weights and the convolutions; `fp16` halves the file and is faster on a GPU only; `int8`
            quarters it and is faster on a CPU only.
        tiles: images (H, W, 3), with sides that are multiples of the stride, to check on besides random ones; for
            `int8` they must show cells.
        calibration: such images whose activations give the ranges of `int8`; the file is checked on them if there are
            no `tiles`.

    Returns:
        How much the file's results differ: see `check_model`, or `check_int8` for `int8`.

    Raises:
        ModelError: the file's results differ from torch's; nothing is written.
        OptionError: `int8` without images to calibrate on.
        OutputError: the file cannot be written.
    """
    if precision == "int8" and not calibration:
        message = "int8 needs slides or images of tissue to calibrate on"
        raise OptionError(message, options=("calibrate_on",))
    spec = replace(spec, precision=precision)
    _check_outputs(network, spec)
    with part_path(path) as part:
        if precision == "int8":
            save_graph(make_int8_graph(network, spec.stride, calibration), spec, part)
            return check_int8(network, spec, part, tiles or calibration, runs_on=random_tiles(spec))
        # Norms are folded in for fp16 only, where that saves rounding; see `fold_norms`.
        exported = fold_norms(network).half() if precision == "fp16" else network
        save_graph(make_graph(exported, spec.stride), spec, part)
        return check_model(network, spec, part, [*random_tiles(spec), *tiles], precision=precision)


def _check_outputs(network: RetinaNet, spec: DetectionSpec) -> None:
    """Check that a network gives numbers, and not the same score to everything.

    Raises:
        ModelError: it does not.
    """
    lowest, highest = math.inf, -math.inf
    with torch.inference_mode():
        for tile in random_tiles(spec):
            boxes, scores, _ = Inference(network)(torch.from_numpy(tile[None]))
            if not bool(torch.isfinite(boxes).all() and torch.isfinite(scores).all()):
                message = f"{spec.name}: the network's boxes or scores are not finite numbers; train it anew"
                raise ModelError(message)
            lowest, highest = min(lowest, float(scores.min())), max(highest, float(scores.max()))
    if highest - lowest <= SAME_SCORE:
        message = f"{spec.name}: the network gives everything the same score, {lowest:g}; train it anew"
        raise ModelError(message)


def random_tiles(spec: ModelSpec) -> list[NDArray[np.uint8]]:
    """Tiles of several shapes, which a file must run on: one of noise, one of coarse noise, one of a single colour."""
    rng = np.random.default_rng(0)
    grain = max(spec.stride, 128)
    noise = rng.integers(0, 256, (2 * grain, 3 * grain, 3), np.uint8)
    coarse = np.kron(rng.integers(0, 256, (2 * grain // 16, 2 * grain // 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    flat = np.full((grain, grain, 3), 240, np.uint8)
    return [noise, coarse, flat]


def calibration_tiles(
    paths: Sequence[Path], spec: ModelSpec, *, mpp: float | None = None
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Tiles to calibrate on, and as many others of the same slides or images to check on.

    Args:
        paths: slides, images, or folders of them.
        spec: the contract, which has the sizes of tiles and pixels.
        mpp: size of a level-0 pixel, µm/px, instead of the files'; the model's if neither is known.

    Returns:
        Both lists; they are the same only if there is a single tile.

    Raises:
        SlideError: a file cannot be read or shows no tissue, or a folder has no slide or image.
        AnnotationError: a folder cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        inside = files_in(path, (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES)) if path.is_dir() else [path]
        if not inside:
            message = f"{path}: no slide or image in this folder"
            raise SlideError(message)
        files += inside
    most = 2 * CALIBRATION_TILES
    # Of many files every n-th gives one tile; of few, each gives several.
    files = files[:: -(-len(files) // most)]
    tiles = [tile for file in files for tile in real_tiles(file, spec, -(-most // len(files)), mpp=mpp)]
    return tiles[::2], tiles[1::2] or tiles


def check_model(
    network: RetinaNet,
    spec: DetectionSpec,
    path: str | os.PathLike[str],
    tiles: Sequence[NDArray[np.uint8]],
    *,
    precision: FloatPrecision = "fp32",
) -> Differences:
    """Compare a model file with its network, in fp32, on tiles.

    Returns:
        The largest differences of candidates.

    Raises:
        ModelError: they differ by more than the rounding of the precision.
    """
    box_limit, score_limit = MAX_BOX_ERROR[precision], MAX_SCORE_ERROR[precision]
    reference = TorchDetector(network, spec, torch.device("cpu"))
    detector = load_detector(path, device="cpu")
    worst_box = worst_score = 0.0
    for tile in tiles:
        (ours,) = reference.detect(tile[None], 0.0)
        (theirs,) = detector.detect(tile[None], 0.0)
        # Among the lowest of a tile's candidates, rounding decides which ones are left in, so they are not compared.
        ours = ours.select(ours.scores >= max(CHECK_SCORE, ours.scores.min(initial=1) + score_limit))
        if len(ours) == 0:
            continue
        if len(theirs) == 0:
            message = f"{spec.name}: the exported model detects nothing where torch has {len(ours)} candidates"
            raise ModelError(message)
        # Equal scores may come in another order, so each candidate is compared with the nearest one of its score.
        distances = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(axis=2)
        distances = np.where(np.abs(ours.scores[:, None] - theirs.scores[None]) <= score_limit, distances, np.inf)
        nearest = distances.argmin(axis=1)
        worst_box = max(worst_box, float(np.quantile(distances.min(axis=1), 1 - TIES[precision], method="higher")))
        worst_score = max(worst_score, float(np.abs(ours.scores - theirs.scores[nearest]).max()))
    if worst_box > box_limit or worst_score > score_limit:
        message = (
            f"{spec.name}: the exported model differs from torch by {worst_box:.4f} px and "
            f"{worst_score:.6f} in score; it was not written"
        )
        raise ModelError(message)
    return Differences(box_px=worst_box, score=worst_score)

"""From a checkpoint to a model file that keeps the contract, checked against torch before it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from signetscan.atomic import part_path
from signetscan.dataset.file_pairs import files_in
from signetscan.errors import ModelError, OptionError, SlideError
from signetscan.models.detector import load_detector
from signetscan.scan.tiling import TileGrid
from signetscan.scan.tissue import find_tissue
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.suffixes import IMAGE_SUFFIXES, SLIDE_SUFFIXES
from signetscan.training.detector import TorchDetector
from signetscan.training.graph import fold_norms, make_graph, save_graph
from signetscan.training.int8_check import check_int8
from signetscan.training.quantise import make_int8_graph

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.spec import ModelSpec
    from signetscan.training.retinanet import RetinaNet

Float = Literal["fp32", "fp16"]
Precision = Literal[Float, "int8"]

MAX_BOX_ERROR: dict[Float, float] = {"fp32": 0.01, "fp16": 0.5}
"""Largest difference of a box between torch (in fp32) and the file, pixels."""
MAX_SCORE_ERROR: dict[Float, float] = {"fp32": 1e-4, "fp16": 5e-3}
"""Largest difference of a score."""
TIES: dict[Float, float] = {"fp32": 0.0, "fp16": 0.1}
"""Share of candidates that may differ by more: where two anchors of a place score almost the same, rounding picks."""
REAL_TILES = 4
"""Tiles of a slide that an export is checked on."""
CALIBRATION_TILES = 16
"""Tiles that give an int8 network its ranges, at most, and as many others on which it is checked."""
CHECK_SCORE = 0.05
"""Candidates above this score are compared."""


def export_model(
    network: RetinaNet,
    spec: ModelSpec,
    path: Path,
    *,
    precision: Precision = "fp32",
    tiles: Sequence[NDArray[np.uint8]] = (),
    calibration: Sequence[NDArray[np.uint8]] = (),
) -> dict[str, float]:
    """Write a model file, after checking that ONNX Runtime finds with it what torch finds.

    Args:
        network: the trained network, in evaluation mode, on the CPU.
        spec: the contract, stored in the file with the precision.
        path: the file to write.
        precision: of the weights and the convolutions; `fp16` is half the size, and faster on a GPU alone; `int8` is a
            quarter, and faster on a CPU alone.
        tiles: images (H, W, 3) with sides that are multiples of the stride to check on, besides random ones; for `int8`
            they must show cells.
        calibration: such images whose activations give the ranges of `int8`; the file is checked on them if there are
            no `tiles`.

    Returns:
        Differences found: see `check_model`, or for `int8` `check_int8`.

    Raises:
        ModelError: the file's results differ from torch's; nothing is written.
        OptionError: `int8` without images to calibrate on.
        OutputError: the file cannot be written.
    """
    if precision == "int8" and not calibration:
        message = "int8 needs images of tissue to calibrate on"
        raise OptionError(message)
    spec = replace(spec, precision=precision)
    with part_path(path) as part:
        if precision == "int8":
            save_graph(make_int8_graph(network, spec.stride, calibration), spec, part)
            return check_int8(network, spec, part, tiles or calibration, runs_on=random_tiles(spec))
        rounded = fold_norms(network).half() if precision == "fp16" else network
        save_graph(make_graph(rounded, spec.stride), spec, part)
        return check_model(network, spec, part, [*random_tiles(spec), *tiles], precision=precision)


def random_tiles(spec: ModelSpec) -> list[NDArray[np.uint8]]:
    """Tiles of several shapes: noise, smooth noise, and flat."""
    rng = np.random.default_rng(0)
    grain = max(spec.stride, 128)
    noise = rng.integers(0, 256, (2 * grain, 3 * grain, 3), np.uint8)
    smooth = np.kron(rng.integers(0, 256, (2 * grain // 16, 2 * grain // 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    flat = np.full((grain, grain, 3), 240, np.uint8)
    return [noise, smooth, flat]


def real_tiles(
    path: Path, spec: ModelSpec, count: int = REAL_TILES, *, mpp: float | None = None
) -> list[NDArray[np.uint8]]:
    """Tiles of a slide or picture, spread over its tissue, at the model's mpp.

    Args:
        path: the file.
        spec: says how large tiles and pixels are.
        count: most tiles wanted.
        mpp: size of a pixel, um, in place of what the file says; where neither says it, the model's.

    Raises:
        SlideError: it cannot be read, or shows no tissue.
    """
    with open_slide(path, mpp=mpp, default_mpp=spec.mpp) as slide:
        view, mask = SlideAtMpp(slide, spec.mpp), find_tissue(slide)
        width, height = view.dimensions
        grid = TileGrid(width=width, height=height, tile_size=spec.tile_size, overlap=0, stride=spec.stride)
        tiles = [tile for tile in grid if mask.touches(*(np.array(tile.owned) * (view.scale * 2)).tolist())]
        if not tiles:
            message = f"{path}: shows no tissue to check the model on; name another slide"
            raise SlideError(message)
        chosen = tiles[:: -(-len(tiles) // count)]
        # A copy, because torch wants arrays that it might write to.
        return [view.read(tile.x, tile.y, tile.width, tile.height).copy() for tile in chosen]


def calibration_tiles(
    paths: Sequence[Path], spec: ModelSpec, *, mpp: float | None = None
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Tiles to calibrate on, and as many others of the same slides or pictures to check on.

    Args:
        paths: slides, pictures, or folders of them.
        spec: says how large tiles and pixels are.
        mpp: size of a pixel, um, in place of what the files say; where nobody says it, the model's.

    Returns:
        Both alike only where there is a single tile.

    Raises:
        SlideError: a file cannot be read or shows no tissue, or a folder holds none.
        AnnotationError: a folder cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        found = files_in(path, (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES)) if path.is_dir() else [path]
        if not found:
            message = f"{path}: no slide or picture in this folder"
            raise SlideError(message)
        files += found
    most = 2 * CALIBRATION_TILES
    files = files[:: -(-len(files) // most)]
    tiles = [tile for file in files for tile in real_tiles(file, spec, -(-most // len(files)), mpp=mpp)]
    return tiles[::2], tiles[1::2] or tiles


def check_model(
    network: RetinaNet,
    spec: ModelSpec,
    path: str | os.PathLike[str],
    tiles: Sequence[NDArray[np.uint8]],
    *,
    precision: Float = "fp32",
) -> dict[str, float]:
    """Compare a model file with its network, in fp32, on tiles.

    Returns:
        Largest differences: `box_px` and `score`.

    Raises:
        ModelError: they differ by more than the rounding of the precision.
    """
    box_limit, score_limit = MAX_BOX_ERROR[precision], MAX_SCORE_ERROR[precision]
    reference = TorchDetector(network, spec, torch.device("cpu"))
    detector = load_detector(path, device="cpu")
    worst = {"box_px": 0.0, "score": 0.0}
    for tile in tiles:
        (ours,) = reference.detect(tile[None], 0.0)
        (theirs,) = detector.detect(tile[None], 0.0)
        # The last candidates are those that equal scores happened to leave in.
        ours = ours.select(ours.scores >= max(CHECK_SCORE, ours.scores.min(initial=1) + score_limit))
        if len(ours) == 0:
            continue
        if len(theirs) == 0:
            message = f"{spec.name}: the exported model finds nothing where torch finds {len(ours)} candidates"
            raise ModelError(message)
        # Equal scores may come in another order, so each is compared with its nearest box.
        apart = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(axis=2)
        apart = np.where(np.abs(ours.scores[:, None] - theirs.scores[None]) <= score_limit, apart, np.inf)
        nearest = apart.argmin(axis=1)
        most = float(np.quantile(apart.min(axis=1), 1 - TIES[precision], method="higher"))
        worst["box_px"] = max(worst["box_px"], most)
        worst["score"] = max(worst["score"], float(np.abs(ours.scores - theirs.scores[nearest]).max()))
    if worst["box_px"] > box_limit or worst["score"] > score_limit:
        message = (
            f"{spec.name}: the exported model differs from torch by {worst['box_px']:.4f} px and "
            f"{worst['score']:.6f} in score; it was not written"
        )
        raise ModelError(message)
    return worst

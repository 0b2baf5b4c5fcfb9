"""From a checkpoint to a model file that keeps the contract, checked against torch before it is written."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from signetscan.errors import ModelError, SlideError
from signetscan.inference import load_detector
from signetscan.model_spec import INPUT_NAME, OUTPUT_NAMES
from signetscan.outputs.atomic import part_path
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.tiling import TileGrid
from signetscan.tissue import find_tissue
from signetscan.training.detector import TorchDetector
from signetscan.training.retinanet import Inference

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.model_spec import ModelSpec
    from signetscan.training.retinanet import RetinaNet

OPSET = 18
"""Understood by ONNX Runtime since 1.14."""

Precision = Literal["fp32", "fp16"]

MAX_BOX_ERROR: dict[Precision, float] = {"fp32": 0.01, "fp16": 0.5}
"""Largest difference of a box between torch (in fp32) and the file, pixels."""
MAX_SCORE_ERROR: dict[Precision, float] = {"fp32": 1e-4, "fp16": 5e-3}
"""Largest difference of a score."""
TIES: dict[Precision, float] = {"fp32": 0.0, "fp16": 0.1}
"""Share of candidates that may differ by more: where two anchors of a place score almost the same, rounding picks."""
MAX_TILE = 8192
"""Largest side of a tile that a file promises to take, pixels."""
REAL_TILES = 4
"""Tiles of a slide that an export is checked on."""
CHECK_SCORE = 0.05
"""Candidates above this score are compared."""


def export_model(
    network: RetinaNet,
    spec: ModelSpec,
    path: Path,
    *,
    precision: Precision = "fp32",
    tiles: Sequence[NDArray[np.uint8]] = (),
) -> dict[str, float]:
    """Write a model file, after checking that ONNX Runtime finds with it what torch finds.

    Args:
        network: the trained network, in evaluation mode, on the CPU.
        spec: the contract, stored in the file.
        path: the file to write.
        precision: of the weights and the convolutions; `fp16` is half the size, and faster on a GPU alone.
        tiles: images (H, W, 3) with sides that are multiples of the stride to check on, besides random ones.

    Returns:
        Largest differences found: `box_px` and `score`.

    Raises:
        ModelError: the file's results differ from torch's; nothing is written.
        OutputError: the file cannot be written.
    """
    with part_path(path) as part:
        _write(_halve(network) if precision == "fp16" else network, spec, part)
        return check_model(network, spec, part, [*random_tiles(spec), *tiles], precision=precision)


def _halve(network: RetinaNet) -> RetinaNet:
    """A copy in half precision, in which each batch normalisation is part of the convolution before it.

    So each channel is rounded once instead of three times, which in a network as deep as EfficientNet-Lite0 halves the
    error of the scores.
    """
    network = copy.deepcopy(network)
    for parent in [*network.modules()]:
        layers = [*parent.named_children()]
        for (conv_name, conv), (norm_name, norm) in pairwise(layers):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return network.half()


def _write(network: RetinaNet, spec: ModelSpec, path: Path) -> None:
    example = torch.zeros(2, 256, 384, 3, dtype=torch.uint8)
    grain = spec.stride
    rows, columns = (torch.export.Dim(name, min=1, max=MAX_TILE // grain) for name in ("rows", "columns"))
    shapes = ({0: torch.export.Dim("batch", min=1, max=1024), 1: grain * rows, 2: grain * columns},)
    with quiet():
        program = torch.onnx.export(
            Inference(network).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=list(OUTPUT_NAMES),
            dynamic_shapes=shapes,
        )
    if program is None:
        message = "torch could not turn the network into an ONNX graph"
        raise ModelError(message)
    model = program.model_proto
    onnx.helper.set_model_props(model, spec.to_metadata())
    model.producer_name, model.doc_string = "signetscan", ""
    _strip(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _strip(graph: onnx.GraphProto) -> None:
    """Take out where in the source each node comes from: paths of this machine have no place in a model."""
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
    for parts in (graph.node, graph.initializer, graph.value_info, graph.input, graph.output):
        for part in parts:
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's progress and advice to developers off the terminal; errors still raise."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def random_tiles(spec: ModelSpec) -> list[NDArray[np.uint8]]:
    """Tiles of several shapes: noise, smooth noise, and flat."""
    rng = np.random.default_rng(0)
    grain = max(spec.stride, 128)
    noise = rng.integers(0, 256, (2 * grain, 3 * grain, 3), np.uint8)
    smooth = np.kron(rng.integers(0, 256, (2 * grain // 16, 2 * grain // 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    flat = np.full((grain, grain, 3), 240, np.uint8)
    return [noise, smooth, flat]


def real_tiles(path: Path, spec: ModelSpec, count: int = REAL_TILES) -> list[NDArray[np.uint8]]:
    """Tiles of a slide or picture, spread over its tissue, to check an export on.

    Pixels are taken as they are, as if of the model's mpp: what they show does not matter here.

    Args:
        path: the file.
        spec: says how large tiles are.
        count: most tiles wanted.

    Raises:
        SlideError: it cannot be read, or shows no tissue.
    """
    with open_slide(path, mpp=spec.mpp) as slide:
        view, mask = SlideAtMpp(slide, spec.mpp), find_tissue(slide)
        width, height = view.dimensions
        grid = TileGrid(width=width, height=height, tile_size=spec.tile_size, overlap=0, stride=spec.stride)
        tiles = [tile for tile in grid if mask.touches(*tile.owned)]
        if not tiles:
            message = f"{path}: shows no tissue to check the model on; name another slide"
            raise SlideError(message)
        chosen = tiles[:: -(-len(tiles) // count)]
        # A copy, because torch wants arrays that it might write to.
        return [view.read(tile.x, tile.y, tile.width, tile.height).copy() for tile in chosen]


def check_model(
    network: RetinaNet,
    spec: ModelSpec,
    path: str | os.PathLike[str],
    tiles: Sequence[NDArray[np.uint8]],
    *,
    precision: Precision = "fp32",
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

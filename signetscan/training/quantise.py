"""From a network to a graph in 8-bit integers, which a CPU runs about twice as fast as one in floating point.

Weights are int8, with a scale for each channel; activations are uint8, with the range from the least to the greatest
value that a map takes on tiles of real tissue. Measured on a ResNet-18 of 32 channels: ranges by entropy or by the
99.999th percentile find no more cells, and by the 99.9th far fewer. To round the last layer of the boxes costs nothing;
to round that of the classes shifts scores, so it stays in floating point, like the choice of candidates and decoding of
boxes.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from signetscan.errors import DeviceError, ModelError
from signetscan.extras import missing
from signetscan.models.spec import INPUT_NAME
from signetscan.training.graph import fold_norms, make_graph, quiet
from signetscan.training.packed import PackedNet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.training.retinanet import RetinaNet

ROUNDED = ("Add", "Clip", "Conv", "MaxPool", "Pad", "Relu", "Reshape", "Resize", "Transpose")
"""Operations on integers, where they lie between two convolutions."""

WEIGHT_LEVELS = 64
"""A weight is a whole number from minus this to this, times its channel's scale. 127 would fit into a byte, but older
CPUs add products with activations in pairs in 16 bits, which 2 * 255 * 127 would overflow without a word."""
TINY = 1e-12
"""In place of the scale of a channel whose weights are all 0."""

WHOLE_NAME, ROUNDED_NAME = "whole.onnx", "rounded.onnx"

SCORES = "scores"
"""The output that depends on the classes' head alone."""


def make_int8_graph(network: RetinaNet, stride: int, tiles: Sequence[NDArray[np.uint8]]) -> onnx.ModelProto:
    """The graph of a network in 8-bit integers.

    Args:
        network: the trained network, in evaluation mode, on the CPU.
        stride: sides of tiles are multiples of it, pixels.
        tiles: tissue whose activations give the ranges, each (H, W, 3), uint8.

    Raises:
        ModelError: the network cannot be brought into this form.
    """
    packed = PackedNet(fold_norms(network)).eval()
    _round_weights(packed, tiles)
    model = make_graph(packed, stride)
    pixels = _pixels(model.graph)
    with tempfile.TemporaryDirectory(prefix="signetscan-") as folder, quiet(), _hushed_root():
        _round(model, Path(folder), tiles, {pixels: [_unrounded(packed.stem.zero)]})
        model = onnx.load(Path(folder) / ROUNDED_NAME)
    _take_pixels_as_they_are(model.graph, pixels)
    return model


def _round(
    model: onnx.ModelProto,
    folder: Path,
    tiles: Sequence[NDArray[np.uint8]],
    overrides: dict[str, list[dict[str, NDArray[np.float32 | np.uint8]]]],
) -> None:
    """Have ONNX Runtime write the rounded graph into a folder.

    Raises:
        DeviceError: ONNX Runtime is not installed.
    """
    try:
        from onnxruntime import quantization  # noqa: PLC0415 - so that its absence has a message
    except ImportError as error:
        raise DeviceError(str(missing("onnxruntime"))) from error
    # So that the quantiser does not advise what is done already: shapes are known, and norms folded.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    onnx.save(model, folder / WHOLE_NAME)
    quantization.quantize_static(
        folder / WHOLE_NAME,
        folder / ROUNDED_NAME,
        _Tiles(tiles),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(ROUNDED),
        nodes_to_quantize=_to_round(model.graph),
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,  # weights up to WEIGHT_LEVELS
        calibrate_method=quantization.CalibrationMethod.MinMax,
        extra_options={"TensorQuantOverrides": overrides},
    )


def _round_weights(packed: PackedNet, tiles: Sequence[NDArray[np.uint8]]) -> None:
    """Round the weights in place as the quantiser will, and take what that adds on average from the biases.

    Inputs of a convolution are seldom around zero: tissue is bright, and so are maps after a ReLU. So the errors of its
    weights shift each of its outputs by their sum times the mean input, which its bias can undo.
    """
    layers = [layer for layer in packed.modules() if isinstance(layer, nn.Conv2d)]
    means = _mean_inputs(packed, layers, tiles)
    for layer in layers:
        if layer not in means or layer.bias is None or layer is packed.network.classify.last:
            continue
        weight = layer.weight.data
        scale = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=TINY) / WEIGHT_LEVELS
        layer.weight.data = (weight / scale).round() * scale
        of_group = means[layer].reshape(layer.groups, -1).repeat_interleave(layer.out_channels // layer.groups, dim=0)
        layer.bias.data -= ((layer.weight.data - weight).sum(dim=(2, 3)) * of_group).sum(dim=1)


@torch.no_grad()
def _mean_inputs(
    network: nn.Module, layers: Sequence[nn.Module], tiles: Sequence[NDArray[np.uint8]]
) -> dict[nn.Module, Tensor]:
    """Mean of each channel of the input of each layer that is used, over all tiles and places (in heads, all maps)."""
    sums: dict[nn.Module, Tensor] = {}
    counts: Counter[nn.Module] = Counter()

    def note(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        (x,) = inputs
        total = x.sum(dim=(0, 2, 3), dtype=torch.float64)
        sums[layer] = sums[layer] + total if layer in sums else total
        counts[layer] += x.shape[0] * x.shape[2] * x.shape[3]

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        for tile in tiles:
            network(torch.from_numpy(tile[None]))
    finally:
        for hook in hooks:
            hook.remove()
    return {layer: (total / counts[layer]).float() for layer, total in sums.items()}


class _Tiles:
    """Feeds tiles one by one."""

    def __init__(self, tiles: Iterable[NDArray[np.uint8]]) -> None:
        self._tiles = iter(tiles)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next input, or None after the last."""
        tile = next(self._tiles, None)
        return None if tile is None else {INPUT_NAME: tile[None]}


def _to_round(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions and of what lies between them, less the last ones of the classes' head."""
    after: set[str] = set()  # values that a convolution has a part in
    for node in graph.node:
        if node.op_type == "Conv" or not after.isdisjoint(node.input):
            after.update(node.output)
    before: set[str] = set()  # values that a convolution needs
    last: set[str] = set()  # values that the scores need, with no convolution between
    last.add(SCORES)
    names = []
    for node in reversed(graph.node):
        needed = not before.isdisjoint(node.output)
        of_scores = not last.isdisjoint(node.output)
        is_conv = node.op_type == "Conv"
        if needed or is_conv:
            before.update(node.input)
        if of_scores and not is_conv:
            last.update(node.input)
        between = needed and not after.isdisjoint(node.input)
        if (is_conv and not of_scores) or (between and node.op_type in ROUNDED):
            names.append(node.name)
    return names[::-1]


def _pixels(graph: onnx.GraphProto) -> str:
    """The value that the first convolution takes: the tile's pixels less the grey beyond its edge."""
    made_by = {name: node for node in graph.node for name in node.output}
    first: str = next(node for node in graph.node if node.op_type == "Conv").input[0]
    shift = made_by.get(first)
    if shift is None or shift.op_type != "Sub" or made_by[shift.input[0]].op_type != "Cast":
        message = "torch made a graph of another form than this version of signetscan knows; install the torch it names"
        raise ModelError(message)
    return first


def _unrounded(zero: int) -> dict[str, NDArray[np.float32 | np.uint8]]:
    """How pixels are rounded: not at all."""
    return {"scale": np.array(1, np.float32), "zero_point": np.array(zero, np.uint8)}


def _take_pixels_as_they_are(graph: onnx.GraphProto, pixels: str) -> None:
    """Leave out that bytes are made floating point, shifted, and rounded to the same bytes again."""
    made_by = {name: node for node in graph.node for name in node.output}
    rounding = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == pixels)
    shift = made_by[pixels]
    cast = made_by[shift.input[0]]
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == rounding.output[0]:
                node.input[index] = cast.input[0]
    for node in (rounding, shift, cast):
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for constant in [constant for constant in graph.initializer if constant.name not in used]:
        graph.initializer.remove(constant)


@contextlib.contextmanager
def _hushed_root() -> Iterator[None]:
    """Keep what the quantiser says to the root logger off the terminal, and the root logger as it was."""

    def nothing(_: logging.LogRecord) -> bool:
        return False

    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)  # without one, the first message would set up the terminal as one
    root.addFilter(nothing)
    try:
        yield
    finally:
        root.removeFilter(nothing)
        root.removeHandler(handler)

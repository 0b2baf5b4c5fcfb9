"""Export of a network as an ONNX graph that keeps the model contract."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from signetscan.errors import ModelError
from signetscan.models.detection_spec import OUTPUT_NAMES
from signetscan.models.spec import INPUT_NAME
from signetscan.training.retinanet import Inference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx

Network = TypeVar("Network", bound=nn.Module)

OPSET = 18
"""Understood by ONNX Runtime since 1.14."""

MAX_TILE = 8192
"""Largest side of a tile that a model file accepts, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphForm:
    """What the contract of a task puts into a graph."""

    inference: Callable[[nn.Module], nn.Module]
    """Gives a network what follows on it in the graph."""
    outputs: tuple[str, ...]
    """Names of the graph's outputs."""
    scores: str
    """The output for whose sake the layer before it stays in floating point where others are in integers."""


DETECTION: GraphForm = GraphForm(inference=Inference, outputs=OUTPUT_NAMES, scores="scores")


def make_graph(network: nn.Module, stride: int, form: GraphForm = DETECTION) -> onnx.ModelProto:
    """The graph of a network, with everything that the contract puts into it.

    Args:
        network: a network in evaluation mode, or a module with the same outputs.
        stride: sides of tiles are multiples of it, pixels.
        form: what the contract of its task asks for.

    Raises:
        ModelError: torch cannot turn the network into a graph.
    """
    # No size is 1 and no two are equal, or the exporter would take them for constant or for the same.
    example = torch.zeros(2, 256, 384, 3, dtype=torch.uint8)
    rows, columns = (torch.export.Dim(name, min=1, max=MAX_TILE // stride) for name in ("rows", "columns"))
    shapes = ({0: torch.export.Dim("batch", min=1, max=1024), 1: stride * rows, 2: stride * columns},)
    with quiet():
        program = torch.onnx.export(
            form.inference(network).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=list(form.outputs),
            dynamic_shapes=shapes,
        )
    if program is None:
        message = "torch could not turn the network into an ONNX graph"
        raise ModelError(message)
    return program.model_proto


def fold_norms(network: Network) -> Network:
    """A copy in which each batch normalisation is folded into the convolution before it.

    Each channel is then rounded once instead of three times, which halves the error of the scores in half precision in
    a network as deep as EfficientNet-Lite0.
    """
    network = copy.deepcopy(network)
    for parent in [*network.modules()]:
        layers = [*parent.named_children()]
        for (conv_name, conv), (norm_name, norm) in pairwise(layers):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return network


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's progress and its advice to developers off the terminal; errors are still raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

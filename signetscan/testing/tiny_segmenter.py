"""A model of a few hundred bytes that segments by darkness: the darker a place, the later its class.

A pixel of the output depends on a square of `REACH` tile pixels around it, and on nothing else. All sums in the graph
are whole numbers that float32 holds exactly, so that they do not depend on their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from signetscan.testing.specs import make_segmentation_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

STEP, REACH = 4, 12
"""Tile pixels from one pixel of the output to the next, and side of the square that each depends on."""
BEYOND = (REACH - STEP) // 2
"""Tile pixels beside its own on which a pixel of the output depends: the least margin."""


def write_tiny_segmenter(
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    output_name: str = "probabilities",
    output_type: int = TensorProto.UINT8,
    scale: float | None = None,
    input_shape: tuple[int | str, ...] = ("batch", "height", "width", 3),
) -> Path:
    """Write the model, or with other arguments one that breaks the contract.

    Args:
        path: where to.
        metadata: its metadata; that of `make_segmentation_spec` if None.
        output_name: name of the output.
        output_type: type of the output.
        scale: what the output gives for a probability of 1; by default 255 for uint8, else 1.
        input_shape: sizes of the input; texts for those that are free.
    """
    whole = 255.0 if output_type == TensorProto.UINT8 else 1.0
    constants: dict[str, NDArray[np.int64] | NDArray[np.float32]] = {
        "channels": np.array([3], np.int64),
        "ones": np.ones((1, 1, REACH, REACH), np.float32),
        "white": np.array(255 * 3 * REACH * REACH, np.float32),
        "one": np.array(1, np.float32),
        "nought": np.array(0, np.float32),
        "two": np.array(2, np.float32),
        "scale": np.array(whole if scale is None else scale, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["tiles"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["pixels", "channels"], ["grey"], keepdims=1),
        helper.make_node("Transpose", ["grey"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "ones"], ["sums"], strides=[STEP, STEP], pads=[BEYOND] * 4),
        helper.make_node("Div", ["sums", "white"], ["lightness"]),
        helper.make_node("Mul", ["lightness", "two"], ["twice"]),
        helper.make_node("Sub", ["twice", "one"], ["above"]),
        helper.make_node("Clip", ["above", "nought", "one"], ["light"]),
        helper.make_node("Sub", ["one", "twice"], ["below"]),
        helper.make_node("Clip", ["below", "nought", "one"], ["dark"]),
        helper.make_node("Sub", ["one", "light"], ["rest"]),
        helper.make_node("Sub", ["rest", "dark"], ["middle"]),
        helper.make_node("Concat", ["light", "middle", "dark"], ["shares"], axis=1),
        helper.make_node("Mul", ["shares", "scale"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"])
        if output_type == TensorProto.UINT8
        else helper.make_node("Identity", ["scaled"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], [output_name], to=output_type),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("tiles", TensorProto.UINT8, input_shape)],
        [helper.make_tensor_value_info(output_name, output_type, (input_shape[0], 3, "rows", "columns"))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, dict(make_segmentation_spec().to_metadata() if metadata is None else metadata))
    onnx.save(model, path)
    return path


def tiny_probabilities(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the model gives for a whole picture, computed in another way.

    Args:
        pixels: (H, W, 3), with as much as the model sees beyond its own part: `BEYOND` more at each edge.

    Returns:
        Probabilities times 255, (3, rows, columns) of the part without these edges.
    """
    grey = pixels.sum(axis=2, dtype=np.int64)
    sums = np.pad(grey.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    tops = np.arange(0, grey.shape[0] - REACH + 1, STEP)[:, None]
    lefts = np.arange(0, grey.shape[1] - REACH + 1, STEP)[None]
    total = (
        sums[tops + REACH, lefts + REACH] - sums[tops, lefts + REACH] - sums[tops + REACH, lefts] + sums[tops, lefts]
    )
    twice = (total / np.float32(255 * 3 * REACH * REACH)).astype(np.float32) * 2
    light, dark = (twice - 1).clip(0, 1), (1 - twice).clip(0, 1)
    shares = np.stack([light, np.float32(1) - light - dark, dark])
    scaled: NDArray[np.uint8] = np.rint(shares * 255).astype(np.uint8)
    return scaled

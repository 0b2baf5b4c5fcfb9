"""A model of a few hundred bytes that keeps the contract: one box in each tile, with the tile's darkness as score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from signetscan.testing.specs import make_spec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

BOX = (10.0, 20.0, 40.0, 60.0)


def write_tiny_model(  # noqa: PLR0913 - each is a way to break the contract
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    input_name: str = "tiles",
    input_type: int = TensorProto.UINT8,
    input_shape: tuple[str | int, ...] = ("batch", "height", "width", 3),
    score_name: str = "scores",
    label_type: int = TensorProto.INT64,
    label: int = 0,
    changed: Mapping[str, NDArray[np.float32]] | None = None,
) -> Path:
    """Write the model, or with other arguments one that breaks the contract; `changed` has other constants."""
    constants: dict[str, NDArray[np.int64] | NDArray[np.float32]] = {
        "pixel_axes": np.array([1, 2, 3], np.int64),
        "white": np.array(255, np.float32),
        "one": np.array(1, np.float32),
        "column": np.array([-1, 1], np.int64),
        "box": np.array([[BOX]], np.float32),
        "zero": np.array(0, np.float32),
        "label": np.array(label, np.float32),
        "last": np.array([2], np.int64),
        **(changed or {}),
    }
    nodes = [
        helper.make_node("Cast", [input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "pixel_axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["lightness"]),
        helper.make_node("Sub", ["one", "lightness"], ["darkness"]),
        helper.make_node("Reshape", ["darkness", "column"], [score_name]),
        helper.make_node("Mul", [score_name, "zero"], ["nought"]),
        helper.make_node("Unsqueeze", ["nought", "last"], ["nought3"]),
        helper.make_node("Add", ["nought3", "box"], ["boxes"]),
        helper.make_node("Add", ["nought", "label"], ["label1"]),
        helper.make_node("Cast", ["label1"], ["labels"], to=label_type),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, input_shape)],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ("batch", 1, 4)),
            helper.make_tensor_value_info(score_name, TensorProto.FLOAT, ("batch", 1)),
            helper.make_tensor_value_info("labels", label_type, ("batch", 1)),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, dict(make_spec().to_metadata() if metadata is None else metadata))
    onnx.save(model, path)
    return path

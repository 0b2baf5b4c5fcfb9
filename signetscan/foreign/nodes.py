"""Making the nodes of an ONNX graph one after the other.

Only operators are used whose form has not changed since opset 11, so that they fit any graph from there on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

LEAST_OPSET = 11
"""The oldest opset in which these nodes mean what is written here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Nodes in the making, and the constants that they take; each method adds nodes, and gives the name of a value."""

    prefix: str
    """Begins the name of each value, so that none is in the graph already."""
    nodes: list[NodeProto] = field(default_factory=list)
    """The nodes, in order."""
    constants: list[TensorProto] = field(default_factory=list)
    """The constants."""

    def add(self, operator: str, *inputs: str, **attributes: int | Sequence[int]) -> str:
        """Add a node with one output."""
        return self.add_many(operator, *inputs, count=1, **attributes)[0]

    def add_many(self, operator: str, *inputs: str, count: int, **attributes: int | Sequence[int]) -> list[str]:
        """Add a node with several outputs, of which it gives the names."""
        outputs = [f"{self.prefix}{operator}{len(self.nodes)}.{index}" for index in range(count)]
        node = helper.make_node(operator, inputs, outputs, name=outputs[0])
        node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(node)
        return outputs

    def name_last(self, name: str) -> None:
        """Give the last node's output another name."""
        self.nodes[-1].output[0] = name

    def constant(self, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Add a constant."""
        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def whole(self, *values: int) -> str:
        """Add a list of whole numbers, such as a shape."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """Add a number."""
        return self.constant(np.array(value, np.float32))

    def cast(self, value: str, kind: DTypeLike) -> str:
        """Convert a value to a type."""
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def reshape(self, value: str, *sizes: int) -> str:
        """Reshape a value; 0 keeps a size, and -1 stands for what is left."""
        return self.add("Reshape", value, self.whole(*sizes))

    def part(self, value: str, start: int, end: int, *, axis: int) -> str:
        """A part of a value along an axis."""
        return self.add("Slice", value, self.whole(start), self.whole(end), self.whole(axis))

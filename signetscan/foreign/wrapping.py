"""Wrapping a foreign graph: nodes before it prepare tiles, nodes behind it decode its outputs, as the contract says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from signetscan.errors import ModelError
from signetscan.foreign.in_graph import decode, prepare
from signetscan.foreign.nodes import LEAST_OPSET, Nodes
from signetscan.models.detection_spec import OUTPUT_NAMES
from signetscan.models.spec import INPUT_NAME
from signetscan.models.writing import graphs_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from signetscan.foreign.kinds import Convention

IR_VERSION = 8
"""Oldest version of the file's form; from 4 on, constants need not be inputs."""


def wrap(model: onnx.ModelProto, convention: Convention, batch: int | None) -> onnx.ModelProto:
    """A copy of a foreign graph that takes tiles, and gives boxes, scores and labels.

    Args:
        model: the foreign graph, with all of its weights.
        convention: what it takes and gives.
        batch: number of tiles that it takes at once; None for any number.

    Raises:
        ModelError: its operators are older than those with which it would be combined.
    """
    opset = next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)
    if opset < LEAST_OPSET:
        message = f"it is written in opset {opset}; export it again with opset {LEAST_OPSET} or later"
        raise ModelError(message)
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    prefix = _unused_prefix(graph)
    names = {name: f"{prefix}{name}" for name in (INPUT_NAME, *OUTPUT_NAMES)}
    for each in graphs_in(graph):
        _rename(each, names)
    convention = _renamed(convention, names)
    before, behind = Nodes(prefix=f"{prefix}before."), Nodes(prefix=f"{prefix}behind.")
    prepare(before, convention, INPUT_NAME)
    for name, result in zip(OUTPUT_NAMES, decode(behind, convention), strict=True):
        behind.add("Identity", result)
        behind.name_last(name)
    foreign = [*graph.node]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*before.nodes, *foreign, *behind.nodes])
    graph.initializer.extend([*before.constants, *behind.constants])
    _declare(graph, batch, convention.side)
    wrapped.ir_version = max(wrapped.ir_version, IR_VERSION)
    return wrapped


def _declare(graph: onnx.GraphProto, batch: int | None, side: int) -> None:
    """Declare the input and the outputs of the contract."""
    size = "batch" if batch is None else batch
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, (size, side, side, 3)))
    boxes, scores, labels = OUTPUT_NAMES
    for name, kind, shape in (
        (boxes, TensorProto.FLOAT, (size, "candidates", 4)),
        (scores, TensorProto.FLOAT, (size, "candidates")),
        (labels, TensorProto.INT64, (size, "candidates")),
    ):
        graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def _unused_prefix(graph: onnx.GraphProto) -> str:
    """A text with which no name of a graph begins."""
    used = {name for each in graphs_in(graph) for name in _names(each)}
    prefix = "signetscan."
    while any(name.startswith(prefix) for name in used):
        prefix = f"_{prefix}"
    return prefix


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """The names of the nodes, values and constants of a graph."""
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
    for values in (graph.input, graph.output, graph.initializer):
        yield from (value.name for value in values)
    yield from (value.values.name for value in graph.sparse_initializer)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename values of a graph wherever they stand in it."""
    for node in graph.node:
        for values in (node.input, node.output):
            for index, name in enumerate(values):
                values[index] = names.get(name, name)
    for declared in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in declared:
            value.name = names.get(value.name, value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)


def _renamed(convention: Convention, names: Mapping[str, str]) -> Convention:
    """A convention in which inputs and outputs have their new names."""
    inputs, outputs = convention.inputs, convention.outputs
    return replace(
        convention,
        inputs=replace(
            inputs,
            image=names.get(inputs.image, inputs.image),
            sizes=None if inputs.sizes is None else names.get(inputs.sizes, inputs.sizes),
        ),
        outputs=replace(
            outputs,
            boxes=names.get(outputs.boxes, outputs.boxes),
            scores=names.get(outputs.scores, outputs.scores),
            labels=names.get(outputs.labels, outputs.labels),
        ),
    )

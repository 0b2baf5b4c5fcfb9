"""Wrapping a foreign graph: nodes before it prepare tiles, nodes behind it decode its outputs, as the contract says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

import onnx
from onnx import TensorProto, helper

from signetscan.errors import ModelError
from signetscan.foreign.in_graph import decode, prepare
from signetscan.foreign.kinds import BoxConvention, PlaceConvention
from signetscan.foreign.nodes import LEAST_OPSET, Nodes
from signetscan.foreign.places_in_graph import cut_patches, decode_places
from signetscan.models.detection_spec import OUTPUT_NAMES
from signetscan.models.segmentation_spec import PROBABILITIES
from signetscan.models.spec import INPUT_NAME
from signetscan.models.writing import graphs_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from signetscan.foreign.kinds import Convention
    from signetscan.models.spec import ModelSpec

IR_VERSION = 8
"""Oldest version of the file's form; from 4 on, constants need not be inputs."""


def wrap(model: onnx.ModelProto, convention: Convention, spec: ModelSpec) -> onnx.ModelProto:
    """A copy of a foreign graph that takes tiles, and gives what the contract says.

    Args:
        model: the foreign graph, with all of its weights.
        convention: what it takes and gives.
        spec: the contract: how many tiles of which size it takes.

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
    names = {name: f"{prefix}{name}" for name in (INPUT_NAME, *OUTPUT_NAMES, PROBABILITIES)}
    for each in graphs_in(graph):
        _rename(each, names)
    convention = _renamed(convention, names)
    before, behind = Nodes(prefix=f"{prefix}before."), Nodes(prefix=f"{prefix}behind.")
    results = _add_nodes(before, behind, convention, is_cut=not spec.tile_size_is_fixed)
    for name, result in results.items():
        behind.add("Identity", result)
        behind.name_last(name)
    foreign = [*graph.node]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*before.nodes, *foreign, *behind.nodes])
    graph.initializer.extend([*before.constants, *behind.constants])
    _declare(graph, convention, spec)
    wrapped.ir_version = max(wrapped.ir_version, IR_VERSION)
    return wrapped


def _add_nodes(before: Nodes, behind: Nodes, convention: Convention, *, is_cut: bool) -> dict[str, str]:
    """Add the nodes that prepare tiles and decode outputs; gives the names of the results, by those of the contract."""
    match convention:
        case BoxConvention():
            prepare(before, convention.picture, INPUT_NAME)
            return dict(zip(OUTPUT_NAMES, decode(behind, convention), strict=True))
        case PlaceConvention():
            pictures, grid = cut_patches(before, INPUT_NAME, convention.picture.side) if is_cut else (INPUT_NAME, None)
            prepare(before, convention.picture, pictures)
            return {PROBABILITIES: decode_places(behind, convention, grid)}
        case _:
            assert_never(convention)


def _declare(graph: onnx.GraphProto, convention: Convention, spec: ModelSpec) -> None:
    """Declare the input and the outputs of the contract."""
    size = "batch" if spec.batch_size is None else spec.batch_size
    sides = (spec.tile_size, spec.tile_size) if spec.tile_size_is_fixed else ("height", "width")
    graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, (size, *sides, 3)))
    boxes, scores, labels = OUTPUT_NAMES
    declared: tuple[tuple[str, int, tuple[int | str, ...]], ...] = (
        (boxes, TensorProto.FLOAT, (size, "candidates", 4)),
        (scores, TensorProto.FLOAT, (size, "candidates")),
        (labels, TensorProto.INT64, (size, "candidates")),
    )
    if isinstance(convention, PlaceConvention):
        declared = ((PROBABILITIES, TensorProto.UINT8, (size, len(spec.class_names), "rows", "columns")),)
    for name, kind, shape in declared:
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
    inputs = convention.picture.inputs
    picture = replace(
        convention.picture,
        inputs=replace(
            inputs,
            image=names.get(inputs.image, inputs.image),
            sizes=None if inputs.sizes is None else names.get(inputs.sizes, inputs.sizes),
        ),
    )
    if isinstance(convention, PlaceConvention):
        output = convention.output
        return replace(convention, picture=picture, output=replace(output, name=names.get(output.name, output.name)))
    outputs = convention.outputs
    return replace(
        convention,
        picture=picture,
        outputs=replace(
            outputs,
            boxes=names.get(outputs.boxes, outputs.boxes),
            scores=names.get(outputs.scores, outputs.scores),
            labels=names.get(outputs.labels, outputs.labels),
        ),
    )

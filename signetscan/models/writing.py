"""Writing a graph and its contract as a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan import __version__
from signetscan.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

    from signetscan.models.spec import ModelSpec


def save_graph(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write a graph and its contract as a model file, unchecked: to a temporary path, until it has been compared.

    Raises:
        ModelError: the graph is not a valid one.
    """
    import onnx

    for graph in graphs_in(model.graph):
        _strip(graph)
    onnx.helper.set_model_props(model, spec.to_metadata())
    model.producer_name, model.producer_version, model.doc_string = "signetscan", __version__, ""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        message = f"its graph is not valid: {str(error).strip().splitlines()[0][:300]}"
        raise ModelError(message) from error
    onnx.save(model, path)


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and all graphs within it, such as the branches of a condition."""
    waiting = [graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _strip(graph: onnx.GraphProto) -> None:
    """Remove an exporter's notes on where in the source each node comes from: they hold paths of a machine."""
    graph.ClearField("metadata_props")
    graph.ClearField("doc_string")
    for parts in (graph.node, graph.initializer, graph.value_info, graph.input, graph.output):
        for part in parts:
            part.ClearField("metadata_props")
            part.ClearField("doc_string")

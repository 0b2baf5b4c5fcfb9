"""Reading a foreign ONNX file: within bounds, and with the weights that are beside it."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from signetscan.errors import ModelError
from signetscan.models.onnx_parts import check_is_whole
from signetscan.models.store import MAX_MODEL_BYTES, read_model
from signetscan.models.writing import graphs_in
from signetscan.texts import short_repr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZIP = b"PK"
"""Begins the files of torch, TorchScript among them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ForeignModel:
    """A foreign ONNX file with all of its weights."""

    path: Path
    """The file."""
    model: onnx.ModelProto
    """The graph; none of its weights is in another file."""
    sha256: str
    """SHA-256 of the file, hexadecimal; weights beside it are not covered."""
    metadata: dict[str, str]
    """What the file says of itself."""


def read_foreign(path: Path) -> ForeignModel:
    """Read a foreign ONNX file, and the weights in files beside it.

    Raises:
        ModelError: it cannot be read, is not an ONNX file, is too large, or names a file elsewhere.
    """
    content = read_model(path)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        message = f"{path}: not an ONNX model, or a damaged one"
        if content.startswith(ZIP):
            message = f"{path}: not an ONNX model, but perhaps one of torch; export it as ONNX with torch.onnx.export"
        raise ModelError(message) from error
    try:
        _take_in(model, path.parent)
        whole = model.SerializeToString()
        if len(whole) > MAX_MODEL_BYTES:
            raise _too_large()
        check_is_whole(whole)
    except ModelError as error:
        message = f"{path}: {error}"
        raise ModelError(message) from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return ForeignModel(path=path, model=model, sha256=hashlib.sha256(content).hexdigest(), metadata=metadata)


def _take_in(model: onnx.ModelProto, folder: Path) -> None:
    """Take weights from the files beside a model into it.

    Raises:
        ModelError: a file is missing, is elsewhere, or has fewer bytes than a tensor; or together they are too large.
    """
    left = MAX_MODEL_BYTES
    for tensor in _tensors(model):
        if not uses_external_data(tensor):
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        file = _beside(folder, where.get("location", ""))
        try:
            left -= int(where["length"]) if "length" in where else file.stat().st_size
            if left < 0:
                raise _too_large()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of entries that no reader knows
                load_external_data_for_tensor(tensor, str(folder))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            message = f"its weights in {short_repr(file.name)} cannot be read: {str(error).splitlines()[0][:200]}"
            raise ModelError(message) from error


def _beside(folder: Path, location: str) -> Path:
    """The file of a location within a folder.

    Raises:
        ModelError: there is none, or it is outside of the folder.
    """
    path = folder / location
    if not location or "\0" in location or not path.resolve().is_relative_to(folder.resolve()):
        message = f"its weights are in {short_repr(location)}, outside of its folder; save it as one file"
        raise ModelError(message)
    if not path.is_file():
        message = f"its weights are in {short_repr(location)}, which is not beside it; copy both files together"
        raise ModelError(message)
    return path


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The tensors of a model's graphs and functions; those in other places are refused if they are not whole."""
    for graph in graphs_in(model.graph):
        yield from graph.initializer
    nodes = [node for graph in graphs_in(model.graph) for node in graph.node]
    for node in (*nodes, *(node for function in model.functions for node in function.node)):
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)


def _too_large() -> ModelError:
    return ModelError(f"with its weights it is larger than {MAX_MODEL_BYTES >> 30} GiB, too large for a model")

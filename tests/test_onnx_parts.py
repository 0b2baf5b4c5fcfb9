"""Models whose weights are not all in their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from signetscan.batch.options import BatchOptions
from signetscan.batch.run import prepared
from signetscan.errors import ModelError
from signetscan.models import onnx_parts
from signetscan.models.detector import load_detector
from signetscan.models.onnx_parts import check_is_whole
from signetscan.models.store import shipped_models
from signetscan.testing.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Model = onnx.ModelProto


def elsewhere(tensor: TensorProto) -> TensorProto:
    """The tensor with its values in a file beside."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "side.bin"
    return tensor


def side() -> TensorProto:
    return elsewhere(numpy_helper.from_array(np.zeros(4, np.float32), "side"))


def graph_with(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], initializer=[tensor])


def in_initializer(model: Model) -> None:
    elsewhere(model.graph.initializer[1])


def in_node(model: Model) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=side()))


def in_list_of_tensors(model: Model) -> None:
    node = model.graph.node[0].attribute.add()
    node.tensors.append(side())


def in_branch(model: Model) -> None:
    node = helper.make_node("If", ["x"], ["y"], then_branch=graph_with(side()))
    model.graph.node.append(node)


def in_function(model: Model) -> None:
    node = helper.make_node("Constant", [], ["c"], value=side())
    model.functions.append(helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 18)]))


def in_sparse(model: Model) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(side())


def in_training(model: Model) -> None:
    model.training_info.add().algorithm.CopyFrom(graph_with(side()))


def compiled(model: Model) -> None:
    model.graph.node.append(helper.make_node("EPContext", [], ["c"], domain="com.microsoft", embed_mode=0))


@pytest.mark.parametrize(
    "change",
    [in_initializer, in_node, in_list_of_tensors, in_branch, in_function, in_sparse, in_training, compiled],
)
def test_weights_in_another_file_are_refused_wherever_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Model], None]
) -> None:
    """Also where the file lies in the working folder, from which the runtime would read it."""
    monkeypatch.chdir(tmp_path)
    path = write_tiny_model(tmp_path / "m.onnx")
    (tmp_path / "side.bin").write_bytes(bytes(1000))
    model = onnx.load(path)
    check_is_whole(model.SerializeToString())
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx: some of its weights are in other files"):
        load_detector(path)


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_models_that_ship_are_whole(name: str) -> None:
    check_is_whole(shipped_models()[name].read_bytes())


@given(st.binary(max_size=300))
def test_no_bytes_cause_more_than_an_error_message(content: bytes) -> None:
    try:
        check_is_whole(content)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most bytes are refused, some are a message of unknown fields


@pytest.mark.parametrize("content", [b"\x0b\x0c", b"\x08", b"\x0a\x05ab", b"\x02\x00", b"\x80" * 11, b"\x09\x00"])
def test_what_no_reader_takes_for_a_model_is_refused(content: bytes) -> None:
    """A group, numbers and texts cut short, the field 0, a number without end."""
    with pytest.raises(ModelError, match="not an ONNX model"):
        check_is_whole(content)


def test_a_tag_is_cut_to_the_bits_that_other_readers_see() -> None:
    tensor = bytes([14 << 3]) + b"\x81\x80\x80\x80\x10"  # data_location of 2**32 + 1, an EXTERNAL of 32 bits
    initializer = bytes([5 << 3 | 2, len(tensor)]) + tensor
    with pytest.raises(ModelError, match="other files"):
        check_is_whole(bytes([7 << 3 | 2, len(initializer)]) + initializer)


def test_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_parts, "MOST_FIELDS", 100)
    with pytest.raises(ModelError, match="far more parts"):
        check_is_whole(b"\x08\x01" * 101)


def test_a_batch_keeps_to_the_model_with_which_it_began(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "m.onnx")
    request = prepared(BatchOptions(model=str(path), out=tmp_path / "out"))
    assert request.model_sha256 == load_detector(request.model, sha256=request.model_sha256).sha256
    model = onnx.load(request.model)
    model.producer_name = "another"
    onnx.save(model, request.model)
    with pytest.raises(ModelError, match="has changed since this run began"):
        load_detector(request.model, sha256=request.model_sha256)
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_detector(request.model, sha256=request.model_sha256)

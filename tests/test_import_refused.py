"""What cannot be imported is refused with the reason, and nothing is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from foreign_graphs import CLASSES, SIDE, foreign_graph, imported, refused, write_foreign
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, parser

from signetscan.cli.main import cli
from signetscan.errors import ModelError
from signetscan.foreign import reading
from signetscan.foreign.metadata import read_metadata
from signetscan.foreign.wrapping import wrap
from signetscan.models.detector import load_detector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def saved_beside(path: Path) -> Path:
    """A graph whose weights are in weights.bin."""
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(foreign_graph("yolo"), path, **options)  # type: ignore[arg-type]
    assert path.with_name("weights.bin").exists()
    return path


def test_weights_beside_the_file_are_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model file is one file: it runs where the other one is gone."""
    path = saved_beside(tmp_path / "foreign.onnx")
    monkeypatch.chdir("/")
    model = imported(path)
    (tmp_path / "weights.bin").unlink()
    whole = imported(write_foreign(tmp_path / "whole.onnx", "yolo"))
    tiles = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    found, expected = (load_detector(each.path, device="cpu").detect(tiles, 0.0) for each in (model, whole))
    assert [each.boxes.tolist() for each in found] == [each.boxes.tolist() for each in expected]


def moved(location: str) -> Callable[[onnx.TensorProto], None]:
    def change(tensor: onnx.TensorProto) -> None:
        tensor.external_data[0].value = location

    return change


def lengthened(tensor: onnx.TensorProto) -> None:
    next(entry for entry in tensor.external_data if entry.key == "length").value = str(10**6)


def without_sense(tensor: onnx.TensorProto) -> None:
    next(entry for entry in tensor.external_data if entry.key == "length").value = "-7"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (moved("../weights.bin"), "outside of its folder"),
        (moved("/etc/passwd"), "outside of its folder"),
        (moved("inner/../../weights.bin"), "outside of its folder"),
        (moved("link.bin"), "outside of its folder"),
        (moved(""), "outside of its folder"),
        (moved("gone.bin"), "not beside it"),
        (moved("."), "not beside it"),
        (moved("pipe"), "not beside it"),
        (lengthened, "cannot be read"),
        (without_sense, "cannot be read"),
    ],
)
def test_weights_elsewhere_or_cut_short_are_refused(
    change: Callable[[onnx.TensorProto], None], says: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = saved_beside(folder / "foreign.onnx")
    (tmp_path / "weights.bin").write_bytes(bytes(10**4))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    os.mkfifo(folder / "pipe")
    model = onnx.load(path, load_external_data=False)
    change(next(tensor for tensor in model.graph.initializer if tensor.external_data))
    path.write_bytes(model.SerializeToString())
    refused(path, says)


def test_weights_may_not_be_larger_than_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where thousands of tensors share the same bytes of a file."""
    monkeypatch.setattr(reading, "MAX_MODEL_BYTES", 400)
    refused(saved_beside(tmp_path / "foreign.onnx"), "too large for a model")


def compiled(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("EPContext", [], ["c"], domain="com.microsoft", embed_mode=0))


def sparse_elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.sparse_initializer.add().values
    tensor.data_location = TensorProto.EXTERNAL


def old(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 10


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "TRTBatchedNMS"
    model.graph.node[0].domain = "mmdeploy"


def two_pictures(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 3, SIDE, SIDE)))


def not_square(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 96


def grey(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1


def one_more_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("rows", TensorProto.FLOAT, (1, 16, 3)))


def too_large(model: onnx.ModelProto) -> None:
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 10**6


def far_too_many(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 10**6


def free(model: onnx.ModelProto) -> None:
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "side"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (compiled, "in other files"),
        (sparse_elsewhere, "in other files"),
        (old, "opset 10; export it again with opset 11 or later"),
        (unknown_operator, "not a model that ONNX Runtime"),
        (two_pictures, "one picture, and its size at most"),
        (not_square, "pictures of 64 x 96 px; signetscan scans square tiles"),
        (too_large, "pictures of 1000000 px; the largest tiles have 16384 px"),
        (far_too_many, "1000000 pictures at once; 1024 at most"),
        (grey, "pictures of 1 channel; tiles have the three colours"),
        (one_more_output, r"nothing tells of which kind it is .*: its outputs are output0 float32 \(1, 6, 16\), rows"),
        (free, "say the side of its pictures"),
    ],
)
def test_graphs_that_cannot_be_wrapped_are_refused(
    change: Callable[[onnx.ModelProto], None], says: str, tmp_path: Path
) -> None:
    model = foreign_graph("yolo")
    change(model)
    (tmp_path / "foreign.onnx").write_bytes(model.SerializeToString())
    refused(tmp_path / "foreign.onnx", says)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "torchvision"}, "no graph of the kind torchvision: its outputs are output0"),
        ({"tile_size": 128}, "pictures of 64 px only, not of 128 px"),
        ({"overlap": 64}, "tile_overlap 64 must be below tile_size 64"),
        ({"overlap": 10}, "tile_overlap must be a multiple of 32 px"),
        ({"classes": ("a",)}, "room for 2 classes, but there are 1 name"),
        ({"classes": ("a", "Ignore*")}, "is a mark of objects that do not count"),
        ({"first_label": 1}, "from label 1 on"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], says: str, tmp_path: Path) -> None:
    refused(write_foreign(tmp_path / "foreign.onnx", "yolo"), says, **options)


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_what_is_no_graph_is_refused(cut: int, tmp_path: Path) -> None:
    content = foreign_graph("yolo").SerializeToString()
    (tmp_path / "foreign.onnx").write_bytes(content[:cut])
    refused(tmp_path / "foreign.onnx", "not an ONNX model|not the size of a model|not a model that ONNX Runtime")


def test_the_foreign_file_is_not_replaced(tmp_path: Path) -> None:
    path = write_foreign(tmp_path / "out.onnx", "yolo")
    before = path.read_bytes()
    with pytest.raises(Exception, match="this is the foreign file itself"):
        imported(path)
    assert path.read_bytes() == before


def test_a_graph_of_any_size_gets_the_one_that_is_asked_for(tmp_path: Path) -> None:
    model = foreign_graph("yolo")
    free(model)
    onnx.save(model, tmp_path / "foreign.onnx")
    assert imported(tmp_path / "foreign.onnx", tile_size=64).spec.tile_size == 64
    (tmp_path / "out.onnx").unlink()
    refused(tmp_path / "foreign.onnx", "ONNX Runtime cannot run it", tile_size=128)


def test_names_of_the_contract_may_be_in_the_graph(tmp_path: Path) -> None:
    """As those of values, also in the branches of a condition, where they stand for values outside of it."""
    inner = "{branch} () => (float[1, 16, 4] {branch}) {{ {branch} = Identity (boxes) }}"
    model = foreign_graph("yolo")
    graph = model.graph
    ours = {"pixels": "boxes", "by_class": "scores", "rows": "labels", "cells": "tiles"}
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = ours.get(name, name)
    condition = helper.make_node(
        "If",
        ["always"],
        ["chosen"],
        then_branch=parser.parse_graph(inner.format(branch="one_way")),
        else_branch=parser.parse_graph(inner.format(branch="other_way")),
    )
    joined = next(index for index, node in enumerate(graph.node) if node.op_type == "Concat" and "scores" in node.input)
    graph.node[joined].input[0] = "chosen"
    graph.node.insert(joined, condition)
    graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "foreign.onnx")
    found = imported(tmp_path / "foreign.onnx")
    assert found.agreement.candidates == 48
    assert found.agreement.box_px <= 0.01


def test_a_file_that_finds_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check works: a graph whose boxes are moved by 0.02 px is refused."""

    def wrongly(model: onnx.ModelProto, *rest: object) -> onnx.ModelProto:
        wrapped = wrap(model, *rest)  # type: ignore[arg-type]
        wrapped.graph.node[-3].output[0] = "almost"
        wrapped.graph.node.append(helper.make_node("Add", ["almost", "shift"], ["boxes"]))
        wrapped.graph.initializer.append(numpy_helper.from_array(np.array(0.02, np.float32), "shift"))
        return wrapped

    path = write_foreign(tmp_path / "foreign.onnx", "yolo")
    monkeypatch.setattr("signetscan.foreign.importing.wrap", wrongly)
    refused(path, r"differs from the foreign one by 0\.0200 px")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["foreign.onnx"]


def test_a_network_that_finds_nothing_in_noise_is_checked_on_a_slide(tmp_path: Path) -> None:
    """Not written unchecked: its boxes could be anything."""
    model = foreign_graph("torchvision")
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) - 30, "bias"))
    onnx.save(model, tmp_path / "foreign.onnx")
    refused(tmp_path / "foreign.onnx", "finds nothing in made-up tiles.*name a slide or image with cells")


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 3), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["names", "imgsz", "stride", "task", "license"]),
        LITERALS.map(repr) | st.sampled_from(["{[]: 1}", "{{}}", "[[1], [2]]", "0", "-32", "[]"]) | st.text(max_size=9),
    )
)
def test_any_metadata_is_read_or_refused(entries: dict[str, str]) -> None:
    try:
        said = read_metadata(entries)
    except ModelError:
        return
    assert said.side is None or 1 <= said.side <= 16384
    assert said.stride is None or 1 <= said.stride <= 16384
    assert all(isinstance(name, str) for name in said.class_names)


def test_the_command_says_what_it_made(tmp_path: Path, no_settings: None) -> None:
    path = write_foreign(tmp_path / "yolo.onnx", "yolo")
    words = ["import", str(path), "--out", str(tmp_path / "mine.onnx"), "--mpp", "0.5"]
    done = CliRunner().invoke(cli, [*words, *(word for name in CLASSES for word in ("--class", name))])
    assert done.exit_code == 0, done.output
    assert "yolo, takes 1 tile of 64 px at once; 48 candidates within 0.000" in done.stdout
    assert "Caution: the model is to be doubted: nobody chose its score threshold" in done.stderr
    described = CliRunner().invoke(cli, ["info", str(tmp_path / "mine.onnx")])
    assert "class_names: Signet ring cell; Mitosis" in described.stdout
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert "yolo.onnx: it does not say the names of its classes" in done.stderr
    assert "See --class" in done.stderr
    done = CliRunner().invoke(cli, [*words[:-2], "--class", "a", "--class", "b"])
    assert done.exit_code == 2
    assert "--mpp" in done.stderr

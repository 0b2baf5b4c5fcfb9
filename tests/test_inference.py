from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from signetscan.errors import DeviceError, ModelError
from signetscan.models.detection_spec import OUTPUT_NAMES
from signetscan.models.detector import load_detector
from signetscan.models.runtime import open_session
from signetscan.testing.specs import make_spec
from signetscan.testing.tiny_model import BOX, write_tiny_model


def test_a_model_file_gives_its_contract_and_detections(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    detector = load_detector(path)
    assert detector.spec == make_spec()
    assert detector.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert detector.runs_on.name == "CPUExecutionProvider"
    tiles = np.stack([np.full((256, 256, 3), value, np.uint8) for value in (255, 0, 51)])
    found = detector.detect(tiles, 0.5)
    assert [len(each) for each in found] == [0, 1, 1]
    assert found[1].boxes.tolist() == [list(BOX)]
    assert found[2].scores == pytest.approx(0.8)


def test_the_runtime_prints_nothing_that_a_model_says(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its own messages, in colours, hold the names of nodes."""
    node = helper.make_node("Reshape", ["tiles", "shape"], ["scores"], name="\x1b[2Jnode")
    shape = numpy_helper.from_array(np.array([7], np.int64), "shape")
    tiles = helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["batch", "height", "width", 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.UINT8, None)
    graph = helper.make_graph([node], "graph", [tiles], [scores], [shape])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    session = open_session(content, tmp_path / "odd.onnx", device="cpu")
    with pytest.raises(Exception, match="Reshape"):
        session.session.run(["scores"], {"tiles": np.zeros((1, 4, 4, 3), np.uint8)})
    broken = numpy_helper.from_array(np.zeros(1, np.float32), "shape")
    broken.dims[0] = 1 << 62
    graph.initializer[0].CopyFrom(broken)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    with pytest.raises(ModelError, match="not a model that ONNX Runtime"):
        open_session(content, tmp_path / "odd.onnx", device="cpu")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("breach", "named"),
    [
        ({"input_name": "image"}, "tiles"),
        ({"input_type": TensorProto.FLOAT}, "tiles"),
        ({"input_shape": (1, "height", "width", 3)}, "batch"),
        ({"input_shape": ("batch", 3, "height", "width")}, "tiles"),
        ({"input_shape": ("batch", 512, 512, 3)}, "tile_size"),
        ({"score_name": "probabilities"}, "scores"),
        ({"label_type": TensorProto.INT32}, "labels"),
        ({"metadata": {}}, "contract|name"),
    ],
)
def test_a_breach_of_the_contract_is_named(tmp_path: Path, breach: dict[str, Any], named: str) -> None:
    path = write_tiny_model(tmp_path / "bad.onnx", **breach)
    with pytest.raises(ModelError, match=named) as caught:
        load_detector(path)
    assert "bad.onnx" in str(caught.value)


def with_constant(path: Path, name: str, value: object) -> Path:
    return write_tiny_model(path, changed={name: np.array(value, np.float32)})


@pytest.mark.parametrize(
    ("constant", "value", "says"),
    [
        ("one", 5, "a score of 5; scores are from 0 to 1"),
        ("one", 1.001, "a score of 1.001"),
        ("one", -1, "a score of -1"),
        ("one", np.nan, "a score of nan"),
        ("one", np.inf, "a score of inf"),
        ("one", 1e30, "a score of 1e\\+30"),
        ("white", 0, "a score of nan"),
        ("box", [[[10, 20, np.nan, 60]]], "x 10 to nan and y 20 to 60, which is not finite"),
        ("box", [[[-np.inf, 20, 40, 60]]], "not finite"),
        ("box", [[[40, 20, 10, 60]]], "x 40 to 10 and y 20 to 60, whose ends are before its beginnings"),
        ("box", [[[10, 60, 40, 20]]], "ends are before its beginnings"),
        ("box", [[[1e30, 0, 2e30, 9]]], "none of its boxes touches its tile of 256 x 128 px"),
        ("box", [[[10, -1e5, 40, -1e5]]], "none of its boxes"),
    ],
)
def test_what_cannot_be_is_a_broken_model_and_no_result(
    tmp_path: Path, constant: str, value: object, says: str
) -> None:
    detector = load_detector(with_constant(tmp_path / "m.onnx", constant, value))
    with pytest.raises(ModelError, match=f"model test breaks the contract: .*{says}"):
        detector.detect(np.zeros((1, 128, 256, 3), np.uint8), 0.9)


def test_rounding_and_padding_are_no_breach(tmp_path: Path) -> None:
    """A score a bit above 1, boxes that reach over the tile, empty ones, and rows of score 0 with any box."""
    black, white = np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 64, 64, 3), 255, np.uint8)
    (found,) = load_detector(with_constant(tmp_path / "a.onnx", "one", 1.000001)).detect(black, 0.5)
    assert len(found) == 1
    (found,) = load_detector(with_constant(tmp_path / "b.onnx", "box", [[[-50, -9, 90, 64]]])).detect(black, 0.5)
    assert len(found) == 1
    for box in ([5, 5, 5, 5], [np.nan, 0, 0, 0], [9, 9, 0, 0]):
        detector = load_detector(with_constant(tmp_path / "c.onnx", "box", [[box]]))
        (found,) = detector.detect(white, 0.0)
        assert len(found) == 0


def test_more_rows_than_the_graph_promises_are_refused(tmp_path: Path) -> None:
    """Their number depends on the tile's height, so that the runtime cannot know it beforehand."""
    path = write_tiny_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    names = [node.op_type for node in model.graph.node]
    model.graph.node[names.index("Reshape")].output[0] = "once"
    more = [
        helper.make_node("Shape", ["tiles"], ["height"], start=1, end=2),
        helper.make_node("Div", ["height", "half"], ["two"]),
        helper.make_node("Concat", ["1", "two"], ["repeats"], axis=0),
        helper.make_node("Tile", ["once", "repeats"], ["scores"]),
    ]
    for position, node in enumerate(more, start=names.index("Reshape") + 1):
        model.graph.node.insert(position, node)
    constants = {"half": np.array([32], np.int64), "1": np.array([1], np.int64)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.save(model, path)
    with pytest.raises(ModelError, match="2 rows for a tile, and its graph promises 1"):
        load_detector(path).detect(np.zeros((1, 64, 64, 3), np.uint8), 0.5)


@pytest.mark.parametrize("label", [-1, 1])
def test_a_label_without_a_class_is_refused(tmp_path: Path, label: int) -> None:
    detector = load_detector(write_tiny_model(tmp_path / "tiny.onnx", label=label))
    with pytest.raises(ModelError, match=f"labels {label} to {label}, some without a class name"):
        detector.detect(np.zeros((1, 256, 256, 3), np.uint8), 0.5)


def test_files_that_are_not_models(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.onnx").write_text("hello, this is not a model")
    (tmp_path / "folder.onnx").mkdir()
    for name in ("empty.onnx", "text.onnx", "folder.onnx", "missing.onnx"):
        with pytest.raises(ModelError, match=name) as caught:
            load_detector(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_model_cannot_read_other_files(tmp_path: Path) -> None:
    """ONNX lets a model keep its weights in another file; a model from a stranger could name any file."""
    path = write_tiny_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    secret = tmp_path / "secret"
    secret.write_bytes(np.float32(3).tobytes())
    tensor = numpy_helper.from_array(np.array(255, np.float32), "white")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "secret"), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    kept = [initializer for initializer in model.graph.initializer if initializer.name != "white"]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, tensor])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx"):
        load_detector(path)


def test_cuda_that_is_not_there_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine may have a GPU")
    path = write_tiny_model(tmp_path / "tiny.onnx")
    with pytest.raises(DeviceError, match=r"device cuda.*pip"):
        load_detector(path, device="cuda")
    assert load_detector(path, device="auto").runs_on.name == "CPUExecutionProvider"


def test_tiles_bound_to_a_device_give_what_they_give_unbound(tmp_path: Path) -> None:
    """The way of a GPU, on the only device that every machine has."""
    session = load_detector(write_tiny_model(tmp_path / "tiny.onnx")).session
    bound = replace(session, memory="cpu")
    rng = np.random.default_rng(0)
    for shape in ((2, 64, 64, 3), (2, 64, 64, 3), (1, 64, 64, 3), (1, 96, 64, 3)):
        tiles = rng.integers(0, 256, shape, np.uint8)
        for one, other in zip(session.run(tiles, OUTPUT_NAMES), bound.run(tiles, OUTPUT_NAMES), strict=True):
            np.testing.assert_array_equal(one, other)


def test_tensorrt_that_is_not_there_is_an_error_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    path = write_tiny_model(tmp_path / "tiny.onnx")
    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceError, match=r"device tensorrt.*CPU build"):
            load_detector(path, device="tensorrt")
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    real, asked = onnxruntime.InferenceSession, []

    def fall_back(model: bytes, options: object, providers: list[Any], **_: object) -> object:
        asked.extend(providers)
        return real(model, options, providers=providers[-1:])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr("signetscan.models.runtime.runtime_versions", lambda: {"onnxruntime-gpu": "1.31.1"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DeviceError, match="libnvinfer"):
        load_detector(path, device="tensorrt")
    (first, options), (second, _), last = asked
    assert [first, second, last] == names
    assert Path(options["trt_engine_cache_path"]).is_relative_to(tmp_path / "cache")


def test_a_cuda_that_falls_back_is_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """onnxruntime-gpu without a usable GPU lists CUDA, makes a session, and runs on the CPU without a word."""
    import onnxruntime

    path = write_tiny_model(tmp_path / "tiny.onnx")
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, options, providers, **_: real(model, options, providers=providers[-1:]),
    )
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write("Failed to load libcublas.so\n"))
    monkeypatch.setattr("signetscan.models.runtime.runtime_versions", lambda: {"onnxruntime-gpu": "1.31.1"})
    with pytest.raises(DeviceError, match=r"fell back.*driver"):
        load_detector(path, device="cuda")
    with caplog.at_level("INFO"):
        assert load_detector(path, device="auto").runs_on.name == "CPUExecutionProvider"
    assert "Failed to load libcublas.so" in caplog.text
    assert capsys.readouterr().out == "", "standard output is for results, such as lines of JSON"


def test_outputs_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "tiny.onnx")
    model = onnx.load(path)
    box = next(value for value in model.graph.initializer if value.name == "box")
    box.CopyFrom(numpy_helper.from_array(np.zeros((1, 2, 4), np.float32), "box"))
    del model.graph.output[0]
    model.graph.output.insert(0, helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ("batch", "k", 4)))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="shapes"):
        load_detector(path).detect(np.zeros((1, 64, 64, 3), np.uint8), 0.1)


def test_a_model_of_a_fixed_size_and_batch_is_run_as_often_as_it_takes(tmp_path: Path) -> None:
    """What it says of a tile does not depend on the tiles beside it, nor on how many there are."""
    metadata = make_spec(tile_size_is_fixed=True, batch_size=2).to_metadata()
    detector = load_detector(
        write_tiny_model(tmp_path / "fixed.onnx", input_shape=(2, 256, 256, 3), metadata=metadata), device="cpu"
    )
    free = load_detector(write_tiny_model(tmp_path / "free.onnx"), device="cpu")
    tiles = np.stack([np.full((256, 256, 3), value, np.uint8) for value in (0, 255, 51, 102, 10)])
    for count in range(1, 6):
        found, expected = detector.detect(tiles[:count], 0.1), free.detect(tiles[:count], 0.1)
        assert [each.scores.tolist() for each in found] == [each.scores.tolist() for each in expected]


@pytest.mark.parametrize(
    ("shape", "said", "named"),
    [
        ((2, 256, 256, 3), {"tile_size_is_fixed": True}, "batch free"),
        ((2, 256, 256, 3), {"tile_size_is_fixed": True, "batch_size": 1}, "metadata says batch_size 1"),
        (("batch", 256, 256, 3), {"batch_size": 1}, "metadata says batch_size 1"),
        (("batch", 256, 256, 3), {}, "takes tiles of 256 px only, but tile_size_is_fixed is not true"),
    ],
)
def test_a_graph_takes_what_its_metadata_says(
    tmp_path: Path, shape: tuple[str | int, ...], said: dict[str, Any], named: str
) -> None:
    path = write_tiny_model(tmp_path / "m.onnx", input_shape=shape, metadata=make_spec(**said).to_metadata())
    with pytest.raises(ModelError, match=named):
        load_detector(path)


def test_a_name_that_is_no_text_is_told_in_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The runtime's message about it cannot be decoded, and must not be printed either."""
    path = write_tiny_model(tmp_path / "m.onnx")
    before, _, behind = path.read_bytes().rpartition(b"lightness")
    path.write_bytes(before + b"light\xff\xfe\xff\xff" + behind)
    for device in ("cpu", "auto"):
        with pytest.raises(ModelError, match=r"m\.onnx: not a model that ONNX Runtime .*: a name in it is not text"):
            load_detector(path, device=device)
    assert capfd.readouterr() == ("", "")

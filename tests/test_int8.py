"""`signetscan export --precision int8`: a network in 8-bit integers finds what the network finds, or is not written."""

from __future__ import annotations

import collections
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from conftest import ROOT
from onnx import numpy_helper
from PIL import Image
from toy_images import TINY, toy_image

from signetscan.cli.main import cli
from signetscan.errors import ModelError, OptionError, SlideError
from signetscan.models.detector import load_detector
from signetscan.results.writing import write_results
from signetscan.scan.detect import detect_slide
from signetscan.scan.real_tiles import real_tiles
from signetscan.slides import ArraySlide, SlideAtMpp, open_slide
from signetscan.testing.specs import make_spec as any_spec
from signetscan.training import export
from signetscan.training.checkpoint import Checkpoint, load_checkpoint
from signetscan.training.export import calibration_tiles, export_model
from signetscan.training.graph import fold_norms
from signetscan.training.int8_check import check_int8
from signetscan.training.options import Architecture
from signetscan.training.packed import PackedNet, PackedStem
from signetscan.training.retinanet import RetinaNet
from signetscan.training.spec import make_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.models.detection_spec import DetectionSpec

SAMPLE = ROOT / "tests" / "data" / "sample.svs"


def toys(seed: int, count: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return [toy_image(rng, cells=True)[0] for _ in range(count)]


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Checkpoint:
    return load_checkpoint(trained / "best.pt")


@pytest.fixture(scope="module")
def spec(checkpoint: Checkpoint) -> DetectionSpec:
    """Of a threshold at which the tests' network finds the cells; its own lets all sorts of things in."""
    return make_spec(checkpoint, name="toy", threshold=0.5)


@pytest.fixture(scope="module")
def exported(checkpoint: Checkpoint, spec: DetectionSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "toy.onnx"
    worst = export_model(
        checkpoint.make_network(), spec, path, precision="int8", tiles=toys(2, 8), calibration=toys(1, 4)
    )
    assert 1e-4 < worst.score < 0.03, "rounded to 8 bits, and no more"
    assert 1e-2 < worst.box_px < 2
    assert max(worst.missed, worst.added) <= 0.1
    return path


# ---- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_file_keeps_the_contract_and_says_what_it_is(exported: Path, spec: DetectionSpec, tmp_path: Path) -> None:
    detector = load_detector(exported, device="cpu")
    assert detector.spec == replace(spec, precision="int8")
    for shape in ((1, 128, 128), (3, 256, 384), (2, 640, 128)):
        assert len(detector.detect(np.zeros((*shape, 3), np.uint8), 0.5)) == shape[0]
    result = CliRunner().invoke(cli, ["info", str(exported)])
    assert "precision: int8" in result.stdout
    slide = ArraySlide(toys(4, 1), mpp=spec.mpp, name="toy")
    written = write_results(tmp_path / "a", slide, detector, detect_slide(slide, detector))
    assert written.record.model.precision == "int8"


@pytest.mark.slow
def test_it_finds_what_was_learnt_and_batches_change_nothing(exported: Path) -> None:
    detector = load_detector(exported, device="cpu")
    rng = np.random.default_rng(77)
    images, truths = zip(*(toy_image(rng, cells=True) for _ in range(5)), strict=True)
    found = total = 0
    for image, truth, of_batch in zip(images, truths, detector.detect(np.stack(images), 0.05), strict=True):
        (alone,) = detector.detect(image[None], 0.05)
        np.testing.assert_allclose(alone.boxes, of_batch.boxes, atol=1e-3)
        np.testing.assert_allclose(alone.scores, of_batch.scores, atol=1e-5)
        strong = alone.select(alone.scores >= detector.spec.score_threshold)
        middle = (strong.boxes[:, :2] + strong.boxes[:, 2:]) / 2
        for x, y in (truth[:, :2] + truth[:, 2:]) / 2:
            found += bool(len(middle)) and bool((np.hypot(*(middle - (x, y)).T) < 6).any())
            total += 1
    assert found / total > 0.9


@pytest.mark.slow
def test_the_runtime_takes_all_of_it_for_integers_but_the_last_layer_of_the_classes(
    exported: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "as-run.onnx")
    onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "as-run.onnx").graph.node
    kinds = collections.Counter(node.op_type for node in nodes)
    layers = [module for module in checkpoint.make_network().modules() if isinstance(module, torch.nn.Conv2d)]
    towers, lasts = 2 * TINY.architecture.head_depth, 2  # shared by the five maps
    assert kinds["Conv"] == 5
    assert kinds["QLinearConv"] == len(layers) + 4 * (towers + lasts) - 5
    first = next(node for node in nodes if node.op_type == "QLinearConv")
    reshaped = next(node for node in nodes if first.input[0] in node.output)
    assert (reshaped.op_type, reshaped.input[0]) == ("Reshape", "tiles"), "pixels are neither moved nor normalised"


@pytest.mark.slow
def test_products_of_weights_and_activations_fit_16_bits_in_pairs(exported: Path) -> None:
    weights = [
        numpy_helper.to_array(constant)
        for constant in onnx.load(exported).graph.initializer
        if constant.data_type == onnx.TensorProto.INT8 and len(constant.dims) == 4
    ]
    most = max(int(np.abs(weight.astype(int)).max()) for weight in weights)
    assert len(weights) > 20
    assert 2 * 255 * most <= np.iinfo(np.int16).max
    assert most > 60, "and no bit is given away"


# ---- refusals -------------------------------------------------------------------------------------------------------


def blind(network: RetinaNet) -> None:
    network.classify.last.bias.data -= 1  # type: ignore[union-attr] # a convolution with a bias


def seeing_things(network: RetinaNet) -> None:
    network.classify.last.bias.data += 1.5  # type: ignore[union-attr]


def askew(network: RetinaNet) -> None:
    network.regress.last.bias.data += 0.2  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [blind, seeing_things, askew])
def test_a_file_that_finds_something_else_is_refused(
    checkpoint: Checkpoint, spec: DetectionSpec, exported: Path, fault: Callable[[RetinaNet], None]
) -> None:
    network = checkpoint.make_network()
    assert check_int8(network, spec, exported, toys(2, 8)).missed <= 0.1
    fault(network)
    with pytest.raises(ModelError, match="toy: the int8 model differs from torch too much"):
        check_int8(network, spec, exported, toys(2, 8))


@pytest.mark.slow
def test_ranges_of_blank_glass_make_no_model(checkpoint: Checkpoint, spec: DetectionSpec, tmp_path: Path) -> None:
    network = checkpoint.make_network()
    glass = [np.full((256, 256, 3), 245, np.uint8)]
    with pytest.raises(ModelError, match=r"differs from torch too much.*not written"):
        export_model(network, spec, tmp_path / "a.onnx", precision="int8", tiles=toys(2, 8), calibration=glass)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_nothing_is_proved_where_there_are_no_cells(
    checkpoint: Checkpoint, spec: DetectionSpec, exported: Path
) -> None:
    with pytest.raises(ModelError, match=r"tiles: 3, cells that the network detects: 0.*to check on"):
        check_int8(checkpoint.make_network(), replace(spec, score_threshold=1.0), exported, toys(2, 3))


@pytest.mark.slow
def test_nothing_is_proved_where_the_network_is_sure_of_nothing(
    checkpoint: Checkpoint, spec: DetectionSpec, exported: Path
) -> None:
    network = checkpoint.make_network()
    network.classify.last.bias.data -= 8  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"no candidate with a score of 0\.3 or more.*tiles: 3"):
        check_int8(network, replace(spec, score_threshold=0.0001), exported, toys(2, 3))


def test_int8_needs_something_to_calibrate_on(
    checkpoint: Checkpoint, spec: DetectionSpec, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="calibrate"):
        export_model(checkpoint.make_network(), make_spec(checkpoint, name="a"), tmp_path / "a.onnx", precision="int8")
    for wrong in (["--precision", "int8"], ["--calibrate-on", str(SAMPLE)]):
        result = CliRunner().invoke(
            cli, ["export", str(trained / "best.pt"), "--out", str(tmp_path / "a.onnx"), *wrong]
        )
        assert result.exit_code == 2
        assert "go together" in result.stderr
    assert list(tmp_path.iterdir()) == []


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_makes_the_same_bytes_of_the_same_images_and_says_and_leaves_nothing_else(
    exported: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, scratch = tmp_path / "images", tmp_path / "scratch"
    images.mkdir()
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # where there are none, the first message of a library would add one
    for index, pair in enumerate(zip(toys(1, 4), toys(2, 4), strict=True)):
        for half, image in zip("ab", pair, strict=True):
            Image.fromarray(image).save(images / f"{index}{half}.png")
    out = tmp_path / "toy.onnx"
    arguments = ["export", str(trained / "best.pt"), "--out", str(out), "--threshold", "0.5", "--precision", "int8"]
    result = CliRunner().invoke(cli, [*arguments, "--calibrate-on", str(images)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{out}: 95% of candidates within ")
    assert "of its detections missed" in result.stdout
    assert out.read_bytes() == exported.read_bytes()
    for trace in (b"site-packages", b"retinanet.py", b"ort.quant", str(ROOT).encode(), str(tmp_path).encode()):
        assert trace not in out.read_bytes()
    assert (root.handlers, root.filters) == ([], [])
    assert list(scratch.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_half_of_the_tiles_are_kept_to_check_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = any_spec(tile_size=256, stride=128, tile_overlap=128)
    for index in range(9):
        Image.new("RGB", (256, 256), (90 + index, 40, 90)).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    calibration, others = calibration_tiles([tmp_path], spec)
    assert [int(tile[0, 0, 0]) - 90 for tile in calibration] == [0, 2, 4, 6, 8]
    assert [int(tile[0, 0, 0]) - 90 for tile in others] == [1, 3, 5, 7]
    calibration, others = calibration_tiles([tmp_path / "3.png"], spec)
    assert len(calibration) == len(others) == 1, "one tile has to do for both"
    monkeypatch.setattr(export, "CALIBRATION_TILES", 2)
    calibration, others = calibration_tiles([tmp_path, SAMPLE], spec)
    assert (len(calibration), len(others)) == (2, 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlideError, match="empty: no slide or image"):
        calibration_tiles([tmp_path / "empty"], spec)


def test_tiles_show_what_the_model_would_see(tmp_path: Path) -> None:
    """A model of larger pixels sees more of the slide in a tile; a picture's pixels may be said."""
    spec = any_spec(tile_size=512, stride=128, tile_overlap=128, mpp=0.5)
    tiles = real_tiles(SAMPLE, spec, count=3)
    with open_slide(SAMPLE) as slide:
        view = SlideAtMpp(slide, 0.5)
        width, height = view.dimensions
        places = [(x, y) for y in range(0, height, 128) for x in range(0, width, 128)]
        for tile in tiles:
            rows, columns = tile.shape[:2]
            assert max(rows, columns) <= 512
            assert any(np.array_equal(tile, view.read(x, y, columns, rows)) for x, y in places)
    Image.new("RGB", (1024, 1024), (150, 40, 90)).save(tmp_path / "a.png")
    sides = [real_tiles(tmp_path / "a.png", spec, count=1, mpp=mpp)[0].shape[0] for mpp in (None, 0.25, 0.125)]
    assert sides == [512, 512, 256]
    wide = np.full((256, 4096, 3), 250, np.uint8)
    wide[50:200, 3600:3900] = (150, 40, 90)
    Image.fromarray(wide).save(tmp_path / "b.png")
    small = any_spec(tile_size=128, stride=128, tile_overlap=0, mpp=0.5)
    tiles = real_tiles(tmp_path / "b.png", small, mpp=0.25)
    assert any((tile < 200).any() for tile in tiles), "tissue is looked for where it is"


# ---- pixels as they come --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "margin"),
    [
        (Architecture(width=8, fpn_channels=8, head_depth=1), 2),
        (Architecture(backbone="efficientnet-lite0", fpn_channels=8, head_depth=1), 0),
    ],
)
def test_the_packed_stem_is_the_stem(architecture: Architecture, margin: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RetinaNet(architecture).eval()
        _, norm, _ = network.backbone.stem()
        assert isinstance(norm, torch.nn.BatchNorm2d)
        assert norm.running_mean is not None
        for values in (norm.weight, norm.bias, norm.running_mean):
            values.data += 0.3 * torch.randn_like(values)
    tiles = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 128, 256, 3), np.uint8))
    mean, std = (
        255 * torch.tensor(values).reshape(1, 3, 1, 1) for values in (network.backbone.mean, network.backbone.std)
    )
    with torch.inference_mode():
        convolve, norm, activate = network.backbone.stem()
        expected = activate(norm(convolve((tiles.permute(0, 3, 1, 2).float() - mean) / std)))
        packed = PackedNet(fold_norms(network))
        found = packed.stem(tiles)
        assert found.shape == expected.shape
        inside = (..., slice(margin, 64 - margin), slice(margin, 128 - margin))
        torch.testing.assert_close(found[inside], expected[inside], atol=1e-4, rtol=1e-4)
        assert expected.std() > 0.05
        if margin == 0:
            for one, other in zip(packed(tiles), network(tiles), strict=True):
                torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_a_stem_with_its_normalisation_beside_it_is_not_packed() -> None:
    with pytest.raises(ValueError, match="folded"):
        PackedStem(RetinaNet(Architecture(width=8, fpn_channels=8, head_depth=1)).backbone)

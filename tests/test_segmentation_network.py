"""The network that segments: its shapes, its skips, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from signetscan.errors import OptionError
from signetscan.training.segmentation.network import SegmentationInference, SegmentationNet
from signetscan.training.segmentation.options import (
    SegmentationArchitecture,
    SegmentationOptions,
    segmentation_options,
)

if TYPE_CHECKING:
    from signetscan.training.options import BackboneName

SLIM = {"resnet18": 8, "efficientnet-lite0": None}


def network(backbone: BackboneName = "resnet18", output_stride: int = 4, classes: int = 3) -> SegmentationNet:
    architecture = SegmentationArchitecture(
        backbone=backbone,
        width=SLIM[backbone],
        decoder_channels=8,
        output_stride=output_stride,
        classes=classes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SegmentationNet(architecture).eval()


def tiles(count: int, height: int, width: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("backbone", SLIM)
@pytest.mark.parametrize("output_stride", [2, 4])
def test_each_place_of_the_output_has_probabilities_that_add_up(backbone: BackboneName, output_stride: int) -> None:
    net = network(backbone, output_stride)
    with torch.inference_mode():
        logits = net(tiles(2, 96, 64))
        probabilities = SegmentationInference(net)(tiles(2, 96, 64))
    assert logits.shape == probabilities.shape == (2, 3, 96 // output_stride, 64 // output_stride)
    assert logits.dtype is torch.float32
    assert probabilities.dtype is torch.uint8
    assert int((probabilities.int().sum(dim=1) - 255).abs().max()) <= 1
    torch.testing.assert_close(probabilities, (torch.softmax(logits, 1) * 255).round().to(torch.uint8))


@pytest.mark.parametrize("output_stride", [2, 4])
def test_every_map_of_the_backbone_that_the_output_can_use_is_used(output_stride: int) -> None:
    net = network(output_stride=output_stride)
    maps = [
        torch.randn(shape, requires_grad=True)
        for shape in [(1, 8, 32, 32), (1, 8, 16, 16), (1, 16, 8, 8), (1, 32, 4, 4), (1, 64, 2, 2)]
    ]
    torch.nn.init.normal_(net.last.weight)
    net.predict(tuple(maps)).sum().backward()  # type: ignore[no-untyped-call]
    used = [one.grad is not None and bool(one.grad.any()) for one in maps]
    assert used == [output_stride == 2, True, True, True, True]


def test_a_place_depends_on_the_pixels_beneath_it() -> None:
    """Not on others of the same size: the output is not shifted or turned."""
    net = network()
    torch.nn.init.normal_(net.last.weight)
    plain = tiles(1, 256, 256)
    changed = plain.clone()
    changed[0, 64:72, 192:200] = 255 - changed[0, 64:72, 192:200]
    with torch.inference_mode():
        apart = (net(changed) - net(plain)).abs().sum(dim=1)[0]
    row, column = divmod(int(apart.argmax()), 64)
    assert abs(row - 17) <= 2
    assert abs(column - 49) <= 2


@pytest.mark.parametrize("backbone", SLIM)
def test_all_maps_are_those_that_the_detector_gets(backbone: BackboneName) -> None:
    net = network(backbone).backbone
    x = net.normalised(tiles(1, 64, 64))
    with torch.inference_mode():
        every, coarse = net.all_maps(x), net(x)
    assert [one.shape[2] for one in every] == [32, 16, 8, 4, 2]
    assert [one.shape[1] for one in every] == [*net.fine_channels, *net.channels]
    for one, other in zip(every[2:], coarse, strict=True):
        torch.testing.assert_close(one, other)


def test_presets_and_what_contradicts_itself() -> None:
    assert segmentation_options() == SegmentationOptions()
    fast = segmentation_options("fast", epochs=3, loss="ce")
    assert (fast.epochs, fast.loss.loss, fast.architecture.backbone) == (3, "ce", "efficientnet-lite0")
    assert segmentation_options("fast", width=16).architecture.backbone == "resnet18"
    assert SegmentationOptions.from_dict(fast.as_dict()) == fast
    with pytest.raises(OptionError, match="output stride must be 2 or 4, not 3"):
        segmentation_options(output_stride=3)
    with pytest.raises(OptionError, match="one of strong, fast for segmentation, not paper"):
        segmentation_options("paper")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="leave the validation split out"):
        segmentation_options(fold=(1, 5), validation_split=0.1)
    with pytest.raises(OptionError, match="there is no option fpn levels"):
        segmentation_options(fpn_levels=3)

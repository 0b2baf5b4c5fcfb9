"""The detector of the DGHM paper: RetinaNet on ResNet-18, with anchors of the sizes of cells.

Backbone and widths can be chosen: the paper has 64 channels in the first stage of its ResNet-18, and 256 in the feature
pyramid network (FPN) and the heads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from signetscan.training.anchors import BASE_SIZES, PER_POSITION, decode, level_anchors
from signetscan.training.backbones import make_backbone
from signetscan.training.options import STRIDES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.training.options import Architecture

PRIOR = 0.01
"""Score of every anchor before training: low, or the many negatives would dominate the first batches."""

POSITIONS_PER_CANDIDATE = 4
"""Positions of all levels for each candidate, so that a tile of 1024 px has 5456. Harmonised losses leave background at
scores well above 0. So fewer candidates might all lie in one part of a tile, and depend on where its edges are."""


class FeaturePyramid(nn.Module):
    """A feature pyramid network (FPN) of 2 to 5 levels from P3 on, all with the same number of channels."""

    def __init__(self, inputs: Sequence[int], channels: int, levels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, 1, 1) for _ in inputs[:levels])
        self.p6 = nn.Conv2d(inputs[-1], channels, 3, 2, 1) if levels > 3 else None
        self.p7 = nn.Conv2d(channels, channels, 3, 2, 1) if levels > 4 else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                _set_bias(module, 0)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        """The backbone's feature maps of stride 8, 16 and 32 to levels of stride 8, 16 and, if wanted, 32, 64, 128."""
        tops = [self.lateral[2](maps[2])]
        for index in (1, 0):
            above = functional.interpolate(tops[0], scale_factor=2.0, mode="nearest")
            tops.insert(0, self.lateral[index](maps[index]) + above)
        levels = [smooth(top) for smooth, top in zip(self.smooth, tops, strict=False)]
        if self.p6 is not None:
            levels.append(self.p6(maps[2]))
        if self.p7 is not None:
            levels.append(self.p7(functional.relu(levels[-1])))
        return levels


class Head(nn.Module):
    """A few convolutions, shared by all levels, that predict `outputs` numbers for each anchor."""

    def __init__(self, channels: int, depth: int, outputs: int, last_bias: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU()]
        self.tower = nn.Sequential(*layers)
        self.last = nn.Conv2d(channels, PER_POSITION * outputs, 3, 1, 1)
        self.outputs = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                _set_bias(module, 0)
        _set_bias(self.last, last_bias)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels (B, channels, h, w) to (B, A, outputs), for the A anchors of all levels as by `level_anchors`."""
        flat = []
        for level in levels:
            x = self.last(self.tower(level))  # (B, 9 * outputs, h, w)
            flat.append(x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.outputs))
        return torch.cat(flat, dim=1)


def _set_bias(layer: nn.Conv2d, value: float) -> None:
    if layer.bias is not None:
        nn.init.constant_(layer.bias, value)


class RetinaNet(nn.Module):
    """The detector, from uint8 tiles to a logit and a box for each anchor."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.fpn_channels
        self.backbone = make_backbone(architecture.backbone, architecture.width)
        self.pyramid = FeaturePyramid(self.backbone.channels, channels, architecture.levels)
        bias = -math.log((1 - PRIOR) / PRIOR)
        self.classify = Head(channels, architecture.head_depth, architecture.classes, bias)
        self.regress = Head(channels, architecture.head_depth, 4, 0.0)

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict a logit for each class and a box for each anchor.

        Args:
            tiles: uint8 (B, H, W, 3), RGB; H and W are multiples of the architecture's stride.

        Returns:
            logits (B, A, classes), offsets (B, A, 4) and anchors (A, 4), tile pixels.
        """
        x = self.backbone.normalised(tiles)
        # Half precision starts here and ends after the heads: pixels and boxes need more digits than it has.
        return self.predict(self.backbone(x.to(self.classify.last.weight.dtype)))

    @property
    def scoring(self) -> nn.Conv2d:
        """The last convolution before the scores."""
        return self.classify.last

    def from_stem(self, fine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict from the output of the backbone's stem; see `forward`."""
        return self.predict(self.backbone.body(fine))

    def predict(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Predict logits and boxes from the backbone's feature maps; see `forward`."""
        levels = self.pyramid(maps)
        anchors = torch.cat(
            [
                level_anchors(level.shape[2], level.shape[3], stride, size, level.device)
                for level, stride, size in zip(levels, STRIDES, BASE_SIZES, strict=False)  # there may be fewer levels
            ]
        )
        return self.classify(levels).float(), self.regress(levels).float(), anchors


class Inference(nn.Module):
    """A trained network with everything that the model contract puts into the graph.

    Args:
        network: the network, or a module with the same outputs.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best candidates of each tile.

        Args:
            tiles: uint8 (B, H, W, 3), RGB.

        Returns:
            boxes (B, K, 4) in tile pixels, scores (B, K) from 0 to 1, falling, labels (B, K) int64.
        """
        logits, offsets, anchors = self.network(tiles)
        classes = logits.shape[2]
        # No two cells have their centres at the same position, so only its best anchor and class is a candidate.
        position_logits, choices = logits.reshape(logits.shape[0], -1, PER_POSITION * classes).max(dim=2)
        best, position = torch.topk(position_logits, position_logits.shape[1] // POSITIONS_PER_CANDIDATE, dim=1)
        chosen = torch.gather(choices, 1, position)
        anchor = position * PER_POSITION + chosen // classes
        boxes = decode(torch.gather(offsets, 1, anchor[..., None].expand(-1, -1, 4)), anchors[anchor])
        return boxes, torch.sigmoid(best), chosen % classes

"""The detector of the DGHM paper: RetinaNet on ResNet-18, with anchors sized for cells.

The backbone can be another, and widths are parameters: the paper has 64 channels in the first stage of its ResNet-18,
and 256 in the pyramid and heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from signetscan.checks import check_ranges
from signetscan.errors import OptionError
from signetscan.training.anchors import BASE_SIZES, PER_PLACE, STRIDES, decode, map_anchors
from signetscan.training.backbones import USUAL_WIDTH, BackboneName, make_backbone

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIOR = 0.01
"""Score that every anchor has before training."""

PLACES_PER_CANDIDATE = 4
"""One candidate is given for this many places: 5456 for a tile of 1024 px. Harmonised losses leave background at scores
well above 0, so that fewer candidates would be spent on one part of a tile, and depend on where its edges are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The sizes of the network.

    Raises:
        OptionError: a value is out of range.
    """

    classes: int = 1
    """Number of classes."""
    backbone: BackboneName = "resnet18"
    """Network that the pyramid stands on."""
    width: int | None = None
    """Channels of the first stage of a ResNet-18, which each later stage doubles; None is the usual 64. Another
    backbone has one size only."""
    pyramid: int = 256
    """Channels of the feature pyramid and the heads."""
    levels: int = 5
    """Maps of the pyramid, from stride 8 on: 2 end at objects of 57 px, 3 of 114 px, 4 of 228 px."""
    head_depth: int = 4
    """Convolutions of each head before its last."""

    def __post_init__(self) -> None:
        check_ranges(self, classes=(1, 100), pyramid=(8, 1024), levels=(2, 5), head_depth=(0, 8))
        if self.backbone not in get_args(BackboneName):
            message = f"backbone must be one of {', '.join(get_args(BackboneName))}, not {self.backbone}"
            raise OptionError(message)
        if self.backbone == "resnet18":
            if self.width is None:
                object.__setattr__(self, "width", USUAL_WIDTH)  # so that equal networks have equal options
            check_ranges(self, width=(8, 256))
        elif self.width is not None:
            message = f"width is that of a resnet18; leave it away with {self.backbone}"
            raise OptionError(message)

    @property
    def stride(self) -> int:
        """Stride of the coarsest map, or of the backbone's: sides of tiles are multiples of it, pixels."""
        return max(STRIDES[self.levels - 1], STRIDES[2])


class Pyramid(nn.Module):
    """Feature pyramid from P3 to P4 at least and P7 at most, all with the same number of channels."""

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
        """Maps of stride 8, 16, 32 to maps of stride 8 and 16 and, as far as wanted, 32, 64 and 128."""
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
    """A small tower of convolutions, shared by all levels, that gives some numbers for each anchor."""

    def __init__(self, channels: int, depth: int, outputs: int, last_bias: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(channels, channels, 3, 1, 1), nn.ReLU()]
        self.tower = nn.Sequential(*layers)
        self.last = nn.Conv2d(channels, PER_PLACE * outputs, 3, 1, 1)
        self.outputs = outputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                _set_bias(module, 0)
        _set_bias(self.last, last_bias)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Levels (B, channels, h, w) to (B, A, outputs), A anchors of all levels in the order of `map_anchors`."""
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
        channels = architecture.pyramid
        self.backbone = make_backbone(architecture.backbone, architecture.width)
        self.pyramid = Pyramid(self.backbone.channels, channels, architecture.levels)
        bias = -math.log((1 - PRIOR) / PRIOR)
        self.classify = Head(channels, architecture.head_depth, architecture.classes, bias)
        self.regress = Head(channels, architecture.head_depth, 4, 0.0)

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network says about each anchor.

        Args:
            tiles: uint8 (B, H, W, 3), RGB; H and W are multiples of the architecture's stride.

        Returns:
            logits (B, A, classes), offsets (B, A, 4) and anchors (A, 4), tile pixels.
        """
        mean, std = (
            255 * torch.tensor(values).to(tiles.device, non_blocking=True).reshape(1, 3, 1, 1)
            for values in (self.backbone.mean, self.backbone.std)
        )
        x = (tiles.permute(0, 3, 1, 2).float() - mean) / std
        # In half precision only from here on: pixels and boxes need more digits than it has.
        return self.judge(self.backbone(x.to(self.classify.last.weight.dtype)))

    def judge(self, maps: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """What the network says about each anchor, from the backbone's maps; see `forward`."""
        levels = self.pyramid(maps)
        anchors = torch.cat(
            [
                map_anchors(level.shape[2], level.shape[3], stride, size, level.device)
                for level, stride, size in zip(levels, STRIDES, BASE_SIZES, strict=False)  # as many maps as there are
            ]
        )
        return self.classify(levels).float(), self.regress(levels).float(), anchors


class Inference(nn.Module):
    """A trained network with everything that the model contract puts into the graph.

    Args:
        network: the network, or a module that gives what it gives.
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
        # No two cells have their centres at one place: of its anchors and classes only the best is a candidate.
        of_place, choice = logits.reshape(logits.shape[0], -1, PER_PLACE * classes).max(dim=2)
        best, place = torch.topk(of_place, of_place.shape[1] // PLACES_PER_CANDIDATE, dim=1)
        chosen = torch.gather(choice, 1, place)
        anchor = place * PER_PLACE + chosen // classes
        boxes = decode(torch.gather(offsets, 1, anchor[..., None].expand(-1, -1, 4)), anchors[anchor])
        return boxes, torch.sigmoid(best), chosen % classes

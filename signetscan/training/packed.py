"""The network on pixels as they come from the slide, for integer arithmetic.

Normalised in floating point, a tile is four times as large as it came and costs an int8 network a fifth of its time.
But a mean and a spread are a shift and a factor, which the first convolution can have in its own weights; and its
kernels want channels in fours, which four pixels side by side have, 12, without anything being moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from signetscan.training.backbones import SameConv2d

if TYPE_CHECKING:
    from signetscan.training.backbones import Backbone
    from signetscan.training.retinanet import RetinaNet

PACK = 4
"""Pixels of a row that are taken as one."""


class PackedStem(nn.Module):
    """A backbone's stem on pixels from 0 to 255, four of a row taken as one of 12 channels.

    It gives the same numbers but for those whose kernel looks over the tile's edge, where the stem sees the mean colour
    and this one the grey next to it, because integers have one zero for all channels. Where the mean is a grey, as with
    EfficientNet-Lite0, all numbers are the same.

    Args:
        backbone: its first convolution is of stride 2 and has its normalisation folded in.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        convolve, norm, self.activate = backbone.stem()
        if not isinstance(norm, nn.Identity) or convolve.stride != (2, 2) or convolve.bias is None:
            message = "the stem's normalisation must be folded into its convolution, of stride 2"
            raise ValueError(message)
        mean, std = (255 * torch.tensor(values).reshape(3, 1, 1) for values in (backbone.mean, backbone.std))
        self.zero = round(float(mean.mean()))
        """The grey that stands for what lies beyond the edge."""
        self.channels = convolve.out_channels
        with torch.no_grad():
            weight = convolve.weight / std
            shift = (weight * (self.zero - mean)).sum(dim=(1, 2, 3))
            self.convolve = _pack(weight, _before(convolve))
            self.convolve.bias = nn.Parameter((convolve.bias + shift).repeat(2))

    def forward(self, tiles: Tensor) -> Tensor:
        """Tiles uint8 (B, H, W, 3), H even and W a multiple of 4, to (B, C, H / 2, W / 2)."""
        batch, height, width, _ = tiles.shape
        packed = tiles.reshape(batch, height, width // PACK, 3 * PACK).permute(0, 3, 1, 2)
        pairs = self.activate(self.convolve(packed.float() - self.zero))  # (B, 2 * C, H / 2, W / 4)
        return pairs.permute(0, 2, 3, 1).reshape(batch, height // 2, width // 2, self.channels).permute(0, 3, 1, 2)


def _before(convolve: nn.Conv2d) -> int:
    """Pixels that a convolution looks over the tile's left and upper edge."""
    if isinstance(convolve, SameConv2d) and convolve.margins is not None:
        return convolve.margins[0]
    return int(convolve.padding[0])


def _pack(weight: Tensor, before: int) -> nn.Conv2d:
    """A convolution that gives two neighbouring outputs of one of stride 2 at each packed pixel.

    Args:
        weight: (C, 3, side, side), of the convolution of stride 2.
        before: pixels that it looks over the left and the upper edge.

    Returns:
        From 12 channels to 2 * C, those of the even columns first; without a bias.
    """
    count, _, side, _ = weight.shape
    # As many rows and packed columns over either edge, filled up with zeros where the old kernel has none.
    above = max(before, side - 2 - before)
    rows = max(2 * above + 1, above + side - before)
    beside = max(-(-before // PACK), (side + 1 - before) // PACK)
    columns = 2 * beside + 1
    wide = torch.zeros(2, count, 3, rows, columns * PACK)
    for half in (0, 1):
        left, top = beside * PACK - before + 2 * half, above - before
        wide[half, :, :, top : top + side, left : left + side] = weight
    pixels = wide.reshape(2, count, 3, rows, columns, PACK).permute(0, 1, 5, 2, 3, 4)
    packed = nn.Conv2d(3 * PACK, 2 * count, (rows, columns), (2, 1), (above, beside), bias=False)
    packed.weight = nn.Parameter(pixels.reshape(packed.weight.shape))
    return packed


class PackedNet(nn.Module):
    """A RetinaNet, its normalisations folded, that takes pixels as they come; it gives what a RetinaNet gives."""

    def __init__(self, network: RetinaNet) -> None:
        super().__init__()
        self.stem = PackedStem(network.backbone)
        self.network = network

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `RetinaNet.forward`."""
        return self.network.judge(self.network.backbone.body(self.stem(tiles)))

"""The network on unnormalised pixels, for integer arithmetic.

Normalised in floating point, a tile becomes four times as large, which costs an int8 network a fifth of its time. But
mean and standard deviation are a shift and a factor, which fit into the weights of the first convolution. And integer
kernels want channels in multiples of 4, which four neighbouring pixels of a row have (12) without being copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from signetscan.training.backbones import SameConv2d

if TYPE_CHECKING:
    from signetscan.training.backbones import Backbone

PACK = 4
"""Pixels of a row that are read as one, of 12 channels."""


class PackedStem(nn.Module):
    """A backbone's stem on pixels from 0 to 255, four of a row read as one of 12 channels.

    Its outputs are the stem's, except where the kernel reaches over the tile's edge. There the stem sees the mean
    colour and this module the nearest grey, because integers have one zero point for all channels. Where the mean is a
    grey, as in EfficientNet-Lite0, all outputs are the same.

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
        """The grey level beyond the tile's edge."""
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
    """Pixels by which a convolution reaches over the tile's left and upper edge."""
    if isinstance(convolve, SameConv2d) and convolve.margins is not None:
        return convolve.margins[0]
    return int(convolve.padding[0])


def _pack(weight: Tensor, before: int) -> nn.Conv2d:
    """A convolution that gives, at each packed pixel, two neighbouring outputs of a convolution of stride 2.

    Args:
        weight: (C, 3, side, side), the weights of the convolution of stride 2.
        before: pixels by which it reaches over the left and the upper edge.

    Returns:
        A convolution from 12 channels to 2 * C, those of the even columns first; without a bias.
    """
    count, _, side, _ = weight.shape
    # The padding is the same on both sides, so the kernel grows to be symmetric, with zeros where the old one ends.
    above = max(before, side - 2 - before)
    rows = max(2 * above + 1, above + side - before)
    beside = max(-(-before // PACK), (side + 1 - before) // PACK)
    columns = 2 * beside + 1
    widened = torch.zeros(2, count, 3, rows, columns * PACK)
    for half in (0, 1):  # the second output lies one stride, 2 pixels, to the right of the first
        left, top = beside * PACK - before + 2 * half, above - before
        widened[half, :, :, top : top + side, left : left + side] = weight
    kernels = widened.reshape(2, count, 3, rows, columns, PACK).permute(0, 1, 5, 2, 3, 4)
    packed = nn.Conv2d(3 * PACK, 2 * count, (rows, columns), (2, 1), (above, beside), bias=False)
    packed.weight = nn.Parameter(kernels.reshape(packed.weight.shape))
    return packed


class OnStem(Protocol):
    """A network of which all but the stem can be run by itself."""

    @property
    def backbone(self) -> Backbone:
        """Its backbone."""

    @property
    def scoring(self) -> nn.Conv2d:
        """The last convolution before scores or probabilities."""

    def from_stem(self, fine: Tensor) -> object:
        """The network's outputs from those of its backbone's stem."""


class PackedNet(nn.Module):
    """A network, with its batch normalisations folded, that reads unnormalised pixels through a `PackedStem`."""

    def __init__(self, network: OnStem) -> None:
        super().__init__()
        self.stem = PackedStem(network.backbone)
        self.network = network

    def forward(self, tiles: Tensor) -> object:
        """See the network's `forward`."""
        return self.network.from_stem(self.stem(tiles))

"""The network that segments tissue: a decoder on a backbone, as in a U-Net.

Source: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (MICCAI 2015,
arXiv 1505.04597). Each step of the decoder doubles the coarser map and joins the backbone's map of the same stride.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from signetscan.training.backbones import make_backbone

if TYPE_CHECKING:
    from signetscan.training.segmentation.options import SegmentationArchitecture

FULL = 255
"""A probability of 1 in the output of a model file."""


class DecoderStep(nn.Module):
    """Doubles a map, joins a finer one, and convolves both to `outputs` channels."""

    def __init__(self, coarse: int, fine: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(coarse + fine, outputs, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, coarse, H / 2, W / 2) and (B, fine, H, W) to (B, outputs, H, W)."""
        # Nearest neighbours, because interpolation would depend on where a tile's edges are.
        doubled = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return functional.relu(self.norm(self.conv(torch.cat([doubled, fine], dim=1))))


class SegmentationNet(nn.Module):
    """The network, from uint8 tiles to a logit for each class at each place of the output."""

    def __init__(self, architecture: SegmentationArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.decoder_channels
        self.backbone = make_backbone(architecture.backbone, architecture.width)
        every = (*self.backbone.fine_channels, *self.backbone.channels)
        finest = 0 if architecture.output_stride == 2 else 1
        inputs = every[-1]
        steps: list[DecoderStep] = []
        for fine in reversed(every[finest:-1]):
            steps.append(DecoderStep(inputs, fine, channels))
            inputs = channels
        self.decoder = nn.ModuleList(steps)
        self.last = nn.Conv2d(channels, architecture.classes, 1)
        nn.init.normal_(self.last.weight, std=0.01)
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, tiles: Tensor) -> Tensor:
        """Predict logits.

        Args:
            tiles: uint8 (B, H, W, 3), RGB; H and W are multiples of 32.

        Returns:
            float32 (B, classes, H / s, W / s), where s is the architecture's output stride.
        """
        # Half precision starts here and ends after the decoder: pixels and probabilities need more digits than it has.
        x = self.backbone.normalised(tiles).to(self.last.weight.dtype)
        return self.predict(self.backbone.all_maps(x))

    @property
    def scoring(self) -> nn.Conv2d:
        """The last convolution before the probabilities."""
        return self.last

    def from_stem(self, fine: Tensor) -> Tensor:
        """Predict from the output of the backbone's stem; see `forward`."""
        return self.predict((fine, *self.backbone.stages(fine)))

    def predict(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Predict logits from the backbone's feature maps, from the finest to the coarsest; see `forward`."""
        x = maps[-1]
        # Not strict: with an output stride of 4, the finest map is not used.
        for step, fine in zip(self.decoder, reversed(maps[:-1]), strict=False):
            x = step(x, fine)
        logits: Tensor = self.last(x).float()
        return logits


class SegmentationInference(nn.Module):
    """A trained network with everything that the model contract puts into the graph.

    Args:
        network: the network, or a module with the same output.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tiles: Tensor) -> Tensor:
        """The probabilities of all classes.

        Args:
            tiles: uint8 (B, H, W, 3), RGB.

        Returns:
            uint8 (B, classes, H / s, W / s), a probability times 255.
        """
        probabilities = torch.softmax(self.network(tiles), dim=1)
        return (probabilities * FULL).round().to(torch.uint8)

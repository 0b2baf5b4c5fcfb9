"""A network in training as a segmenter, so that validation gives what a model file would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.models.placement import Placement
from signetscan.training.segmentation.network import SegmentationInference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.models.segmentation_spec import SegmentationSpec
    from signetscan.training.segmentation.network import SegmentationNet


class TorchSegmenter:
    """A network run by torch; see `signetscan.models.segmenter.Segmenter`.

    Args:
        network: the network, in evaluation mode.
        spec: its model contract.
        device: the device that it is on.
    """

    sha256 = ""

    def __init__(self, network: SegmentationNet, spec: SegmentationSpec, device: torch.device) -> None:
        self.spec = spec
        self.runs_on = Placement(name="torch", on_gpu=device.type == "cuda")
        self._network = SegmentationInference(network)
        self._device = device

    @torch.inference_mode()
    def segment(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Segment a batch of tiles; see `signetscan.models.segmenter.Segmenter.segment`."""
        # A copy if the pixels are read-only, of which torch warns.
        batch = torch.from_numpy(np.require(tiles, requirements="W")).to(self._device)
        probabilities: NDArray[np.uint8] = self._network(batch).cpu().numpy()
        return probabilities

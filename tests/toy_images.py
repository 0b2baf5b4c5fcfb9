"""Toy cells that a tiny network learns in seconds, for the tests of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.annotations import boxes_xml
from signetscan.training.options import Architecture, TrainOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TINY = TrainOptions(
    architecture=Architecture(width=8, fpn_channels=16, head_depth=1),
    patch=256,
    patch_step=128,
    crop=128,
    batch_size=8,
    normals_per_positive=1.0,
    batches=25,
    epochs=4,
    learning_rate=4e-3,
    schedule="cosine",
    warm_up=10,
    validation_split=0.25,
    precision="fp32",
)


def toy_image(rng: np.random.Generator, *, cells: bool) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Dark rings among dark discs on pink: rings are the cells."""
    image = np.full((256, 256, 3), (225, 190, 205), np.uint8)
    rows, columns = np.indices((256, 256))
    boxes = []
    for row in range(3):
        for column in range(3):
            x, y = (np.array([column, row]) * 80 + rng.uniform(36, 60, 2)).tolist()
            radius = rng.uniform(18, 30)
            distance = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
            if cells and rng.random() < 0.6:
                image[(distance < radius) & (distance > radius - 6)] = (90, 50, 120)
                boxes.append([x - radius, y - radius, x + radius, y + radius])
            else:
                image[distance < radius * 0.6] = (90, 50, 120)
    noisy = image + rng.normal(0, 4, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), np.array(boxes).reshape(-1, 4)


def write_toys(root: Path) -> None:
    """Twelve images with cells and twelve without, two of a slide, in the layout of DigestPath."""
    rng = np.random.default_rng(0)
    for folder, cells in (("sig-train-pos", True), ("sig-train-neg", False)):
        (root / folder).mkdir()
        for index in range(12):
            image, boxes = toy_image(rng, cells=cells)
            stem = f"S{index // 2}{'p' if cells else 'n'}_2019-02-25 21_57_{index:02d}-lv0-1-2-256-256"
            Image.fromarray(image).save(root / folder / f"{stem}.jpeg", quality=95)
            if cells:
                content = boxes_xml(f"{stem}.jpeg", (256, 256), boxes, ["cell"] * len(boxes))
                (root / folder / f"{stem}.xml").write_bytes(content)

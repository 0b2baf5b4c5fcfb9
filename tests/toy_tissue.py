"""Toy tissue that a tiny network learns to segment in seconds, in DigestPath's layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.training.segmentation.options import segmentation_options

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TINY_SEGMENTATION = segmentation_options(
    "strong",
    width=8,
    decoder_channels=8,
    crop=128,
    batch_size=4,
    batches=20,
    epochs=4,
    learning_rate=4e-3,
    augment="plain",
    max_scale=1.1,
    warm_up=5,
    validation_split=0.25,
    precision="fp32",
    loss="ce",
)
LESION, TISSUE = (150, 60, 140), (230, 190, 210)


def toy_tissue(rng: np.random.Generator, *, lesions: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image of 160 x 192 px, with one or two purple discs or none, and its mask."""
    image = np.full((160, 192, 3), TISSUE, np.uint8)
    mask = np.zeros((160, 192), np.uint8)
    rows, columns = np.indices(mask.shape)
    for _ in range(int(rng.integers(1, 3)) if lesions else 0):
        x, y, radius = rng.uniform(30, 160), rng.uniform(30, 130), rng.uniform(20, 40)
        mask[np.hypot(rows - y, columns - x) < radius] = 255
    image[mask > 0] = LESION
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), mask


def write_toy_tissue(root: Path) -> None:
    """Eight images with lesions and four without, two of a slide."""
    rng = np.random.default_rng(0)
    for folder, count in (("tissue-train-pos-v1", 8), ("tissue-train-neg", 4)):
        (root / folder).mkdir()
        for index in range(count):
            image, mask = toy_tissue(rng, lesions=folder.endswith("v1"))
            stem = f"S{index // 2}{folder[13]}_2019-02-25 21_57_{index:02d}-lv1-1-2-192-160"
            Image.fromarray(image).save(root / folder / f"{stem}.jpg", quality=90)
            if folder.endswith("v1"):
                Image.fromarray(mask).save(root / folder / f"{stem}_mask.jpg", quality=75)

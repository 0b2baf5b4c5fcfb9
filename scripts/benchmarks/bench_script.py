"""The script that one would write without signetscan, for `bench_detect.py` to time: OpenSlide, a DataLoader and torch.

    python scripts/benchmarks/bench_script.py SLIDE CHECKPOINT SCALE WIDTH HEIGHT THRESHOLD < PLACES

PLACES has a line for each tile: x, y, level-0 pixels. WIDTH and HEIGHT are those that the network sees of each, SCALE
level-0 pixels each. The script is written as such scripts are, with care but without tricks: one OpenSlide handle a
worker, a worker a core, torch in evaluation mode, NMS over the slide.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import openslide
import torch
from torch.utils.data import DataLoader, Dataset

from signetscan.concurrency import cpu_count
from signetscan.detections import Detections
from signetscan.scan.merge import suppress
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.retinanet import Inference

BATCH = 1
"""More is not faster on a CPU, and tiles are large."""


class Tiles(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Tiles of a slide."""

    def __init__(self, path: str, places: list[list[int]], scale: float, size: tuple[int, int]) -> None:
        self.path, self.places, self.scale, self.size = path, places, scale, size
        self.slide: openslide.OpenSlide | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.slide is None:
            self.slide = openslide.OpenSlide(self.path)
        x, y = self.places[index]
        side = round(self.size[0] * self.scale), round(self.size[1] * self.scale)
        picture = self.slide.read_region((x, y), 0, side).convert("RGB")
        if self.size != side:
            picture = picture.resize(self.size)
        return torch.from_numpy(np.array(picture)), torch.tensor([x, y, x, y], dtype=torch.float64)


def main() -> None:
    """Detect, and print how much was found."""
    path, checkpoint_path, scale, threshold = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[6])
    size = int(sys.argv[4]), int(sys.argv[5])
    places = [[int(word) for word in line.split()] for line in sys.stdin]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checkpoint = load_checkpoint(checkpoint_path)
    network = Inference(checkpoint.make_network()).eval().to(device)
    boxes, scores = [], []
    with torch.inference_mode():
        for tiles, corners in DataLoader(Tiles(path, places, scale, size), batch_size=BATCH, num_workers=cpu_count()):
            found, sure, _ = network(tiles.to(device))
            keep = sure >= threshold
            boxes.append((found.double() * scale + corners[:, None].to(device))[keep].cpu().numpy())
            scores.append(sure[keep].cpu().numpy())
    merged = Detections(
        boxes=np.concatenate(boxes),
        scores=np.concatenate(scores),
        labels=np.zeros(sum(map(len, scores)), np.int64),
    )
    print(len(suppress(merged, 0.4)))


if __name__ == "__main__":
    main()

"""The script that one would write without signetscan, for `bench_detect.py` to time: OpenSlide, a DataLoader and torch.

    python scripts/bench_script.py SLIDE CHECKPOINT SIDE SIZE THRESHOLD < PLACES

PLACES has a line for each tile: x, y. SIDE is a tile's, level-0 pixels; SIZE that which the network sees. The script is
written as such scripts are, with care but without tricks: one OpenSlide handle a worker, a worker a core, batches,
torch in evaluation mode, NMS over the slide.
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
from signetscan.merge import suppress
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.retinanet import Inference

BATCH = 4


class Tiles(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Tiles of a slide."""

    def __init__(self, path: str, places: list[list[int]], side: int, size: int) -> None:
        self.path, self.places, self.side, self.size = path, places, side, size
        self.slide: openslide.OpenSlide | None = None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.slide is None:
            self.slide = openslide.OpenSlide(self.path)
        x, y = self.places[index]
        picture = self.slide.read_region((x, y), 0, (self.side, self.side)).convert("RGB")
        if self.size != self.side:
            picture = picture.resize((self.size, self.size))
        return torch.from_numpy(np.array(picture)), torch.tensor([x, y, x, y], dtype=torch.float64)


def main() -> None:
    """Detect, and print how much was found."""
    path, checkpoint_path, threshold = sys.argv[1], Path(sys.argv[2]), float(sys.argv[5])
    side, size = int(sys.argv[3]), int(sys.argv[4])
    places = [[int(word) for word in line.split()] for line in sys.stdin]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    checkpoint = load_checkpoint(checkpoint_path)
    network = Inference(checkpoint.make_network()).eval().to(device)
    boxes, scores = [], []
    with torch.inference_mode():
        for tiles, corners in DataLoader(Tiles(path, places, side, size), batch_size=BATCH, num_workers=cpu_count()):
            found, sure, _ = network(tiles.to(device))
            keep = sure >= threshold
            boxes.append((found.double() * (side / size) + corners[:, None].to(device))[keep].cpu().numpy())
            scores.append(sure[keep].cpu().numpy())
    merged = Detections(
        boxes=np.concatenate(boxes),
        scores=np.concatenate(scores),
        labels=np.zeros(sum(map(len, scores)), np.int64),
    )
    print(len(suppress(merged, 0.4)))


if __name__ == "__main__":
    main()

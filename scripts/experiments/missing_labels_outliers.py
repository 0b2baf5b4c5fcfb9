"""Do cells without a box become outliers? The scores that trained networks give them, after `missing_labels.py`.

    python scripts/experiments/missing_labels_outliers.py WORK [--missing 0.7] [--seeds 2]

DGHM treats a negative of an image with cells as an outlier where its gradient norm, which is its score, is above a
threshold (0.9 in the paper). Prints, for each method, the share of the dropped boxes on which the network finds, in the
images that it learnt from, something with at least some score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from missing_labels import judged_network, run_folder
from missing_labels_data import image_sets

from signetscan.testing.missing_labels.boxes import drop_boxes, is_among, matched
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.loop import LAST
from signetscan.training.validation import detect_images

METHODS = ("ce", "ghm-c", "dghm-c", "dghm-c-early")
LEVELS = (0.3, 0.5, 0.7, 0.9)


def shares(work: Path, method: str, missing: float, seed: int) -> list[float]:
    """Share of the dropped boxes with a detection on them of at least each level."""
    dataset = image_sets(work, "simulated", seed).learn
    seen = drop_boxes(dataset.images, missing, seed)
    checkpoint = load_checkpoint(run_folder(work, "simulated", (seed, missing, method)) / LAST)
    network = judged_network(checkpoint, dataset)
    pairs = [(whole, less) for whole, less in zip(dataset.images, seen, strict=True) if not whole.normal]
    images = [whole for whole, _ in pairs]
    results = detect_images(network, checkpoint, images, torch.device("cpu"), lowest=min(LEVELS))
    hits: list[list[np.ndarray]] = [[] for _ in LEVELS]
    for (whole, less), result in zip(pairs, results, strict=True):
        dropped = whole.boxes[~is_among(whole.boxes, less.boxes)]
        for level, own in zip(LEVELS, hits, strict=True):
            own.append(matched(dropped, result.detections.boxes[result.detections.scores >= level]))
    return [float(np.concatenate(own).mean()) for own in hits]


def main() -> None:
    """Print a line for each method and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--missing", type=float, default=0.7)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{'method':14s} seed  " + "  ".join(f">= {level}" for level in LEVELS))
    for seed in range(arguments.seeds):
        for method in METHODS:
            line = shares(arguments.work, method, arguments.missing, seed)
            print(f"{method:14s} {seed:4d}  " + "  ".join(f"{share:6.3f}" for share in line), flush=True)


if __name__ == "__main__":
    main()

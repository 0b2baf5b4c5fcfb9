"""Does tiling change what is found? Compares tiled runs with one pass over the same square region.

    python scripts/tools/check_tiling.py SLIDE [--side 3200] [--model NAME] [--threshold 0.4]

Of the detections of one pass, and of those of a tiled run, all must be found again in the other: same label, IoU of at
least 0.9 and a score within 0.02, be that above the threshold or just below. The share that is not is the price of
tiles: near its edge a tile shows less of a cell's surroundings, so that an overlap below the model's own, listed last
for comparison, changes scores.
"""

from __future__ import annotations

import argparse

import numpy as np

from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.testing.tilings import agreement, region_of, scan

TILINGS = ((512, 256), (512, 384), (1024, 256), (1024, 320), (2048, 256), (2048, 320), (2048, 192), (2048, 128))
"""Tile size and overlap, pixels at the model's mpp."""


def main() -> None:
    """Print one line a tiling for every square of the slide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide")
    parser.add_argument("--side", type=int, default=3200)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--threshold", type=float, help="lowest score compared; by default the model's threshold")
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model))
    side, mpp = arguments.side, detector.spec.mpp
    threshold = detector.spec.score_threshold if arguments.threshold is None else arguments.threshold
    counts = np.zeros((len(TILINGS), 2))
    with open_slide(arguments.slide) as slide:
        width, height = SlideAtMpp(slide, mpp).dimensions
        for y in range(0, height - side + 1, side):
            for x in range(0, width - side + 1, side):
                region = region_of(slide, mpp, x, y, side)
                whole = scan(region, detector, threshold, side, 0)
                print(f"{region.name}: {(whole.scores >= threshold).sum()} detections in one pass")
                for row, (size, overlap) in enumerate(TILINGS):
                    tiled = scan(region, detector, threshold, size, overlap)
                    both = int((whole.scores >= threshold).sum() + (tiled.scores >= threshold).sum())
                    counts[row] += (agreement(whole, tiled, threshold) * both, both)
    print("tile  overlap  agreement")
    for (size, overlap), (alike, both) in zip(TILINGS, counts, strict=True):
        print(f"{size:4d}  {overlap:7d}  {alike / both if both else 1:.4f}  of {both:.0f} detections")


if __name__ == "__main__":
    main()

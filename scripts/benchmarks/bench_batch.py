"""How do batch and tile size change the speed of a model? Prints unique megapixels a second, and each as a ratio.

    python scripts/benchmarks/bench_batch.py [--model NAME] [--device cpu] [--rounds 5]

All combinations are timed in turn, round after round, so that a noisy machine slows all alike; the median counts.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model

TILES = (512, 1024, 2048)
BATCHES = (1, 2, 4, 8)
MOST_PIXELS = 8 << 20


def main() -> None:
    """Time every batch and tile size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model), device=arguments.device)
    rng = np.random.default_rng(0)
    sizes = [(tile, batch) for tile in TILES for batch in BATCHES if tile * tile * batch <= MOST_PIXELS]
    seconds: dict[tuple[int, int], list[float]] = {size: [] for size in sizes}
    for turn in range(arguments.rounds + 1):
        for tile, batch in sizes:
            tiles = rng.integers(0, 256, (batch, tile, tile, 3), np.uint8)
            started = time.perf_counter()
            detector.detect(tiles, detector.spec.score_threshold)
            if turn > 0:  # the first round warms up
                seconds[tile, batch].append(time.perf_counter() - started)
    speeds = {(tile, batch): tile * tile * batch / 1e6 / median(seconds[tile, batch]) for tile, batch in sizes}
    base = speeds[1024, 1]
    print(f"{detector.spec.name} on {detector.runs_on.name}")
    print("tile  batch   Mpx/s  ratio to 1024 x 1")
    for (tile, batch), speed in speeds.items():
        print(f"{tile:4d}  {batch:5d}  {speed:6.2f}  {speed / base:5.2f}")


if __name__ == "__main__":
    main()

"""What do models find, and what do they cost? FROC on simulated slides against the speed of the network on a CPU.

    python scripts/benchmarks/bench_models.py SLIDE ... --models NAME ... [--rounds 5] [--out docs]

Each slide needs its truth beside it, as `signetscan simulate slide` writes it; take slides that nothing was chosen on.
The cost is seconds per level-0 megapixel of 0.25 um: tiles of the model's own size, all timed in turn, round after
round, so that a noisy machine slows all alike. Prints a table; with --out, writes `models.csv` and `models.png` too.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from signetscan.evaluation import evaluate
from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.testing.simulated import results_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.models.detector import Detector

LEVEL0_MPP = 0.25
TILE = 2048
COLUMNS = ("model", "precision", "mpp", "froc", "level0_mpx_per_s", "ratio")


def froc(detector: Detector, slides: Sequence[Path]) -> float:
    """FROC over all slides together."""
    return evaluate(
        [result for slide in slides for result in results_of(slide, detector)], detector.spec.score_threshold
    ).froc


def speeds(detectors: Sequence[Detector], rounds: int) -> list[float]:
    """Level-0 megapixels a second of each."""
    tile = np.random.default_rng(0).integers(0, 256, (1, TILE, TILE, 3), np.uint8)
    seconds: list[list[float]] = [[] for _ in detectors]
    for turn in range(rounds + 1):
        for detector, own in zip(detectors, seconds, strict=True):
            started = time.perf_counter()
            detector.detect(tile, detector.spec.score_threshold)
            if turn > 0:  # the first round warms up
                own.append(time.perf_counter() - started)
    area = [TILE * TILE / 1e6 * (detector.spec.mpp / LEVEL0_MPP) ** 2 for detector in detectors]
    return [each / median(own) for each, own in zip(area, seconds, strict=True)]


def draw(rows: Sequence[dict[str, str]], path: Path) -> None:
    """FROC against speed."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        x, y = float(row["level0_mpx_per_s"]), float(row["froc"])
        axes.plot(x, y, "o", color="C3" if row["precision"] == "int8" else "C0")
        axes.annotate(f"{row['model']} ({row['precision']})", (x, y), xytext=(5, 4), textcoords="offset points")
    axes.set(xscale="log", xlabel="level-0 megapixels (0.25 um) a second", ylabel="FROC on simulated slides")
    axes.margins(x=0.25)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Judge and time all models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    detectors = [load_detector(find_model(name), device="cpu") for name in arguments.models]
    fast = speeds(detectors, arguments.rounds)
    rows = []
    for detector, speed in zip(detectors, fast, strict=True):
        values = froc(detector, arguments.slides), speed, speed / fast[0]
        spec = detector.spec
        row = [spec.name, spec.precision, f"{spec.mpp:g}", f"{values[0]:.4f}", f"{values[1]:.2f}", f"{values[2]:.2f}"]
        rows.append(dict(zip(COLUMNS, row, strict=True)))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if arguments.out:
        with (arguments.out / "models.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        draw(rows, arguments.out / "models.png")


if __name__ == "__main__":
    main()

"""Everything about a GPU in one table: does it give what the CPU gives, how fast is the model, and is it kept busy?

    python scripts/benchmarks/bench_gpu.py SLIDE [--models FILE ...] [--devices cuda tensorrt] [--rounds 5]

For each model file (an fp32 and an fp16 one, say), device and batch size: megapixels of tiles a second, and how far the
results on tiles of the slide are from those of the CPU: largest distance in score of the detections that both have, and
share of those that only one has. Then `signetscan detect` as a user runs it, with the share of its time that the GPU
was busy, by nvidia-smi, four times a second. What cannot run says why, and the rest goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.errors import SignetscanError
from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.merge import suppress
from signetscan.scan.options import ScanOptions
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from signetscan.detections import Detections
    from signetscan.models.detector import Detector
    from signetscan.models.runtime import Device

BATCHES = (1, 2, 4, 8, 16)
COMPARED = 4
"""Tiles on which devices are compared."""
SAME_IOU = 0.9
POLL = 0.25
"""Seconds between two looks at how busy the GPU is."""


def real_tiles(slide: Path, detector: Detector) -> list[np.ndarray]:
    """Whole tiles of a slide's tissue."""
    options = ScanOptions(trim_tiles=False).resolve(detector)
    with open_slide(slide) as opened:
        view = SlideAtMpp(opened, detector.spec.mpp)
        tiles = plan_scan(view, options.cut(detector.spec), options).tiles
        chosen = tiles[:: -(-len(tiles) // COMPARED)]
        return [view.read(tile.x, tile.y, tile.width, tile.height) for tile in chosen]


def detections(detector: Detector, tile: np.ndarray) -> Detections:
    """What a user would see of a tile."""
    (found,) = detector.detect(tile[None], detector.spec.score_threshold)
    return suppress(found, detector.spec.nms_iou)


def difference(detector: Detector, reference: Detector, tiles: list[np.ndarray]) -> str:
    """How far the detections of two devices are apart."""
    worst, alone, total = 0.0, 0, 0
    for tile in tiles:
        ours, theirs = detections(detector, tile), detections(reference, tile)
        same = iou_matrix(ours.boxes, theirs.boxes) >= SAME_IOU
        apart = np.abs(ours.scores[:, None] - theirs.scores[None])[same]
        worst = max(worst, float(apart.max(initial=0.0)))
        alone += int((~same.any(axis=0)).sum() + (~same.any(axis=1)).sum())
        total += len(ours) + len(theirs)
    return f"score {worst:.5f}, alone {alone} of {total}"


def speed(detector: Detector, batch: int, rounds: int) -> float:
    """Megapixels of tiles a second."""
    side = detector.spec.tile_size
    tiles = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    seconds = []
    for turn in range(rounds + 2):
        started = time.perf_counter()
        detector.detect(tiles, 0.5)
        if turn > 1:  # the first runs prepare memory and choose algorithms
            seconds.append(time.perf_counter() - started)
    return tiles[..., 0].size / 1e6 / median(seconds)


def watch(busy: list[float], done: threading.Event) -> None:
    """Note how busy the GPU is, percent, until done."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    while not done.wait(POLL):
        busy.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def whole_run(slide: Path, model: Path, device: Device) -> str:
    """The command's time, and how busy the GPU was."""
    busy: list[float] = []
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(busy, done))
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "signetscan", "detect", str(slide), "--model", str(model)]
        watcher.start()
        started = time.perf_counter()
        subprocess.run([*command, "--device", device, "--out", out, "-q"], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        done.set()
        watcher.join()
    return f"{seconds:7.1f} s, GPU busy {mean(busy) if busy else 0:.0f}% of it"


def main() -> None:
    """Print a line for each model, device and batch, and one for each whole run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--models", type=Path, nargs="+", default=[find_model(DEFAULT_MODEL)])
    parser.add_argument("--devices", nargs="+", default=["cuda", "tensorrt"], choices=["cuda", "tensorrt"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for model in arguments.models:
        reference = load_detector(model, device="cpu")
        tiles = real_tiles(arguments.slide, reference)
        for device in arguments.devices:
            title = f"{reference.spec.name} {reference.spec.precision} {device}"
            try:
                detector = load_detector(model, device=device)
                print(f"{title}: against the CPU: {difference(detector, reference, tiles)}")
            except SignetscanError as error:
                print(f"{title}: {error}")
                continue
            for batch in BATCHES:
                try:
                    print(f"{title}, batch {batch:2d}: {speed(detector, batch, arguments.rounds):8.1f} Mpx/s")
                except Exception as error:  # noqa: BLE001 - memory ran out, in the runtime's own way
                    print(f"{title}, batch {batch:2d}: {str(error).splitlines()[0][:100]}")
                    break
            print(f"{title}, detect: {whole_run(arguments.slide, model, device)}")


if __name__ == "__main__":
    main()

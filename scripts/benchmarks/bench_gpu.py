"""Everything about a GPU in one table: does it give what the CPU gives, how fast is the model, and is it kept busy?

    python scripts/benchmarks/bench_gpu.py SLIDE [--models NAME ...] [--devices cuda tensorrt] [--rounds 5]

For each model (a name that `signetscan models` lists, or a file: an fp32 and an fp16 one, say), device and batch size:
megapixels of tiles a second, and how far the results on tiles of the slide are from those of the CPU. Of a detector:
the largest distance in score of the detections that both have, and how many only one has; of a segmenter: the largest
distance in probability, and the share of places with another class. Then `signetscan detect` or `segment` as a user
runs it, with the share of its time that the GPU was busy, by nvidia-smi, four times a second. What cannot run says why,
and the rest goes on.
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
from typing import TYPE_CHECKING, assert_never

import numpy as np

from signetscan.boxes import iou_matrix
from signetscan.errors import SignetscanError
from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.detector import OnnxDetector, make_detector
from signetscan.models.known_models import check_contract
from signetscan.models.loading import load_model
from signetscan.models.segmenter import OnnxSegmenter, make_segmenter
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.merge import suppress
from signetscan.scan.options import ScanOptions, SegmentOptions
from signetscan.scan.plan import plan_scan
from signetscan.slides import SlideAtMpp, open_slide

if TYPE_CHECKING:
    from signetscan.detections import Detections
    from signetscan.models.runtime import Device

BATCHES = (1, 2, 4, 8, 16)
COMPARED = 4
"""Tiles on which devices are compared."""
SAME_IOU = 0.9
POLL = 0.25
"""Seconds between two looks at how busy the GPU is."""


def load(path: Path, device: Device) -> OnnxDetector | OnnxSegmenter:
    """A model on a device, whatever its task."""
    model = load_model(path, device=device)
    return make_detector(model) if isinstance(check_contract(model), DetectionSpec) else make_segmenter(model)


def real_tiles(slide: Path, model: OnnxDetector | OnnxSegmenter) -> list[np.ndarray]:
    """Whole tiles of a slide's tissue."""
    with open_slide(slide) as opened:
        view = SlideAtMpp(opened, model.spec.mpp)
        match model:
            case OnnxDetector():
                detecting = ScanOptions(trim_tiles=False).resolve(model)
                plan = plan_scan(view, detecting.cut(model.spec), detecting)
            case OnnxSegmenter():
                segmenting = SegmentOptions(trim_tiles=False).resolve(model)
                plan = plan_scan(view, segmenting.cut(model.spec), segmenting)
            case _:
                assert_never(model)
        chosen = plan.tiles[:: -(-len(plan.tiles) // COMPARED)]
        return [view.read(tile.x, tile.y, tile.width, tile.height) for tile in chosen]


def detections(detector: OnnxDetector, tile: np.ndarray) -> Detections:
    """What a user would see of a tile."""
    (found,) = detector.detect(tile[None], detector.spec.score_threshold)
    return suppress(found, detector.spec.nms_iou)


def difference(model: OnnxDetector | OnnxSegmenter, path: Path, slide: Path) -> str:
    """How far the results of a model are from those on the CPU."""
    tiles = real_tiles(slide, model)
    match model, load(path, "cpu"):
        case OnnxDetector() as detector, OnnxDetector() as reference:
            return of_detections([(detections(detector, tile), detections(reference, tile)) for tile in tiles])
        case OnnxSegmenter() as segmenter, OnnxSegmenter() as reference:
            return of_probabilities([(segmenter.segment(tile[None]), reference.segment(tile[None])) for tile in tiles])
    message = "one file cannot have two tasks"
    raise AssertionError(message)


def of_detections(pairs: list[tuple[Detections, Detections]]) -> str:
    """How far the detections of two devices are apart."""
    worst, alone, total = 0.0, 0, 0
    for ours, theirs in pairs:
        same = iou_matrix(ours.boxes, theirs.boxes) >= SAME_IOU
        apart = np.abs(ours.scores[:, None] - theirs.scores[None])[same]
        worst = max(worst, float(apart.max(initial=0.0)))
        alone += int((~same.any(axis=0)).sum() + (~same.any(axis=1)).sum())
        total += len(ours) + len(theirs)
    return f"score {worst:.5f}, alone {alone} of {total}"


def of_probabilities(pairs: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """How far the probabilities of two devices are apart; both are times 255."""
    worst = max(int(np.abs(ours.astype(np.int16) - theirs).max()) for ours, theirs in pairs)
    other = mean(float((ours.argmax(axis=1) != theirs.argmax(axis=1)).mean()) for ours, theirs in pairs)
    return f"probability {worst / 255:.5f}, another class at {other:.4%} of the places"


def speed(model: OnnxDetector | OnnxSegmenter, batch: int, rounds: int) -> float:
    """Megapixels of tiles a second."""
    side = model.spec.tile_size
    tiles = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    seconds = []
    for turn in range(rounds + 2):
        started = time.perf_counter()
        match model:
            case OnnxDetector():
                model.detect(tiles, 0.5)
            case OnnxSegmenter():
                model.segment(tiles)
            case _:
                assert_never(model)
        if turn > 1:  # the first runs prepare memory and choose algorithms
            seconds.append(time.perf_counter() - started)
    return tiles[..., 0].size / 1e6 / median(seconds)


def watch(busy: list[float], done: threading.Event) -> None:
    """Note how busy the GPU is, percent, until done."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    while not done.wait(POLL):
        busy.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def whole_run(slide: Path, task: str, model: Path, device: Device) -> str:
    """The time of a command, `detect` or `segment`, and how busy the GPU was."""
    busy: list[float] = []
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(busy, done))
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "signetscan", task, str(slide), "--model", str(model)]
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
    parser.add_argument("--models", nargs="+", default=[DEFAULT_MODEL])
    parser.add_argument("--devices", nargs="+", default=["cuda", "tensorrt"], choices=["cuda", "tensorrt"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for path in map(find_model, arguments.models):
        for device in arguments.devices:
            try:
                model = load(path, device)
                title = f"{model.spec.name} {model.spec.precision} {device}"
                print(f"{title}: against the CPU: {difference(model, path, arguments.slide)}")
            except SignetscanError as error:
                print(f"{path.name} {device}: {error}")
                continue
            for batch in BATCHES:
                try:
                    print(f"{title}, batch {batch:2d}: {speed(model, batch, arguments.rounds):8.1f} Mpx/s")
                except Exception as error:  # noqa: BLE001 - memory ran out, in the runtime's own way
                    print(f"{title}, batch {batch:2d}: {str(error).splitlines()[0][:100]}")
                    break
            task = "detect" if isinstance(model, OnnxDetector) else "segment"
            print(f"{title}, {task}: {whole_run(arguments.slide, task, path, device)}")


if __name__ == "__main__":
    main()

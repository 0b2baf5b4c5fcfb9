"""What would another network cost? Speeds of architectures with random weights on a CPU, in fp32 and int8, as ratios.

    python scripts/benchmarks/bench_networks.py [--rounds 7] [--only TEXT] [--models FOLDER]

For each: megapixels of 1024 px tiles a second, on all cores; the ratio to the first, the plain RetinaNet of the paper
in fp32; and that ratio for a network that works at 0.5 um/px, where a slide has a quarter of the pixels. Whether it
finds as many cells is another question: these have learnt nothing.

All are timed in turn, round after round, each against the first in the same round, so that a noisy machine slows all
alike; the median counts. To export all takes some minutes; with --models they are kept for the next time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.models.detection_spec import DetectionSpec
from signetscan.models.detector import load_detector
from signetscan.models.writing import save_graph
from signetscan.training.graph import make_graph
from signetscan.training.options import Architecture
from signetscan.training.quantise import make_int8_graph
from signetscan.training.retinanet import RetinaNet

if TYPE_CHECKING:
    from signetscan.models.detector import Detector

TILE = 1024
PAUSE = 0.05
"""Seconds between two runs: the threads of one model look for work a while after it, on the cores of the next."""

RESNETS = ((64, 256), (64, 128), (32, 96), (32, 64), (24, 64))
"""Width and pyramid of each ResNet-18; the first is the plain one."""
LITE_PYRAMIDS = (256, 96, 64)
SHAPES = ((5, 4), (5, 2), (3, 2), (2, 2))
"""Maps of the pyramid and depth of the heads."""


def architectures() -> dict[str, Architecture]:
    """All by name; the first is the plain one."""
    found = {}
    for levels, depth in SHAPES:
        for width, pyramid in RESNETS:
            sizes = Architecture(width=width, fpn_channels=pyramid, fpn_levels=levels, head_depth=depth)
            found[f"resnet18 {width}/{pyramid}, {levels} maps, heads of {depth}"] = sizes
        for pyramid in LITE_PYRAMIDS:
            sizes = Architecture(
                backbone="efficientnet-lite0", fpn_channels=pyramid, fpn_levels=levels, head_depth=depth
            )
            found[f"lite0 {pyramid}, {levels} maps, heads of {depth}"] = sizes
    return found


def make_model(name: str, architecture: Architecture, precision: str, path: Path) -> None:
    """Write a model with random weights; nothing is checked."""
    torch.manual_seed(0)
    network = RetinaNet(architecture).eval()
    stride = architecture.stride
    spec = DetectionSpec(
        name=name,
        mpp=0.25,
        tile_size=TILE,
        tile_overlap=256,
        stride=stride,
        class_names=("cell",),
        score_threshold=0.5,
        nms_iou=0.4,
        training_data="none",
        recipe={},
        licence="none",
        intended_use="timing",
        precision=precision,
    )
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    graph = make_graph(network, stride) if precision == "fp32" else make_int8_graph(network, stride, [noise])
    save_graph(graph, spec, path)


def load_all(folder: Path, only: str) -> dict[tuple[str, str], Detector]:
    """The models by name and precision, made where they are not there yet; the plain one in fp32 first."""
    detectors: dict[tuple[str, str], Detector] = {}
    for name, architecture in architectures().items():
        for precision in ("fp32", "int8"):
            if detectors and only not in f"{name} {precision}":
                continue
            path = folder / f"{name} {precision}.onnx".replace("/", "-").replace(" ", "_")
            if not path.exists():
                make_model(name, architecture, precision, path)
            detectors[name, precision] = load_detector(path, device="cpu")
    return detectors


def main() -> None:
    """Time every network and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--only", default="", help="part of the names to time, such as int8 or lite0; the first always is"
    )
    parser.add_argument("--models", type=Path, help="folder to keep the models in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.models or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        detectors = load_all(folder, arguments.only)
    tile = np.random.default_rng(0).integers(0, 256, (1, TILE, TILE, 3), np.uint8)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in detectors}
    for turn in range(arguments.rounds + 1):
        for key, detector in detectors.items():
            time.sleep(PAUSE)
            started = time.perf_counter()
            detector.detect(tile, 0.5)
            if turn > 0:  # the first round warms up
                seconds[key].append(time.perf_counter() - started)
    plain = next(iter(seconds.values()))
    print(f"{'':40s}       Mpx/s  ratio  at 0.5 um/px")
    for (name, precision), own in seconds.items():
        ratio = median(first / second for first, second in zip(plain, own, strict=True))
        print(f"{name:40s} {precision}  {TILE * TILE / 1e6 / median(own):5.2f}  {ratio:5.2f}  {4 * ratio:6.2f}")


if __name__ == "__main__":
    main()

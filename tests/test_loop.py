"""The whole loop: detect, correct in QuPath, learn from it, detect again. It must get better, and only by that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from test_dataset_add import CELL, feature, write
from toy_images import TINY

from signetscan.annotations import read_geojson
from signetscan.cli.main import cli
from signetscan.dataset import read_dataset
from signetscan.evaluation.compare import compare_results
from signetscan.results.writing import write_results
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide
from signetscan.training.checkpoint import load_checkpoint
from signetscan.training.detector import TorchDetector
from signetscan.training.engine import train
from signetscan.training.options import LossOptions
from signetscan.training.spec import make_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from click.testing import Result
    from numpy.typing import NDArray

    from signetscan.dataset import Dataset
    from signetscan.evaluation.compare import SlideComparison

BRIEF = replace(TINY, loss=LossOptions(loss="ce"), epochs=9, validation_split=0.0)
"""Both models learn alike; cross-entropy, because so few batches are too few for scores that count by outliers."""
THRESHOLD = 0.3
TISSUE, PURPLE, TEALS = (225, 190, 205), (90, 50, 120), ((40, 140, 140), (110, 180, 180))


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def draw_slide(path: Path, seed: int) -> NDArray[np.float64]:
    """A slide of 768 x 512 px, and the cells in it.

    They are teal, and every second one is pale. Purple rings, which are cells in the toys, are none here. The right
    third holds no cell.
    """
    rng = np.random.default_rng(seed)
    image = np.full((512, 768, 3), TISSUE, np.uint8)
    rows, columns = np.indices(image.shape[:2])
    cells: list[list[float]] = []
    for y in range(50, 500, 82):
        for x in range(50, 750, 82):
            middle = np.array([x, y]) + rng.uniform(-6, 6, 2)
            radius = rng.uniform(18, 28)
            distance = np.hypot(columns + 0.5 - middle[0], rows + 0.5 - middle[1])
            kind = rng.random()
            if kind < 0.45 and x < 470:
                image[(distance < radius) & (distance > radius - 6)] = TEALS[len(cells) % 2]
                cells.append([*(middle - radius), *(middle + radius)])
            elif kind < 0.75:
                image[(distance < radius) & (distance > radius - 6)] = PURPLE
            else:
                image[distance < radius * 0.6] = PURPLE
    noisy = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    resolution = (1e4 / 0.25, 1e4 / 0.25)
    tifffile.imwrite(path, noisy, tile=(256, 256), resolution=resolution, resolutionunit="CENTIMETER")
    return np.array(cells)


def corrected(result: Path, truth: Path) -> list[dict[str, Any]]:
    """What a reader makes of a result: false alarms are of the class Ignore*, and what was missed is drawn."""
    (one,) = compare_results(result, truth).slides
    features: list[dict[str, Any]] = json.loads(result.read_text())["features"]
    found = read_geojson(result).boxes
    alarms = {tuple(box) for box in one.only_a.boxes.tolist()}
    for each, box in zip(features, found.tolist(), strict=True):
        if tuple(box) in alarms:
            each["properties"]["classification"] = {"name": "Ignore*", "color": [180, 180, 180]}
    return features + [feature(tuple(box), CELL) for box in one.only_b.boxes.tolist()]


def scan(best: Path, slides: Sequence[Path], out: Path) -> None:
    """What `detect` does, by a network that was not exported: that takes longer than to train it."""
    state = load_checkpoint(best)
    detector = TorchDetector(state.make_network(), make_spec(state, name="old"), torch.device("cpu"))
    assert not detector.runs_on.on_gpu, "torch on a CPU is a CPU: one pass at a time"
    options = ScanOptions(threshold=THRESHOLD)
    out.mkdir()
    for path in slides:
        with open_slide(path) as slide:
            write_results(out / path.stem, slide, detector, detect_slide(slide, detector, options))


def f1_of(slides: dict[str, SlideComparison], names: Iterable[str]) -> float:
    """F1 of some slides together."""
    some = [slides[name] for name in names]
    return float(2 * sum(one.both for one in some) / sum(len(one.a) + len(one.b) for one in some))


@pytest.mark.slow
def test_corrections_make_the_model_better(toy_set: Dataset, tmp_path: Path) -> None:
    names = ("first", "second", "unseen")
    (tmp_path / "truth").mkdir()
    truth = {name: draw_slide(tmp_path / f"{name}.tif", seed) for seed, name in enumerate(names)}
    slides = [tmp_path / f"{name}.tif" for name in names]
    for name, cells in truth.items():
        write(tmp_path / "truth" / f"{name}.geojson", *(feature(tuple(box), CELL) for box in cells.tolist()))

    scan(train(toy_set, BRIEF, tmp_path / "old", device="cpu"), slides, tmp_path / "found")
    before = {one.name: one for one in compare_results(tmp_path / "found", tmp_path / "truth").slides}

    for name in ("first", "second"):
        features = corrected(tmp_path / "found" / f"{name}.geojson", tmp_path / "truth" / f"{name}.geojson")
        if name == "first":
            features += [feature((0, 0, 512, 512), "Positive region"), feature((512, 0, 768, 512), "Normal region")]
        exported = write(tmp_path / f"{name}.geojson.gz", *features, bare=True)
        run("dataset", "add", tmp_path / f"{name}.tif", exported, "--out", tmp_path / "set", "--detections")
    data = read_dataset(tmp_path / "set")
    assert sum(len(image.boxes) for image in data.images) == len(truth["first"]) + len(truth["second"])
    assert sorted((image.slide, image.normal) for image in data.images) == [
        ("first", False),
        ("first", True),
        ("second", False),
    ]

    best = train(data, BRIEF, tmp_path / "new", device="cpu")
    scan(best, slides, tmp_path / "again")
    after = {one.name: one for one in compare_results(tmp_path / "again", tmp_path / "truth").slides}
    assert f1_of(after, names) > f1_of(before, names) + 0.2
    # What it learnt holds on the slide that nobody corrected, too.
    assert f1_of(after, ["unseen"]) > f1_of(before, ["unseen"])
    assert sum(len(one.only_a) for one in after.values()) < sum(len(one.only_a) for one in before.values()) / 2

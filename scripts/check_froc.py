"""How good is a model on a simulated slide? FROC by the definition of DigestPath 2019, against the slide's own truth.

    signetscan simulate slide held-out.svs --width 8400 --height 8400 --seed 1001
    python scripts/check_froc.py held-out.svs [--model NAME]

Each piece of tissue is an image: positive if it holds signet ring cells, otherwise normal.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.detect import DetectOptions, detect_slide
from signetscan.evaluation import FROC_LEVELS, ImageResult, Scores, evaluate
from signetscan.inference import load_detector
from signetscan.model_store import DEFAULT_MODEL, find_model
from signetscan.slides import open_slide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.detections import Detections

LOWEST_SCORE = 0.02
"""Detections down to here are used for the curve."""


def read_truth(path: Path) -> tuple[list[tuple[NDArray[np.float64], bool]], NDArray[np.float64]]:
    """Regions (box, whether normal) and cells (N, 4) of a simulated slide, level-0 pixels."""
    regions, cells = [], []
    for feature in json.loads(path.read_text(encoding="utf-8"))["features"]:
        ring = np.array(feature["geometry"]["coordinates"][0], np.float64)
        box = np.concatenate([ring.min(axis=0), ring.max(axis=0)])
        if feature["properties"]["objectType"] == "detection":
            cells.append(box)
        else:
            regions.append((box, feature["properties"]["classification"]["name"] == "Normal region"))
    return regions, np.array(cells).reshape(-1, 4)


def within(boxes: NDArray[np.floating], region: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes have their centre in a region."""
    middle = centres(boxes)
    return np.asarray(((middle >= region[:2]) & (middle < region[2:])).all(axis=1))


def score_slide(detections: Detections, truth: Path, threshold: float) -> Scores:
    """Scores of a slide's detections against its truth."""
    regions, cells = read_truth(truth)
    results = [
        ImageResult(
            detections=detections.select(within(detections.boxes, box)),
            truth=cells[within(cells, box)],
            normal=normal,
        )
        for box, normal in regions
    ]
    return evaluate(results, threshold)


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model))
    with open_slide(arguments.slide) as slide:
        options = DetectOptions.for_model(detector, score_threshold=LOWEST_SCORE)
        found = detect_slide(slide, detector, options).detections
    truth = arguments.slide.with_name(f"{arguments.slide.stem}.truth.geojson")
    scores = score_slide(found, truth, detector.spec.score_threshold)
    print(f"{scores.positives} positive regions with {scores.cells} cells, {scores.normals} normal regions")
    print(f"FROC {scores.froc:.4f}")
    for level, recall in zip(FROC_LEVELS, scores.recall_at, strict=True):
        print(f"  recall {recall:.4f} at {level} false alarms in a normal region")
    print(f"At the model's threshold {scores.threshold:.4f}: recall {scores.recall:.4f}, ", end="")
    print(f"precision {scores.precision:.4f}, FPs score {scores.fps_score:.2f}")


if __name__ == "__main__":
    main()

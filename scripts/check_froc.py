"""How good is a model on a simulated slide? FROC by the definition of DigestPath 2019, against the slide's own truth.

    signetscan simulate slide held-out.svs --width 8400 --height 8400 --seed 1001
    python scripts/check_froc.py held-out.svs [--model NAME]

Each piece of tissue is an image: positive if it holds signet ring cells, otherwise normal.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from signetscan.annotations import read_geojson
from signetscan.evaluation import FROC_LEVELS, evaluate, images_of
from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.scan.detect import DetectOptions, detect_slide
from signetscan.slides import open_slide

if TYPE_CHECKING:
    from signetscan.detections import Detections
    from signetscan.evaluation import ImageResult
    from signetscan.models.detector import Detector

LOWEST_SCORE = 0.02
"""Detections down to here are used for the curve."""


def results_of(slide: Path, detector: Detector) -> list[ImageResult]:
    """What is found in each piece of tissue of a slide, beside its truth; level-0 pixels."""
    with open_slide(slide) as opened:
        found = detect_slide(opened, detector, DetectOptions.for_model(detector, score_threshold=LOWEST_SCORE))
    return with_truth(found.detections, slide.with_name(f"{slide.stem}.truth.geojson"))


def with_truth(detections: Detections, truth: Path) -> list[ImageResult]:
    """A slide's detections and truth, piece of tissue by piece."""
    read = read_geojson(truth)
    return images_of(detections, read.boxes, read.regions, slide=truth.stem)


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model))
    scores = evaluate(results_of(arguments.slide, detector), detector.spec.score_threshold)
    print(f"{scores.positives} positive regions with {scores.cells} cells, {scores.normals} normal regions")
    print(f"FROC {scores.froc:.4f}")
    for level, recall in zip(FROC_LEVELS, scores.recall_at, strict=True):
        print(f"  recall {recall:.4f} at {level} false alarms in a normal region")
    print(f"At the model's threshold {scores.threshold:.4f}: recall {scores.recall:.4f}, ", end="")
    print(f"precision {scores.precision:.4f}, FPs score {scores.fps_score:.2f}")


if __name__ == "__main__":
    main()

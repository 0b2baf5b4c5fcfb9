"""How good is a model on a simulated slide? FROC by the definition of DigestPath 2019, against the slide's own truth.

    signetscan simulate slide held-out.svs --width 8400 --height 8400 --seed 1001
    python scripts/tools/check_froc.py held-out.svs [--model NAME]

Each piece of tissue is an image: positive if it holds signet ring cells, otherwise normal.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from signetscan.evaluation import FROC_LEVELS, evaluate
from signetscan.models.detector import load_detector
from signetscan.models.store import DEFAULT_MODEL, find_model
from signetscan.testing.simulated import results_of


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

"""What does `signetscan detect --measure` cost?

    python scripts/benchmarks/bench_measure.py SLIDE ... [--model NAME] [--device auto] [--rounds 5]

Scans each slide in one process with measurements, and prints the seconds that the measuring took as a share of all
others, and the microseconds for each cell. The median of the rounds counts; both are of one run, so that a noisy
machine slows them alike. The first round, which is not counted, imports what measuring needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide


def main() -> None:
    """Print a line for each slide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument("--model", default="accurate")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.model), device=arguments.device)
    for path in arguments.slides:
        shares, seconds, cells, tissue = [], [], 0, 0.0
        for _ in range(arguments.rounds + 1):
            with open_slide(path) as slide:
                result = detect_slide(slide, detector, ScanOptions(measure=True))
            took = result.seconds["measure"]
            shares.append(took / (sum(result.seconds.values()) - took))
            seconds.append(took)
            cells, tissue = len(result.detections), result.tissue_mm2 or 0.0
        each = 1e6 * median(seconds[1:]) / max(cells, 1)
        print(
            f"{path.name} by {detector.spec.name} on {detector.runs_on.name}: {cells} cells on {tissue:.2f} mm2, "
            f"measured in {median(seconds[1:]):.2f} s ({each:.0f} us a cell), {median(shares[1:]):.1%} of the scan"
        )


if __name__ == "__main__":
    main()

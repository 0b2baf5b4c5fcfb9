"""Images with made-up detections, for the tests of evaluation."""

from __future__ import annotations

import numpy as np

from signetscan.detections import Detections
from signetscan.evaluation import ImageResult


def detections(boxes: list[list[float]], scores: list[float], labels: list[int] | None = None) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.array(labels or [0] * len(scores), np.int64),
    )


def square(x: float, y: float, side: float = 50) -> list[float]:
    return [x, y, x + side, y + side]


def random_results(seed: int, *, decimals: int = 3, distinct: bool = False) -> list[ImageResult]:
    """Crowded cells, jittered detections, doubles, false alarms.

    Scores differ within an image; those of two images may be equal, unless they are to be distinct. With fewer
    decimals many are equal within an image too.
    """
    rng = np.random.default_rng(seed)
    results = []
    for index in range(int(rng.integers(1, 7))):
        normal = index > 0 and rng.random() < 0.6
        cells = [] if normal else [square(*rng.uniform(0, 250, 2)) for _ in range(rng.integers(1, 9))]
        found = [
            (np.array(cell) + rng.normal(0, 9, 4).clip(-20, 20)).tolist()  # never more than the box has
            for cell in cells
            for _ in range(rng.integers(0, 3))
        ]
        found += [square(*rng.uniform(0, 300, 2)) for _ in range(rng.integers(0, 40 if normal else 4))]
        scores = (rng.permutation(1000)[: len(found)] / 1000).round(decimals)
        if distinct:
            scores = (scores + index / 10_000) / 1.1
        truth = np.array(cells, np.float64).reshape(-1, 4)
        results.append(ImageResult(detections=detections(found, scores.tolist()), truth=truth, normal=normal))
    return results

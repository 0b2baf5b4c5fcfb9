"""All figures and curves of a set of detections, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.evaluation.bootstrap import Interval, Resampled, intervals, units_of
from signetscan.evaluation.curves import AP_IOU, FrocCurve, PrCurve, average_precision, froc_curve, pr_curve
from signetscan.evaluation.digestpath import FROC_LEVELS, scores_of
from signetscan.evaluation.matching import match_nearest_free
from signetscan.evaluation.options import AssessOptions
from signetscan.evaluation.score_reliability import Reliability, reliability
from signetscan.evaluation.tally import make_tally, share
from signetscan.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from signetscan.evaluation.matching import ImageResult
    from signetscan.evaluation.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assessment:
    """Figures and curves, and the numbers of images and objects behind them."""

    options: AssessOptions
    """Options of the evaluation."""
    threshold: float
    """Lowest score of detections that count for recall, precision, F1 and false positives."""
    figures: dict[str, Interval]
    """Each figure by its name in `FIGURES`, with its 95% interval."""
    froc: FrocCurve
    """Recall against false positives, at the IoU of the options."""
    pr: PrCurve
    """Precision, recall and F1, at the IoU of the options."""
    pr50: PrCurve
    """The curve of AP50: at IoU 0.5, by COCO's rule of matching."""
    reliability: Reliability
    """Calibration of the scores, at the IoU of the options."""
    resampled: Resampled | None
    """What was resampled for the intervals; None if there are none."""
    positives: int
    """Positive images."""
    normals: int
    """Normal images."""
    slides: int
    """Slides that the images are from; 0 if they are not known."""
    cells: int
    """Cells of the positive images."""
    detections: int
    """Detections of any score in all images."""
    detections_per_normal: float
    """Mean number of detections of any score in a normal image, where the FROC curve ends; nan without any."""


def false_positives(number: int) -> str:
    """A number of false positives, in words."""
    return counted(number, "false positive")


FIGURES = {
    "froc": "FROC: mean recall at 1, 2, 4, 8, 16 and 32 false positives per normal image",
    **{f"recall_at_{level}": f"recall at {false_positives(level)} per normal image" for level in FROC_LEVELS},
    "counted_recall": "recall, 0 unless precision is above 0.2",
    "recall": "share of the cells of positive images that are found",
    "precision": "share of the detections in positive images that find a cell",
    "false_positives_per_normal": "mean number of detections in a normal image",
    "fps_score": "100 - mean number of detections in a normal image, not below 0",
    "ap50": "AP at IoU 0.5, COCO's matching and interpolation, all images",
    "f1": "F1 of all images at the threshold",
    "best_f1": "highest F1 of all thresholds",
    "best_f1_threshold": "threshold that has it",
    "ece": "expected calibration error, 10 bins",
}
"""Name and meaning of every figure, in the order of a report."""


def assess(results: Sequence[ImageResult], options: AssessOptions | None = None) -> Assessment:
    """Evaluate the detections of a set of images.

    Args:
        results: one entry for each image, with detections down to a low score, or the curves end early.
        options: threshold (0 if it has none), IoU and intervals; the defaults are DigestPath's.
    """
    options = options or AssessOptions()
    threshold = options.threshold or 0.0
    tally = make_tally(results, options.iou)
    tally50 = make_tally(results, AP_IOU, match_nearest_free)

    def figures(weights: NDArray[np.int64]) -> dict[str, float]:
        return figures_of(tally, tally50, threshold, weights)

    units = units_of(results) if options.bootstrap else None
    with_intervals = intervals(figures, figures(tally.weights()), units, count=options.bootstrap, seed=options.seed)
    in_normal = int(tally.normal[tally.image].sum())
    slides = {result.slide for result in results}  # "" stands for an unknown slide
    return Assessment(
        options=options,
        threshold=threshold,
        figures=with_intervals,
        froc=froc_curve(tally),
        pr=pr_curve(tally),
        pr50=pr_curve(tally50),
        reliability=reliability(tally),
        resampled=None if units is None else units.resampled,
        positives=int((~tally.normal).sum()),
        normals=int(tally.normal.sum()),
        slides=0 if "" in slides else len(slides),
        cells=int(tally.cells.sum()),
        detections=len(tally.scores),
        detections_per_normal=share(in_normal, int(tally.normal.sum())),
    )


def figures_of(tally: Tally, ap_tally: Tally, threshold: float, weights: NDArray[np.int64]) -> dict[str, float]:
    """The value of each of `FIGURES`, in their order.

    Args:
        tally: the detections, matched at the IoU of an evaluation.
        ap_tally: the same, matched as for AP.
        threshold: lowest score that counts for recall, precision, F1 and false positives.
        weights: (M,), how often each image counts.
    """
    scores = scores_of(tally, threshold, weights)
    best_f1, best_threshold = pr_curve(tally, weights).best_f1()
    values = {
        "froc": scores.froc,
        **{f"recall_at_{level}": recall for level, recall in zip(FROC_LEVELS, scores.recall_at, strict=True)},
        "counted_recall": scores.counted_recall,
        "recall": scores.recall,
        "precision": scores.precision,
        "false_positives_per_normal": scores.false_positives_per_normal,
        "fps_score": scores.fps_score,
        "ap50": average_precision(pr_curve(ap_tally, weights)),
        "f1": scores.f1,
        "best_f1": best_f1,
        "best_f1_threshold": best_threshold,
        "ece": reliability(tally, weights).ece,
    }
    return {name: values[name] for name in FIGURES}  # in the order of a report

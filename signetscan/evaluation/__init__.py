"""How good detections are: by the definitions of DigestPath 2019, and by AP, F1, calibration and their intervals.

`evaluate` gives DigestPath's figures alone and is quick; `assess` gives everything, with bootstrap intervals;
`read_results` reads predictions and truth from files; `write_assessment` writes figures and plots.
"""

from __future__ import annotations

from signetscan.evaluation.assess import Assessment, AssessOptions, assess
from signetscan.evaluation.bootstrap import Interval
from signetscan.evaluation.calibration import Reliability, reliability
from signetscan.evaluation.curves import (
    FrocCurve,
    PrCurve,
    average_precision,
    froc_curve,
    pr_curve,
)
from signetscan.evaluation.digestpath import (
    FROC_LEVELS,
    LEAST_PRECISION,
    Scores,
    evaluate,
    evaluate_classes,
    threshold_for,
)
from signetscan.evaluation.files import ResultSet, images_of, read_results
from signetscan.evaluation.matching import MATCH_IOU, ImageResult, match, match_nearest_free
from signetscan.evaluation.report import assessment_json, write_assessment
from signetscan.evaluation.tally import Tally, make_tally

__all__ = [
    "FROC_LEVELS",
    "LEAST_PRECISION",
    "MATCH_IOU",
    "AssessOptions",
    "Assessment",
    "FrocCurve",
    "ImageResult",
    "Interval",
    "PrCurve",
    "Reliability",
    "ResultSet",
    "Scores",
    "Tally",
    "assess",
    "assessment_json",
    "average_precision",
    "evaluate",
    "evaluate_classes",
    "froc_curve",
    "images_of",
    "make_tally",
    "match",
    "match_nearest_free",
    "pr_curve",
    "read_results",
    "reliability",
    "threshold_for",
    "write_assessment",
]

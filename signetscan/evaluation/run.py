"""Evaluation of files of predictions against files of truth, in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.evaluation.assessment import assess
from signetscan.evaluation.digestpath import FROC_LEVELS
from signetscan.evaluation.files import read_results
from signetscan.evaluation.options import AssessOptions
from signetscan.evaluation.report import assessment_json, write_assessment
from signetscan.extras import require

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation.assessment import Assessment
    from signetscan.evaluation.options import TruthOptions
    from signetscan.json_values import Json


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The result of an evaluation."""

    assessment: Assessment
    """The figures."""
    source: dict[str, Json]
    """What was evaluated, as in the JSON: predictions, truth, class and notes."""
    notes: tuple[str, ...]
    """What was left out or assumed, and why some figures are missing or may mislead."""
    paths: tuple[Path, ...]
    """The files that were written."""

    def to_json(self) -> dict[str, Json]:
        """All figures and curves as plain values."""
        return assessment_json(self.assessment, source=self.source)


def evaluate_files(
    predictions: Path,
    truth: Path,
    truth_options: TruthOptions | None = None,
    options: AssessOptions | None = None,
    *,
    out: Path | None = None,
) -> Evaluation:
    """Evaluate predictions against truth, and write the figures and plots if a folder is given.

    Args:
        predictions: a file (GeoJSON, CSV or XML), or a folder of them.
        truth: the same, or a folder in the layout of DigestPath 2019, YOLO or COCO, or a COCO file; see `read_results`.
        truth_options: how to read the files.
        options: threshold (by default the model's, by the run records), IoU and intervals.
        out: folder for `metrics.json` and the plots, created if needed; None writes nothing.

    Raises:
        AnnotationError: a file cannot be used, or the two do not fit together.
        MissingExtraError: plots are asked for, and matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    if out is not None:  # before the work, which may take minutes
        require("matplotlib")
        make_folder(out)
    result_set = read_results(predictions, truth, truth_options)
    options = options or AssessOptions()
    if options.threshold is None:
        options = replace(options, threshold=result_set.model_threshold)
    assessment = assess(result_set.results, options)
    notes = (*result_set.notes, *_caveats(assessment))
    source: dict[str, Json] = {
        "predictions": str(predictions),
        "truth": str(truth),
        "class": result_set.class_name or None,
        "notes": list(notes),
    }
    paths = () if out is None else tuple(write_assessment(out, assessment, source=source))
    return Evaluation(assessment=assessment, source=source, notes=notes, paths=paths)


def _caveats(assessment: Assessment) -> list[str]:
    """Reasons why some figures are missing or may mislead."""
    caveats: list[str] = []
    if not assessment.normals:
        caveats.append("No normal image: there is no FROC and no FPs score")
    elif assessment.detections_per_normal < FROC_LEVELS[-1]:
        caveats.append(
            f"The predictions end at {assessment.detections_per_normal:.2f} false positives per normal image; beyond "
            "that, FROC counts the recall of all detections. Detecting with a lower score threshold may raise it"
        )
    if not assessment.cells:
        caveats.append("No cell in the truth: there is no recall")
    if assessment.options.threshold is None:
        caveats.append(
            "No threshold was given, and no run record tells the model's: recall, precision, F1 and false positives "
            "are those of all predictions"
        )
    if assessment.resampled is not None and assessment.resampled.few:
        caveats.append(f"Intervals are from {assessment.resampled}")
    if assessment.options.bootstrap and not assessment.resampled:
        caveats.append("No intervals: they need at least two images of each kind, positive and normal")
    return caveats

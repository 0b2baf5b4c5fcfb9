"""Evaluation of files of predictions against files of truth, in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from signetscan.atomic import make_folder
from signetscan.evaluation.assessment import assess
from signetscan.evaluation.digestpath import FROC_LEVELS
from signetscan.evaluation.files import read_results
from signetscan.evaluation.options import AssessOptions
from signetscan.evaluation.paired import compare_paired, on_same_images
from signetscan.evaluation.report import assessment_json, paired_json, write_assessment
from signetscan.extras import require

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation.assessment import Assessment
    from signetscan.evaluation.files import ResultSet
    from signetscan.evaluation.options import AgainstOptions, TruthOptions
    from signetscan.evaluation.paired import PairedComparison
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
    paired: PairedComparison | None = None
    """The comparison with other predictions; None if none was asked for."""

    def to_json(self) -> dict[str, Json]:
        """All figures and curves as plain values."""
        return assessment_json(self.assessment, source=self.source)


def evaluate_files(
    predictions: Path,
    truth: Path,
    truth_options: TruthOptions | None = None,
    options: AssessOptions | None = None,
    *,
    against: AgainstOptions | None = None,
    out: Path | None = None,
) -> Evaluation:
    """Evaluate predictions against truth, and write the figures and plots if a folder is given.

    Args:
        predictions: a file (GeoJSON, CSV or XML), or a folder of them.
        truth: the same, or a folder in the layout of DigestPath 2019, YOLO or COCO, or a COCO file; see `read_results`.
        truth_options: how to read the files.
        options: threshold (by default the model's, by the run records), IoU and intervals.
        against: other predictions to compare with.
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
    given = options.threshold
    if options.threshold is None:
        options = replace(options, threshold=result_set.model_threshold)
    assessment = assess(result_set.results, options)
    notes = (*result_set.notes, *_caveats(assessment))
    paired: PairedComparison | None = None
    if against is not None and against.against is not None:
        other = read_results(against.against, truth, truth_options)
        theirs = given if against.against_threshold is None else against.against_threshold
        paired, remarks = _compared(result_set, other, against.against, theirs, options)
        notes = (*notes, *remarks)
    source: dict[str, Json] = {
        "predictions": str(predictions),
        "truth": str(truth),
        "class": result_set.class_name or None,
        "notes": list(notes),
        **({} if paired is None else {"against": paired_json(paired)}),
    }
    paths = () if out is None else tuple(write_assessment(out, assessment, source=source))
    return Evaluation(assessment=assessment, source=source, notes=notes, paths=paths, paired=paired)


def _compared(
    first: ResultSet, second: ResultSet, path: Path, threshold: float | None, options: AssessOptions
) -> tuple[PairedComparison, list[str]]:
    """The comparison of two results, and what was left out of the second.

    Args:
        first: the first result.
        second: the other one.
        path: file or folder of the other one.
        threshold: score threshold of the other one; None takes its model's, and 0 without one.
        options: threshold of the first one, IoU and intervals.

    Raises:
        AnnotationError: they have no image in common.
    """
    if threshold is None:
        threshold = second.model_threshold or 0.0
    ours, theirs, alone = on_same_images(first.results, second.results, path)
    remarks = [*(f"{path}: {line}" for line in second.notes if line not in first.notes), *alone]
    return compare_paired(ours, theirs, (options.threshold or 0.0, threshold), options, path), remarks


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

"""`signetscan evaluate`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, json_result, note, result
from signetscan.cli.flags import flags_of, given
from signetscan.evaluation.options import AssessOptions, TruthOptions
from signetscan.plurals import counted

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation import Assessment, Interval

ROWS = (
    ("froc", "FROC"),
    ("recall_at_1", "  recall at 1 false positive per normal image"),
    *((f"recall_at_{level}", f"  recall at {level} false positives per normal image") for level in (2, 4, 8, 16, 32)),
    ("recall", "Recall"),
    ("precision", "Precision in positive images"),
    ("counted_recall", "Recall that counts (precision above 0.2)"),
    ("f1", "F1"),
    ("false_positives_per_normal", "False positives per normal image"),
    ("fps_score", "FPs score"),
    ("best_f1", "Best F1"),
    ("best_f1_threshold", "  at threshold"),
    ("ap50", "AP50"),
    ("ece", "Expected calibration error"),
)
"""Rows of the table: the name of a figure, and its label."""
TWO_DECIMALS = ("fps_score", "false_positives_per_normal")
LABEL_WIDTH = max(len(label) for _, label in ROWS)


@click.command()
@click.argument("predictions", type=FILE)
@click.argument("truth", type=FILE)
@click.option("--out", "-o", type=FILE, help="Folder for metrics.json and the plots.  [default: no files]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@flags_of(AssessOptions, TruthOptions)
@click.option("--quiet", "-q", is_flag=True, help="Print no notes on what was left out.")
def evaluate(predictions: Path, truth: Path, out: Path | None, *, as_json: bool, quiet: bool, **values: object) -> None:
    """Evaluate PREDICTIONS against TRUTH.

    Prints DigestPath's figures, AP50, F1 and calibration. Each argument is a file (GeoJSON, CSV, XML) or a folder of
    them, paired by name; TRUTH may be a folder in the layout of DigestPath 2019 or YOLO, or a COCO file. In a GeoJSON
    truth, annotations of the classes "Positive region" and "Normal region" are the images of a slide, and objects in a
    large annotation of the class Ignore* do not count. A file without any cell is a normal image.

    Detect with a low --threshold first, or the curves end early.

    Example: signetscan evaluate results biopsy.geojson --out report
    """
    from signetscan.evaluation import evaluate_files

    evaluation = evaluate_files(predictions, truth, given(TruthOptions, values), given(AssessOptions, values), out=out)
    for line in evaluation.notes:
        note(f"Note: {line}", quiet=quiet)
    if as_json:
        json_result(evaluation.to_json(), indent=2)
        return
    for line in _table(evaluation.assessment):
        result(line)
    for path in evaluation.paths:
        result(f"  {path}")


def _table(assessment: Assessment) -> list[str]:
    options = assessment.options
    positives = f"{counted(assessment.positives, 'positive image')} with {counted(assessment.cells, 'cell')}"
    slides = f" of {counted(assessment.slides, 'slide')}" if assessment.slides else ""
    images = f"{positives}, {counted(assessment.normals, 'normal image')}{slides}"
    lines = [
        f"{images}; {counted(assessment.detections, 'detection')}",
        f"Recall, precision, F1, false positives: scores from {assessment.threshold:g}; IoU at least {options.iou:g}",
        "",
        f"{'':{LABEL_WIDTH}}{'value':>8}  {'' if assessment.resampled is None else '95% interval'}".rstrip(),
    ]
    for name, label in ROWS:
        text = _values(assessment.figures[name], 2 if name in TWO_DECIMALS else 4)
        if name == "froc" and not assessment.normals:
            text = "  unknown: no normal images"
        lines.append(f"{label:{LABEL_WIDTH}}{text}".rstrip())
    if assessment.resampled is not None:
        drawn = f"{options.bootstrap} resamples, seed {options.seed}, of {assessment.resampled}"
        lines += ["", f"Intervals: {drawn}"]
    return lines


def _values(figure: Interval, decimals: int) -> str:
    if math.isnan(figure.value):
        return f"{'-':>8}"
    value = f"{figure.value:8.{decimals}f}"
    return value if math.isnan(figure.low) else f"{value}  {figure.low:.{decimals}f} to {figure.high:.{decimals}f}"

"""`signetscan evaluate`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, json_result, note, result
from signetscan.cli.flags import flags_of, given
from signetscan.evaluation.options import AgainstOptions, AssessOptions, TruthOptions
from signetscan.plurals import counted

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation import Assessment, Interval
    from signetscan.evaluation.paired import PairedComparison

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
@flags_of(AssessOptions, TruthOptions, AgainstOptions)
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

    against = given(AgainstOptions, values)
    evaluation = evaluate_files(
        predictions, truth, given(TruthOptions, values), given(AssessOptions, values), against=against, out=out
    )
    for line in evaluation.notes:
        note(f"Note: {line}", quiet=quiet)
    if as_json:
        json_result(evaluation.to_json(), indent=2)
        return
    for line in _table(evaluation.assessment):
        result(line)
    if evaluation.paired is not None:
        for line in _paired_table(evaluation.paired):
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


def _paired_table(comparison: PairedComparison) -> list[str]:
    labels = {name: label for name, label in ROWS if name in comparison.figures}
    threshold, other = comparison.thresholds
    lines = [
        "",
        f"Against {comparison.other}, on the same {counted(comparison.images, 'image')}",
        f"Thresholds {threshold:g} and {other:g}; the difference is the first minus the other",
        "",
        f"{'':{LABEL_WIDTH}}{'first':>8}{'other':>8}{'difference':>12}  95% interval",
    ]
    for name, figure in comparison.figures.items():
        decimals = 2 if name in TWO_DECIMALS else 4
        values = f"{_number(figure.value, decimals):>8}{_number(figure.other, decimals):>8}"
        difference = figure.difference
        interval = (
            "" if math.isnan(difference.low) else f"{difference.low:+.{decimals}f} to {difference.high:+.{decimals}f}"
        )
        line = f"{labels[name]:{LABEL_WIDTH}}{values}{_number(difference.value, decimals, sign='+'):>12}  {interval}"
        lines.append(line.rstrip())
    drawn = "none: too few slides or images" if comparison.resampled is None else f"resamples of {comparison.resampled}"
    return [*lines, "", f"Intervals: {drawn}"]


def _number(value: float, decimals: int, *, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.{decimals}f}"


def _values(figure: Interval, decimals: int) -> str:
    if math.isnan(figure.value):
        return f"{'-':>8}"
    value = f"{figure.value:8.{decimals}f}"
    return value if math.isnan(figure.low) else f"{value}  {figure.low:.{decimals}f} to {figure.high:.{decimals}f}"

"""`signetscan evaluate`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import FILE, note

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation import Assessment, Interval

ROWS = (
    ("froc", "FROC"),
    *((f"recall_at_{level}", f"  recall at {level} false alarms per normal image") for level in (1, 2, 4, 8, 16, 32)),
    ("recall", "Recall"),
    ("precision", "Precision in positive images"),
    ("counted_recall", "Recall that counts (precision above 0.2)"),
    ("fps_score", "FPs score"),
    ("f1", "F1"),
    ("best_f1", "Best F1"),
    ("best_f1_threshold", "  at threshold"),
    ("ap50", "AP50"),
    ("ece", "Expected calibration error"),
)
"""Rows of the table, by the figure's name."""


@click.command()
@click.argument("predictions", type=FILE)
@click.argument("truth", type=FILE)
@click.option("--out", "-o", type=FILE, help="Folder for metrics.json and the plots.  [default: no files]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--threshold", default=0.0, help="Score from which predictions count for recall, FPs score and F1.")
@click.option("--iou", default=0.3, help="Least IoU of a prediction with a cell that it finds.")
@click.option("--bootstrap", default=1000, help="Resamples for the 95% intervals; 0 for none.")
@click.option("--seed", default=0, help="Of the resamples: the same seed gives the same intervals.")
@click.option("--class", "class_name", help="Class to judge, in any case.  [default: the only one there is]")
@click.option("--full-truth", is_flag=True, help="TRUTH is a simulated set: take all cells, from its folder truth.")
@click.option(
    "--truth-origin",
    type=click.Choice(["bounds", "level0"]),
    default="bounds",
    help="What a GeoJSON TRUTH counts from: the slide's bounds, as in QuPath, or the corner of level 0.",
)
@click.option("--quiet", "-q", is_flag=True, help="No notes on what was left out.")
def evaluate(predictions: Path, truth: Path, out: Path | None, **options: Any) -> None:  # noqa: ANN401 - click's values
    """Evaluate PREDICTIONS against TRUTH.

    Gives DigestPath's figures, AP50, F1 and calibration. Each argument is a file (GeoJSON, CSV, XML) or a folder of
    them, paired by name; TRUTH may be a folder in the layout of DigestPath 2019. In a GeoJSON truth, annotations of the
    classes "Positive region" and "Normal region" are the images of a slide. A file without any object is a normal
    image.

    Detect with a low --threshold first, or the curves end early.

    Example: signetscan evaluate results biopsy.geojson --out report
    """
    from signetscan.atomic import make_folder
    from signetscan.evaluation import AssessOptions, assess, assessment_json, read_results, write_assessment
    from signetscan.evaluation.plots import check_matplotlib

    judge = AssessOptions(**{name: options[name] for name in ("threshold", "iou", "bootstrap", "seed")})
    if out is not None:
        check_matplotlib()
        make_folder(out)
    read = read_results(
        predictions,
        truth,
        class_name=options["class_name"],
        full_truth=options["full_truth"],
        truth_in_level0=options["truth_origin"] == "level0",
    )
    assessment = assess(read.results, judge)
    notes = [*read.notes, *_remarks(assessment)]
    for line in notes:
        note(f"Note: {line}", quiet=options["quiet"])
    source = {
        "predictions": str(predictions),
        "truth": str(truth),
        "class": read.class_name or None,
        "notes": notes,
    }
    paths = [] if out is None else write_assessment(out, assessment, source=source)
    if options["as_json"]:
        click.echo(json.dumps(assessment_json(assessment, source=source), indent=2, allow_nan=False))
        return
    click.echo("\n".join(_table(assessment)))
    for path in paths:
        click.echo(f"  {path}")


def _remarks(assessment: Assessment) -> list[str]:
    """What keeps figures from meaning what they seem to."""
    remarks = []
    if not assessment.normals:
        remarks.append("No normal image: there is no FROC and no FPs score")
    elif assessment.most_alarms < 32:
        remarks.append(
            f"The predictions end at {assessment.most_alarms:.2f} false alarms per normal image; beyond, FROC takes "
            "the recall of all of them. A lower --threshold in detect may give more"
        )
    if not assessment.cells:
        remarks.append("No cell in the truth: there is no recall")
    if assessment.options.bootstrap and not assessment.resampled:
        remarks.append("No intervals: they take at least two images of each kind, positive and normal")
    return remarks


def _table(assessment: Assessment) -> list[str]:
    options = assessment.options
    positives = f"{_count(assessment.positives, 'positive image')} with {_count(assessment.cells, 'cell')}"
    slides = f" of {_count(assessment.slides, 'slide')}" if assessment.slides else ""
    images = f"{positives}, {_count(assessment.normals, 'normal image')}{slides}"
    lines = [
        f"{images}; {_count(assessment.detections, 'detection')}",
        f"Recall, precision, FPs score and F1 are of scores from {options.threshold:g}; IoU at least {options.iou:g}",
        "",
        f"{'':42}{'value':>8}  {'95% interval' if assessment.resampled else ''}".rstrip(),
    ]
    for name, label in ROWS:
        lines.append(f"{label:42}{_values(assessment.figures[name], 2 if name == 'fps_score' else 4)}".rstrip())
    if assessment.resampled:
        lines += ["", f"Intervals: {options.bootstrap} resamples of the {assessment.resampled}, seed {options.seed}"]
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _values(figure: Interval, decimals: int) -> str:
    if math.isnan(figure.value):
        return f"{'-':>8}"
    value = f"{figure.value:8.{decimals}f}"
    return value if math.isnan(figure.low) else f"{value}  {figure.low:.{decimals}f} to {figure.high:.{decimals}f}"

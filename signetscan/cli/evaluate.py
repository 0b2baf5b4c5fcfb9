"""`signetscan evaluate`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from signetscan.cli.console import FILE, json_result, note, result, stages
from signetscan.cli.flags import flags_of, given
from signetscan.cli.region_tables import paired_regions_table, regions_table
from signetscan.errors import OptionError
from signetscan.evaluation.options import AgainstOptions, AssessOptions, MaskOptions, TruthOptions
from signetscan.options import options_of, words
from signetscan.plurals import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from signetscan.cli.console import Stage
    from signetscan.evaluation import Assessment, Evaluation, Interval
    from signetscan.evaluation.paired import PairedComparison
    from signetscan.evaluation.region_run import RegionEvaluation

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
OF_DETECTION = ("threshold", "iou", "against_threshold", *options_of(TruthOptions))
"""Options that have no meaning for masks."""
LABEL_WIDTH = max(len(label) for _, label in ROWS)


@click.command()
@click.argument("predictions", type=FILE)
@click.argument("truth", type=FILE)
@click.option("--out", "-o", type=FILE, help="Folder for metrics.json and the plots.  [default: no files]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@flags_of(AssessOptions, TruthOptions, AgainstOptions, MaskOptions)
@click.option("--quiet", "-q", is_flag=True, help="Print no notes on what was left out.")
def evaluate(predictions: Path, truth: Path, out: Path | None, *, as_json: bool, quiet: bool, **values: object) -> None:
    """Evaluate PREDICTIONS against TRUTH.

    Prints DigestPath's figures, AP50, F1 and calibration. Each argument is a file (GeoJSON, CSV, XML) or a folder of
    them, paired by name; TRUTH may be a folder in the layout of DigestPath 2019 or YOLO, or a COCO file. In a GeoJSON
    truth, annotations of the classes "Positive region" and "Normal region" are the images of a slide, and objects in a
    large annotation of the class Ignore* do not count. A file without any cell is a normal image.

    Detect with a low --threshold first, or the curves end early.

    If TRUTH has images with masks, in the layouts that train reads, or slides that were outlined in QuPath, a
    segmentation is evaluated: PREDICTIONS is a folder that segment wrote, or a model file (.onnx), which is run on the
    images. Prints the Dice of an image and of
    all pixels together, that of each class, the AUC of the slide score, and how many regions are found.

    Example: signetscan evaluate results biopsy.geojson --out report

    And:     signetscan evaluate glands.onnx held-out --mpp 1
    """
    context = click.get_current_context()
    chosen = {name for name in values if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    with stages(quiet=quiet) as stage:
        evaluation = _evaluation(predictions, truth, out, values, chosen, stage)
    for line in evaluation.notes:
        note(f"Note: {line}", quiet=quiet)
    if as_json:
        json_result(evaluation.to_json(), indent=2)
        return
    for line in _lines(evaluation):
        result(line)
    for path in evaluation.paths:
        result(f"  {path}")


def _evaluation(
    predictions: Path, truth: Path, out: Path | None, values: Mapping[str, object], chosen: set[str], stage: Stage
) -> Evaluation | RegionEvaluation:
    """Evaluate for the task of the truth, with the options that the user chose."""
    from signetscan.evaluation import evaluate_files
    from signetscan.evaluation.region_run import evaluate_regions
    from signetscan.evaluation.task import task_of_evaluation
    from signetscan.models.spec import Task

    task = task_of_evaluation(predictions, truth)
    segments = task is Task.SEGMENTATION
    for name in OF_DETECTION if segments else options_of(MaskOptions):
        if name in chosen:
            other = Task.DETECTION if segments else Task.SEGMENTATION
            message = f"{words(name)} is an option of {other}, and {truth} is for {task}; leave it out"
            raise OptionError(message, options=(name,))
    options, against = given(AssessOptions, values), given(AgainstOptions, values)
    if not segments:
        return evaluate_files(predictions, truth, given(TruthOptions, values), options, against=against, out=out)
    return evaluate_regions(
        predictions,
        truth,
        given(MaskOptions, values),
        options,
        against=against.against,
        out=out,
        on_progress=stage("evaluating", "images", brief=True),
    )


def _lines(evaluation: Evaluation | RegionEvaluation) -> Iterator[str]:
    """The tables of an evaluation."""
    from signetscan.evaluation.region_run import RegionEvaluation

    if isinstance(evaluation, RegionEvaluation):
        yield from regions_table(evaluation.assessment)
        if evaluation.paired is not None:
            yield from paired_regions_table(evaluation.paired)
        return
    yield from _table(evaluation.assessment)
    if evaluation.paired is not None:
        yield from _paired_table(evaluation.paired)


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

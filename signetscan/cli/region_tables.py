"""Tables of `signetscan evaluate` for segmentations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from signetscan.plurals import counted

if TYPE_CHECKING:
    from signetscan.evaluation.bootstrap import Interval
    from signetscan.evaluation.region_assessment import PairedRegions, RegionAssessment

ROWS = (
    ("image_dice", "Dice of an image (mean)"),
    ("scored_dice", "Dice of all pixels together"),
    ("dice", "Dice of all classes"),
    ("auc", "AUC of the slide score"),
    ("precision", "Precision of pixels"),
    ("recall", "Recall of pixels"),
    ("region_recall", "Regions found"),
    ("region_precision", "Predicted regions that are right"),
)
"""Rows of the table: the name of a figure, and its label."""
LABEL_WIDTH = max(len(label) for _, label in ROWS)
CLASS_COLUMNS = (("dice", "Dice"), ("precision", "precision"), ("recall", "recall"), ("region_recall", "regions found"))
NAME_WIDTH = 30
"""Widest name of a class in a table."""


def regions_table(assessment: RegionAssessment) -> list[str]:
    """The figures of a segmentation as lines of text."""
    classes, options = assessment.classes, assessment.options
    slides = f", of {counted(assessment.slides, 'slide')}" if assessment.slides else ""
    scored = " or ".join(classes.names[label] for label in classes.scored)
    lines = [
        f"{counted(assessment.positives, 'image')} with {scored} and {assessment.normals} without{slides}",
        f"Unless a line says otherwise, figures are of {scored}",
        "",
        f"{'':{LABEL_WIDTH}}{'value':>8}  {'' if assessment.resampled is None else '95% interval'}".rstrip(),
    ]
    one_kind = {classes.names[label] for label in classes.scored} == set(classes.shown)
    for name, label in ROWS:
        if name != "dice" or not one_kind:  # all classes together are the scored ones
            lines.append(f"{label:{LABEL_WIDTH}}{_value(assessment.figures[name]):>8}{_interval(assessment, name)}")
    if len(classes.shown) > 1:
        lines += ["", *_class_lines(assessment)]
    if assessment.resampled is not None:
        drawn = assessment.resampled.described("scored classes")
        lines += ["", f"Intervals: {options.bootstrap} resamples, seed {options.seed}, of {drawn}"]
    return lines


def _class_lines(assessment: RegionAssessment) -> list[str]:
    width = min(max(map(len, ("class", *assessment.classes.shown))), NAME_WIDTH)
    lines = [f"{'class':{width}}" + "".join(f"{label:>15}" for _, label in CLASS_COLUMNS) + f"{'regions':>9}"]
    for name in assessment.classes.shown:
        figures = assessment.by_class[name]
        values = "".join(f"{_value(figures[column]):>15}" for column, _ in CLASS_COLUMNS)
        lines.append(f"{name[:width]:{width}}{values}{assessment.regions[name][0]:>9}")
    return lines


def paired_regions_table(comparison: PairedRegions) -> list[str]:
    """The comparison of two segmentations as lines of text."""
    lines = [
        "",
        f"Against {comparison.other}, on the same {counted(comparison.images, 'image')}",
        "The difference is the first minus the other",
        "",
        f"{'':{LABEL_WIDTH}}{'first':>8}{'other':>8}{'difference':>12}  95% interval",
    ]
    for name, label in ROWS:
        figure = comparison.figures[name]
        change = figure.difference
        between = "" if math.isnan(change.low) else f"{change.low:+.4f} to {change.high:+.4f}"
        values = f"{_number(figure.value):>8}{_number(figure.other):>8}{_number(change.value, sign='+'):>12}"
        lines.append(f"{label:{LABEL_WIDTH}}{values}  {between}".rstrip())
    drawn = (
        "none: too few slides or images"
        if comparison.resampled is None
        else f"resamples of {comparison.resampled.described('scored classes')}"
    )
    return [*lines, "", f"Intervals: {drawn}"]


def _value(figure: Interval) -> str:
    return _number(figure.value)


def _number(value: float, *, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.4f}"


def _interval(assessment: RegionAssessment, name: str) -> str:
    figure = assessment.figures[name]
    return "" if math.isnan(figure.low) else f"  {figure.low:.4f} to {figure.high:.4f}"

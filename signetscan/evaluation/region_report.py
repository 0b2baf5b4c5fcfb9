"""Writing of the figures of a segmentation: JSON, a CSV of the images, and plots."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING

import numpy as np

from signetscan import __version__
from signetscan.atomic import atomic_text
from signetscan.evaluation.bootstrap import COVERAGE
from signetscan.evaluation.plots import BLUE, GREY, new_figure
from signetscan.evaluation.region_assessment import CLASS_FIGURES, FIGURES
from signetscan.evaluation.regions import dice_of
from signetscan.evaluation.report import DECIMALS, SCHEMA, resampled_json, write_figure
from signetscan.formats.csv_file import FORMULA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from signetscan.evaluation.bootstrap import Interval
    from signetscan.evaluation.region_assessment import PairedRegions, RegionAssessment
    from signetscan.evaluation.regions import RegionResult
    from signetscan.json_values import Json

NAME_CHARACTERS = 24
"""Longest name of a class in a plot."""


def region_assessment_json(
    assessment: RegionAssessment, *, source: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """The figures of a segmentation as plain values for JSON; those that are not defined are None.

    Args:
        assessment: the figures.
        source: what they are of (files, remarks), which comes first.
    """
    classes, names = assessment.classes, list(assessment.classes.names)
    return {
        "schema": SCHEMA,
        "signetscan": __version__,
        "task": "segmentation",
        **(source or {}),
        "options": {"bootstrap": assessment.options.bootstrap, "seed": assessment.options.seed},
        "classes": [*names],
        "background": names[classes.background],
        "scored_classes": [names[label] for label in classes.scored],
        "counts": {
            "positive_images": assessment.positives,
            "normal_images": assessment.normals,
            "slides": assessment.slides or None,
        },
        "intervals": {"coverage": COVERAGE, **resampled_json(assessment.resampled)},
        "figures": {name: _figure(figure, FIGURES[name]) for name, figure in assessment.figures.items()},
        "by_class": {
            name: {
                "regions": assessment.regions[name][0],
                "predicted_regions": assessment.regions[name][1],
                **{figure: _figure(value, CLASS_FIGURES[figure]) for figure, value in figures.items()},
            }
            for name, figures in assessment.by_class.items()
        },
        "pixels": {
            names[true]: {names[label]: int(count) for label, count in enumerate(row)}
            for true, row in enumerate(assessment.confusion.tolist())
        },
    }


def paired_regions_json(comparison: PairedRegions) -> dict[str, Json]:
    """A paired comparison as plain values for JSON."""
    return {
        "predictions": str(comparison.other),
        "images": comparison.images,
        "intervals": {"coverage": COVERAGE, **resampled_json(comparison.resampled)},
        "figures": {
            name: {
                "value": _plain(figure.value),
                "other": _plain(figure.other),
                "difference": _plain(figure.difference.value),
                "low": _plain(figure.difference.low),
                "high": _plain(figure.difference.high),
            }
            for name, figure in comparison.figures.items()
        },
    }


def _figure(figure: Interval, meaning: str) -> Json:
    return {
        "value": _plain(figure.value),
        "low": _plain(figure.low),
        "high": _plain(figure.high),
        "meaning": meaning,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, DECIMALS)


def write_region_assessment(
    folder: Path, assessment: RegionAssessment, *, source: Mapping[str, Json] | None = None
) -> list[Path]:
    """Write `dice.png`, `confusion.png`, `images.csv` and, last, `metrics.json` into a folder.

    Args:
        folder: an existing folder.
        assessment: the figures.
        source: what they are of, for the JSON.

    Returns:
        The paths of the files.

    Raises:
        OutputError: a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    plots = {"dice": plot_dice, "confusion": plot_confusion}
    paths = [write_figure(folder / f"{name}.png", plot(assessment)) for name, plot in plots.items()]
    table, path = folder / "images.csv", folder / "metrics.json"
    with atomic_text(table) as file:
        csv.writer(file, lineterminator="\n").writerows(_image_rows(assessment))
    with atomic_text(path) as file:
        json.dump(region_assessment_json(assessment, source=source), file, indent=2, allow_nan=False)
        file.write("\n")
    return [*paths, table, path]


def _image_rows(assessment: RegionAssessment) -> Iterator[list[str]]:
    """The heading of the CSV, and a row for each image, the lowest Dice first."""
    shown = assessment.classes.shown
    labels = [assessment.classes.names.index(name) for name in shown]
    yield ["image", "slide", "positive", "score", "dice", *(f"dice_{_text(name)}" for name in shown)]

    def cell(value: float) -> str:
        return "" if math.isnan(value) else f"{value:.6f}"

    for result in sorted(assessment.results, key=lambda one: (math.inf if one.normal else one_dice(one), one.name)):
        each = [cell(dice_of(result.confusion, [label])) for label in labels]
        positive = "no" if result.normal else "yes"
        name, slide = _text(result.name), _text(result.slide)
        yield [name, slide, positive, cell(result.score), cell(one_dice(result)), *each]


def one_dice(result: RegionResult) -> float:
    """Dice of the scored classes in an image."""
    return dice_of(result.confusion, result.scored)


def _text(text: str) -> str:
    """A text as a field that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def plot_dice(assessment: RegionAssessment) -> Figure:
    """The Dice of each image that shows a scored class, from the lowest to the highest."""
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    values = np.sort([one_dice(result) for result in assessment.results if not result.normal])
    if len(values):
        axes.plot(np.linspace(0, 100, len(values)), values, ".-", color=BLUE, markersize=4)
        mean = assessment.figures["image_dice"]
        axes.axhline(mean.value, color=GREY, linestyle=":", label=f"mean {interval_text(mean)}")
        axes.legend(loc="lower right")
    else:
        axes.text(0.5, 0.5, "no image shows a scored class", ha="center", va="center", transform=axes.transAxes)
    axes.set(xlabel="Images with a scored class, lowest Dice first, %", ylabel="Dice of the scored classes")
    axes.set_ylim(0, 1.02)
    axes.set_title("Dice of each image", fontsize=11)
    axes.grid(alpha=0.3)
    return figure


def plot_confusion(assessment: RegionAssessment) -> Figure:
    """Which class the pixels of each class are called."""
    names, pixels = assessment.classes.names, assessment.confusion
    side = 3.2 + 0.7 * len(names)
    figure = new_figure(side, side)
    axes = figure.subplots()
    total = pixels.sum(axis=1, keepdims=True)
    shares = pixels / np.maximum(total, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape):
        if total[row, 0]:
            shade = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=shade, fontsize=9)
    shown = [name if len(name) <= NAME_CHARACTERS else f"{name[: NAME_CHARACTERS - 1]}…" for name in names]
    shown = [name.replace("$", r"\$") for name in shown]  # no mathematics
    axes.set_xticks(range(len(names)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.set_title("Pixels of each class, by what they are called", fontsize=11)
    return figure


def interval_text(figure: Interval) -> str:
    """A figure with its interval."""
    if math.isnan(figure.value):
        return "unknown"
    text = f"{figure.value:.3f}"
    return text if math.isnan(figure.low) else f"{text} ({figure.low:.3f} to {figure.high:.3f})"

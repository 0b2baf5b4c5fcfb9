"""Writing of an assessment: figures and curves as JSON, and plots."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from signetscan import __version__
from signetscan.atomic import atomic_text, part_path
from signetscan.evaluation.assessment import FIGURES
from signetscan.evaluation.bootstrap import COVERAGE
from signetscan.evaluation.plots import plot_calibration, plot_froc, plot_pr

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from signetscan.boxes import Float
    from signetscan.evaluation.assessment import Assessment
    from signetscan.evaluation.bootstrap import Resampled
    from signetscan.evaluation.paired import PairedComparison
    from signetscan.json_values import Json

SCHEMA = 1
"""Version of the layout of `metrics.json`."""
CURVE_POINTS = 500
"""Most points of a curve in the file."""
DECIMALS = 6
"""Decimals of the figures in the file: a float32 score has no more."""


def assessment_json(assessment: Assessment, *, source: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """An assessment as plain values for JSON; figures that are not defined are None.

    Args:
        assessment: the assessment.
        source: what it is of (files, class, remarks), which comes first.
    """
    options = assessment.options
    return {
        "schema": SCHEMA,
        "signetscan": __version__,
        **(source or {}),
        "options": {
            "threshold": assessment.threshold,
            "iou": options.iou,
            "bootstrap": options.bootstrap,
            "seed": options.seed,
        },
        "counts": {
            "positive_images": assessment.positives,
            "normal_images": assessment.normals,
            "slides": assessment.slides or None,
            "cells": assessment.cells,
            "detections": assessment.detections,
            "detections_per_normal_image": _plain(assessment.detections_per_normal),
        },
        "intervals": {"coverage": COVERAGE, **resampled_json(assessment.resampled)},
        "figures": {
            name: {
                "value": _plain(figure.value),
                "low": _plain(figure.low),
                "high": _plain(figure.high),
                "meaning": FIGURES[name],
            }
            for name, figure in assessment.figures.items()
        },
        "curves": _curves(assessment),
        "calibration": {
            "edges": _list(assessment.reliability.edges),
            "detections": list(assessment.reliability.counts.tolist()),
            "mean_score": _list(assessment.reliability.confidence),
            "precision": _list(assessment.reliability.precision),
        },
    }


def paired_json(comparison: PairedComparison) -> dict[str, Json]:
    """A paired comparison as plain values for JSON; figures that are not defined are None."""
    threshold, other = comparison.thresholds
    return {
        "predictions": str(comparison.other),
        "images": comparison.images,
        "threshold": threshold,
        "other_threshold": other,
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


def resampled_json(resampled: Resampled | None) -> dict[str, Json]:
    """What intervals were resampled from, as plain values for JSON."""
    if resampled is None:
        return {"resampled": None}
    counts: dict[str, Json] = {"with_cells": resampled.with_cells, "without": resampled.without}
    return {"resampled": resampled.kind.value, **counts, "few": resampled.few}


def _curves(assessment: Assessment) -> dict[str, Json]:
    froc, pr, pr50 = assessment.froc, assessment.pr, assessment.pr50
    columns: dict[str, dict[str, NDArray[Float]]] = {
        "froc": {
            "threshold": froc.thresholds,
            "false_positives_per_normal_image": froc.false_positives,
            "recall": froc.recall,
        },
        "pr": {"threshold": pr.thresholds, "precision": pr.precision, "recall": pr.recall, "f1": pr.f1},
        "pr50": {"threshold": pr50.thresholds, "precision": pr50.precision, "recall": pr50.recall},
    }
    return {
        name: {key: _list(values[_picked(len(values))]) for key, values in curve.items()}
        for name, curve in columns.items()
    }


def _picked(count: int) -> NDArray[np.intp]:
    """Indices of the points of a curve that are written: evenly spaced, with both ends."""
    return np.unique(np.linspace(0, max(count - 1, 0), CURVE_POINTS).round().astype(np.intp))[:count]


def _list(values: NDArray[Float]) -> list[Json]:
    return [_plain(value) for value in values.tolist()]


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, DECIMALS)


def write_figure(path: Path, figure: Figure) -> Path:
    """Write a plot as PNG; gives its path.

    Raises:
        OutputError: it cannot be written.
    """
    with part_path(path) as part:
        figure.savefig(part, format="png")
    return path


def write_assessment(folder: Path, assessment: Assessment, *, source: Mapping[str, Json] | None = None) -> list[Path]:
    """Write `froc.png`, `pr.png`, `calibration.png` and, last, `metrics.json` into a folder.

    Args:
        folder: an existing folder.
        assessment: the assessment.
        source: what it is of, for the JSON.

    Returns:
        The paths of the files.

    Raises:
        OutputError: a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    plots = {"froc": plot_froc, "pr": plot_pr, "calibration": plot_calibration}
    paths = [write_figure(folder / f"{name}.png", plot(assessment)) for name, plot in plots.items()]
    path = folder / "metrics.json"
    with atomic_text(path) as file:
        json.dump(assessment_json(assessment, source=source), file, indent=2, allow_nan=False)
        file.write("\n")
    return [*paths, path]

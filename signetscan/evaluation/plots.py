"""Plots of an assessment. matplotlib is an extra; it is imported when a plot is drawn.

Figures are made without pyplot, which would keep them in memory and might open a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.curves import AP_IOU
from signetscan.evaluation.digestpath import FROC_LEVELS
from signetscan.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from signetscan.evaluation.assessment import Assessment
    from signetscan.evaluation.bootstrap import Interval

BLUE, RED, GREEN, ORANGE, GREY = "#1f78b4", "#e31a1c", "#33a02c", "#ff7f00", "#777777"
LEFT_END, RIGHT_END = 0.1, 64.0
"""Ends of the FROC plot, false positives per normal image."""
DPI = 150
"""Pixels per inch: sharp on a page at full width."""


def plot_froc(assessment: Assessment) -> Figure:
    """Recall against false positives, with the six levels of FROC and their intervals."""
    figure = new_figure(6.4, 4.8)
    axes = figure.subplots()
    curve = assessment.froc
    if len(curve.false_positives) and not np.isnan(curve.false_positives + curve.recall).any():
        # A logarithmic axis has no 0, so the curve starts left of the plot's left end.
        false_positives = np.maximum(np.append(0.0, curve.false_positives), LEFT_END / 10)
        recall = np.append(0.0, curve.recall)
        axes.step(false_positives, recall, where="post", color=BLUE, label=f"IoU at least {assessment.options.iou:g}")
        if assessment.detections_per_normal < FROC_LEVELS[-1]:
            ends = (max(assessment.detections_per_normal, LEFT_END / 10), RIGHT_END)
            axes.plot(ends, (recall[-1], recall[-1]), ":", color=BLUE, label="all detections; none has a lower score")
        _levels(axes, assessment)
        axes.legend(loc="best")
    else:
        _say_undefined(axes, "no normal image, no cell or no detection: there is no FROC curve")
    axes.set_xscale("log")
    axes.set_xlim(LEFT_END, RIGHT_END)
    ticks = (LEFT_END, 0.25, 0.5, *FROC_LEVELS, RIGHT_END)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("False positives per normal image (mean)")
    axes.set_ylabel("Recall: part of the cells found")
    _finish(axes, f"FROC {_text(assessment.figures['froc'])}")
    return figure


def _levels(axes: Axes, assessment: Assessment) -> None:
    recalls = [assessment.figures[f"recall_at_{level}"] for level in FROC_LEVELS]
    values = [recall.value for recall in recalls]
    if not assessment.resampled:
        axes.plot(FROC_LEVELS, values, "o", color=RED, markersize=5, label="FROC's levels")
        return
    # In rare cases a figure lies outside of its percentile interval; matplotlib takes no negative lengths.
    below = [max(recall.value - recall.low, 0) for recall in recalls]
    above = [max(recall.high - recall.value, 0) for recall in recalls]
    label = "FROC's levels, 95% intervals"
    axes.errorbar(FROC_LEVELS, values, yerr=(below, above), fmt="o", color=RED, capsize=3, markersize=5, label=label)


def plot_pr(assessment: Assessment) -> Figure:
    """Precision against recall, and precision, recall and F1 against the threshold."""
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2)
    _plot_pr(left, assessment)
    _plot_thresholds(right, assessment)
    return figure


def plot_pr_curve(assessment: Assessment) -> Figure:
    """Precision against recall in a figure of its own, for narrow pages."""
    figure = new_figure(6.4, 4.8)
    _plot_pr(figure.subplots(), assessment)
    return figure


def plot_thresholds(assessment: Assessment) -> Figure:
    """Precision, recall and F1 against the threshold in a figure of its own, for narrow pages."""
    figure = new_figure(6.4, 4.8)
    _plot_thresholds(figure.subplots(), assessment)
    return figure


def _plot_pr(axes: Axes, assessment: Assessment) -> None:
    iou = assessment.options.iou
    curves = (
        (assessment.pr, BLUE, "-", f"IoU at least {iou:g}"),
        (assessment.pr50, GREEN, "--", f"IoU at least {AP_IOU:g}, AP50"),
    )
    drawn = [curve for curve in curves if curve[0].cells and len(curve[0].recall)]
    for f1 in (0.2, 0.4, 0.6, 0.8):
        # The line of equal F1: 1 / F1 is the mean of 1 / precision and 1 / recall. It starts where precision is 1.
        recall = np.linspace(f1 / (2 - f1), 1, 200)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="#dddddd", linewidth=0.8)
        axes.annotate(
            f"F1 {f1:g}", (1, f1 / (2 - f1)), (-3, 3), textcoords="offset points", ha="right", color=GREY, size=7
        )
    for curve, colour, line, label in drawn:
        axes.plot(curve.recall, curve.precision, line, color=colour, label=label)
    if drawn:
        best = int(assessment.pr.f1.argmax())
        f1, threshold = assessment.pr.best_f1()
        point = (assessment.pr.recall[best], assessment.pr.precision[best])
        axes.plot(*point, "o", color=RED, label=f"best F1, {f1:.3f} at score {threshold:.3f}")
        axes.legend(loc="lower left")
    else:
        _say_undefined(axes, "no cell or no detection: there is no curve")
    axes.set_xlim(0, 1)
    axes.set_xlabel("Recall: part of the cells found")
    axes.set_ylabel("Precision: part of the detections that match a cell")
    _finish(axes, f"AP50 {_text(assessment.figures['ap50'])}")


def _plot_thresholds(axes: Axes, assessment: Assessment) -> None:
    curve = assessment.pr
    if curve.cells and len(curve.thresholds):
        for values, colour, label in (
            (curve.precision, BLUE, "precision"),
            (curve.recall, GREEN, "recall"),
            (curve.f1, RED, "F1"),
        ):
            axes.plot(curve.thresholds, values, color=colour, label=label)
        _, threshold = curve.best_f1()
        axes.axvline(threshold, color=RED, linestyle=":", linewidth=1, label="best F1")
        if assessment.threshold > 0:
            axes.axvline(
                assessment.threshold, color=GREY, linestyle="--", linewidth=1, label="threshold of the figures"
            )
        axes.legend(loc="best")
    else:
        _say_undefined(axes, "no cell or no detection: there is no curve")
    axes.set_xlim(0, 1)
    axes.set_xlabel("Score threshold")
    axes.set_ylabel("Precision, recall and F1")
    _finish(axes, f"Best F1 {_text(assessment.figures['best_f1'])}, IoU at least {assessment.options.iou:g}")


def plot_calibration(assessment: Assessment) -> Figure:
    """Precision against score, and the number of detections in each bin."""
    figure = new_figure(6.4, 6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = assessment.reliability
    widths = np.diff(bins.edges)
    filled = bins.counts > 0
    precision = bins.precision[filled]
    above.plot((0, 1), (0, 1), "--", color=GREY, linewidth=1, label="calibrated")
    above.bar(bins.edges[:-1][filled], precision, widths[filled], align="edge", color=BLUE, alpha=0.35, edgecolor=BLUE)
    above.plot(
        bins.confidence[filled],
        precision,
        "o-",
        color=BLUE,
        markersize=4,
        label="detections, at their mean score",
    )
    if not filled.any():
        _say_undefined(above, "no detection")
    above.legend(loc="upper left")
    above.set_ylabel("Precision")
    _finish(
        above, f"Expected calibration error {_text(assessment.figures['ece'])}, IoU at least {assessment.options.iou:g}"
    )
    below.bar(bins.edges[:-1], bins.counts, widths, align="edge", color=GREY, edgecolor="white")
    if filled.any():
        below.set_yscale("log")
        below.set_ylim(bottom=0.8)
    below.set_ylabel("Detections")
    below.set_xlabel("Score")
    below.set_xlim(0, 1)
    below.grid(alpha=0.3)
    return figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this width and height, inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require("matplotlib")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)


def _say_undefined(axes: Axes, reason: str) -> None:
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=GREY, wrap=True)


def _text(figure: Interval) -> str:
    if np.isnan(figure.value):
        return "not defined"
    interval = "" if np.isnan(figure.low) else f" (95%: {figure.low:.3f} to {figure.high:.3f})"
    return f"{figure.value:.3f}{interval}"

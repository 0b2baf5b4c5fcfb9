"""Plots of a run's metrics by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.evaluation.plots import BLUE, GREEN, GREY, ORANGE, RED, new_figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

WIDTH, HEIGHT = 5.4, 3.2
"""Size of a plot, inches."""

CURVES: dict[str, dict[str, tuple[str, str]]] = {
    "Classification loss": {"loss_class": ("", BLUE)},
    "Box loss": {"loss_box": ("", BLUE)},
    "Held-out images": {
        "froc": ("FROC", BLUE),
        "ap50": ("AP50", ORANGE),
        "recall": ("recall", GREEN),
        "precision": ("precision", RED),
        "f1": ("F1", GREY),
    },
    "Learning rate": {"rate": ("", GREY)},
}
"""For each plot, the columns of the table of epochs that it shows, with their labels and colours."""


def plot_history(
    history: Sequence[Mapping[str, float]],
    best_epoch: int | None,
    curves: Mapping[str, Mapping[str, tuple[str, str]]] = CURVES,
) -> dict[str, Figure]:
    """Plots of the metrics by epoch, by title; a plot of which nothing was measured is left out.

    Args:
        history: the metrics of each epoch.
        best_epoch: the epoch to mark; None to mark none.
        curves: for each plot, the columns that it shows, with their labels and colours.
    """
    plots = {}
    for title, shown in curves.items():
        measured = {column: style for column, style in shown.items() if column in history[-1]}
        if measured:
            plots[title] = _plot(title, history, measured, best_epoch)
    return plots


def _plot(
    title: str,
    history: Sequence[Mapping[str, float]],
    curves: Mapping[str, tuple[str, str]],
    best_epoch: int | None,
) -> Figure:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - matplotlib is optional, and slow to import

    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.subplots()
    epochs = [row["epoch"] for row in history]
    for column, (label, colour) in curves.items():
        values = [row.get(column, float("nan")) for row in history]
        marker = "o" if len(history) < 30 else ""  # more would run into each other
        axes.plot(epochs, values, marker=marker, markersize=3, color=colour, label=label)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1, label="best epoch" if len(curves) > 1 else "")
    if len(curves) > 1:
        axes.legend(loc="best", fontsize=8)
        axes.set_ylim(-0.02, 1.02)
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Epoch")
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.3)
    return figure

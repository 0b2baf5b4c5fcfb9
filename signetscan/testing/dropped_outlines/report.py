"""Tables and a plot of the experiment's figures."""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from scipy import stats

from signetscan.atomic import atomic_text, make_folder
from signetscan.testing.dropped_outlines.methods import METHODS, RATES, REFERENCE
from signetscan.testing.run_tables import write_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Row = Mapping[str, str]

FOUND = ("dice", "precision", "recall", "glands", "in_normal")
"""Figures at a threshold."""
COLUMNS = (
    "method",
    "dropped",
    "seed",
    "steps",
    "kept",
    "pixels_kept",
    "without",
    "ap",
    "auc",
    "image_auc",
    "best_dice",
    *(f"{name}_at_half" for name in FOUND),
    "threshold",
    *(f"{name}_chosen" for name in FOUND),
    "kept_recall",
    "dropped_recall",
    "seconds_training",
    "seconds",
)
TABLES = {
    "dice_at_half": "Dice at probability 0.5, where a place is called the likelier class, as `signetscan segment` does",
    "dice_chosen": "Dice at the threshold with the highest Dice on other cases, with as many outlines dropped",
    "best_dice": "Dice at the best threshold on the test images themselves, which nobody can know",
    "ap": "AP of places, whatever the threshold",
    "auc": "AUC of places",
    "image_auc": "AUC of images, by the mean of the highest 1%",
    "glands_at_half": "Glands found at probability 0.5: more than half of their places",
    "glands_chosen": "Glands found at the chosen threshold",
    "precision_at_half": "Precision of places at probability 0.5 (1 where nothing is found)",
    "precision_chosen": "Precision of places at the chosen threshold",
    "in_normal_at_half": "Part of benign images that is called a lesion, at probability 0.5",
    "in_normal_chosen": "Part of benign images that is called a lesion, at the chosen threshold",
    "threshold": "The chosen threshold",
    "kept_recall": "Recall, in training images, of places that were outlined (0.5)",
    "dropped_recall": "Recall, in training images, of places whose outlines were dropped (0.5)",
}
PLOTTED = ("dice_at_half", "dice_chosen", "ap", "image_auc")
COMPARED = ("dice_at_half", "dice_chosen", "glands_at_half", "ap", "image_auc")
"""Figures whose differences from `REFERENCE` are told."""
COVERAGE = 0.95


def write_report(folder: Path, data: str, rows: Sequence[Row]) -> None:
    """Write `dropped-outlines-DATA.md`, `.png` and `.csv` into a folder."""
    make_folder(folder)
    stem = f"dropped-outlines-{data}"
    lines = _differences(rows)
    for column, title in TABLES.items():
        if any(row.get(column) for row in rows):
            lines += [f"**{title}**", "", *_table(rows, column), ""]
    with atomic_text(folder / f"{stem}.md") as file:
        file.write("\n".join(lines))
    order = list(METHODS)
    in_order = sorted(rows, key=lambda row: (row["seed"], row["dropped"], order.index(row["method"])))
    write_rows(folder / f"{stem}.csv", COLUMNS, in_order)
    plot(folder / f"{stem}.png", rows)


def by_seed(rows: Sequence[Row], method: str, rate: float, column: str) -> dict[str, float]:
    """One figure by its seed."""
    return {
        row["seed"]: float(row[column])
        for row in rows
        if row["method"] == method and float(row["dropped"]) == rate and row.get(column)
    }


def paired_difference(
    rows: Sequence[Row], method: str, rate: float, column: str
) -> tuple[float, float, float, int] | None:
    """Mean of the differences from `REFERENCE` over the seeds that both have, its 95% interval, and their number.

    The interval is Student's: it takes the differences for normally distributed, and with three seeds is wide.
    None with fewer than two seeds.
    """
    ours, theirs = (by_seed(rows, name, rate, column) for name in (method, REFERENCE))
    differences = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    count = len(differences)
    if count < 2:
        return None
    reach = float(stats.t.ppf((1 + COVERAGE) / 2, count - 1)) * stdev(differences) / count**0.5
    return mean(differences), mean(differences) - reach, mean(differences) + reach, count


def _differences(rows: Sequence[Row]) -> list[str]:
    """Differences from the reference, with intervals."""
    lines: list[str] = []
    for column in COMPARED:
        lines += [
            f"**{TABLES[column]}: difference from {METHODS[REFERENCE].title} with the same images, outlines and seed**",
            "",
            *_heading(("method",)),
        ]
        for method, about in _shown(rows):
            if method != REFERENCE:
                cells = (_difference_cell(paired_difference(rows, method, rate, column)) for rate in RATES)
                lines.append(f"| {about} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def _difference_cell(found: tuple[float, float, float, int] | None) -> str:
    if found is None:
        return ""
    middle, low, high, count = found
    return f"{middle:+.3f} ({low:+.3f} to {high:+.3f})" + ("" if count == 3 else f", {count} seeds")


def _shown(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Names and titles of the methods that have runs."""
    names = {row["method"] for row in rows}
    return [(name, method.title) for name, method in METHODS.items() if name in names]


def _heading(first: tuple[str, ...]) -> list[str]:
    columns = [*first, *(f"{rate:.0%}" for rate in RATES)]
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def _table(rows: Sequence[Row], column: str) -> list[str]:
    """One figure by method and rate: mean and standard deviation over seeds."""
    lines = _heading(("method",))
    for method, title in _shown(rows):
        cells = (_cell(list(by_seed(rows, method, rate, column).values())) for rate in RATES)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _cell(numbers: Sequence[float]) -> str:
    if not numbers:
        return ""
    return f"{mean(numbers):.3f}" + (f" ± {stdev(numbers):.3f}" if len(numbers) > 1 else ", 1 seed")


def plot(path: Path, rows: Sequence[Row]) -> None:
    """Figures against the rate, with one standard deviation over seeds."""
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    shown = [column for column in PLOTTED if any(row.get(column) for row in rows)]
    for axes, column in zip(figure.subplots(1, len(shown)), shown, strict=True):
        for index, (method, title) in enumerate(_shown(rows)):
            points = [(rate, list(by_seed(rows, method, rate, column).values())) for rate in RATES]
            points = [(rate, numbers) for rate, numbers in points if numbers]
            axes.errorbar(
                # Shifted sideways, or the bars of all methods would lie on top of each other.
                [100 * rate + 0.6 * (index - 2) for rate, _ in points],
                [mean(numbers) for _, numbers in points],
                [stdev(numbers) if len(numbers) > 1 else 0.0 for _, numbers in points],
                marker="o",
                markersize=4,
                capsize=3,
                color=f"C{index}",
                label=title,
            )
        short = {"dice_at_half": "Dice at 0.5", "dice_chosen": "Dice at the chosen threshold"}
        axes.set(xlabel="outlines dropped in training, %", title=short.get(column, TABLES[column].partition(",")[0]))
        axes.set_xticks([100 * rate for rate in RATES])
        axes.set_xlim(-5, 75)
        axes.set_ylim(0 if column == "dice_at_half" else 0.5, 1)
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.savefig(path, dpi=110)

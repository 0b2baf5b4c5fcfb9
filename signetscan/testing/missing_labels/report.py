"""Tables and a plot of the experiment's figures, next to the paper's."""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from signetscan.atomic import atomic_text, make_folder
from signetscan.testing.missing_labels.methods import METHODS, RATES
from signetscan.testing.run_tables import write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUBMITTED = (0.3, 0.5)
"""Lowest scores of a list of detections to submit. The paper's FROC is of such a list, as in the challenge, and the
paper does not state its lowest score. A loss that lowers the scores of cells loses them from the list, even if it still
ranks them above everything else."""

AT_THRESHOLD = ("threshold", "recall", "precision", "f1")
"""Figures at a threshold that was chosen on other images, if there are any."""

COLUMNS = (
    "method",
    "missing",
    "seed",
    "steps",
    "froc",
    *(f"{name}_from_{least}" for least in SUBMITTED for name in ("froc", "recall", "precision", "fps")),
    "ap50",
    *AT_THRESHOLD,
    "kept_recall",
    "dropped_recall",
    "mined",
    "mined_right",
    "seconds",
)

PAPER = {
    "ce": {0.2: 0.5255, 0.3: 0.4490, 0.4: 0.3870, 0.5: 0.3513, 0.6: 0.2682, 0.7: 0.1866},
    "focal": {0.2: 0.4541, 0.3: 0.3856, 0.4: 0.2719, 0.5: 0.2172, 0.6: 0.1837, 0.7: 0.1050},
    "ghm-c": {0.2: 0.6545, 0.3: 0.6968, 0.4: 0.6480, 0.5: 0.6669, 0.6: 0.5138, 0.7: 0.4089},
    "dghm-c": {0.2: 0.8630, 0.3: 0.8331, 0.4: 0.7922, 0.5: 0.7412, 0.6: 0.7128, 0.7: 0.6720},
}
"""FROC in the paper's table 4, on DigestPath, whose boxes are assumed to be complete."""

TABLES = {
    "froc": "FROC by rank: all detections, down to score 0.001",
    "froc_from_0.3": "FROC of a submitted list: detections of score 0.3 and more",
    "froc_from_0.5": "FROC of a submitted list: detections of score 0.5 and more",
    "precision_from_0.3": "Precision of that list from score 0.3, in images with cells",
    "ap50": "AP at IoU 0.5",
    "recall": "Recall at the threshold chosen on other images, with as many boxes missing",
    "precision": "Precision at that threshold, in images with cells",
    "f1": "F1 at that threshold",
    "kept_recall": "Recall, in the training images, of the boxes it learnt from (score 0.3 and more)",
    "dropped_recall": "Recall, in the training images, of the boxes that were dropped (score 0.3 and more)",
}
PLOTTED = ("froc", "froc_from_0.3", "froc_from_0.5")
BESIDE_PAPER = ("froc_from_0.3", "froc_from_0.5")
"""The paper's FROC is of a submitted list."""


def write_report(folder: Path, data: str, rows: Sequence[dict[str, str]]) -> None:
    """Write `missing-labels-DATA.md`, `.png` and `.csv` into a folder."""
    make_folder(folder)
    stem = f"missing-labels-{data}"
    lines: list[str] = []
    for column, title in TABLES.items():
        if not any(row.get(column) for row in rows):
            continue
        lines += [f"**{title}**", "", *table_lines(rows, column), ""]
    lines += [*mining_lines(rows)]
    with atomic_text(folder / f"{stem}.md") as file:
        file.write("\n".join(lines))
    in_order = sorted(rows, key=lambda row: (row["seed"], row["missing"], row["method"]))
    write_rows(folder / f"{stem}.csv", list(rows[0]), in_order)
    plot(folder / f"{stem}.png", data, rows)


def values(rows: Sequence[dict[str, str]], method: str, rate: float, column: str) -> list[float]:
    """One figure for all seeds, in the order of the seeds."""
    chosen = [row for row in rows if row["method"] == method and float(row["missing"]) == rate and row.get(column)]
    return [float(row[column]) for row in sorted(chosen, key=lambda row: int(row["seed"]))]


def cell(numbers: Sequence[float]) -> str:
    """Mean and standard deviation over seeds."""
    if not numbers:
        return ""
    return f"{mean(numbers):.3f}" + (f" ± {stdev(numbers):.3f}" if len(numbers) > 1 else "")


def table_lines(rows: Sequence[dict[str, str]], column: str) -> list[str]:
    """One figure by method and missing rate."""
    lines = [
        "| method | seeds | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " |",
        "|---" * (len(RATES) + 2) + "|",
    ]
    for method, about in METHODS.items():
        if about.aside and not any(row["method"] == method for row in rows):
            continue
        seeds = len({row["seed"] for row in rows if row["method"] == method})
        cells = (cell(values(rows, method, rate, column)) for rate in RATES)
        lines.append(f"| {about.title} | {seeds} | {' | '.join(cells)} |")
        if column in BESIDE_PAPER and method in PAPER:
            paper = (f"{PAPER[method][rate]:.3f}" if rate in PAPER[method] else "" for rate in RATES)
            lines.append(f"| *the paper's, DigestPath* | | {' | '.join(paper)} |")
    return lines


def mining_lines(rows: Sequence[dict[str, str]]) -> list[str]:
    """Numbers of pseudo-labels, and of those that lie on a dropped box."""
    lines = ["**Boxes added as pseudo-labels, and how many of them are right**", ""]
    lines += ["| | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " |", "|---" * (len(RATES) + 1) + "|"]
    for column, title in (("mined", "added"), ("mined_right", "right")):
        counts = (values(rows, "repair", rate, column) for rate in RATES)
        lines.append(f"| {title} | {' | '.join(f'{mean(numbers):.0f}' if numbers else '' for numbers in counts)} |")
    return [*lines, ""]


def plot(path: Path, data: str, rows: Sequence[dict[str, str]]) -> None:
    """FROC against the missing rate, both ways, with one standard deviation over seeds."""
    figure = Figure(figsize=(14, 4.8), layout="constrained")
    panels = figure.subplots(1, len(PLOTTED))
    for axes, column in zip(panels, PLOTTED, strict=True):
        usual = ((method, about) for method, about in METHODS.items() if not about.aside)
        for index, (method, about) in enumerate(usual):
            points = [(100 * rate, values(rows, method, rate, column)) for rate in RATES]
            points = [(rate, numbers) for rate, numbers in points if numbers]
            axes.errorbar(
                # Shifted sideways, or the bars of all methods would lie on top of each other.
                [rate + 0.4 * (index - 2) for rate, _ in points],
                [mean(numbers) for _, numbers in points],
                [stdev(numbers) if len(numbers) > 1 else 0.0 for _, numbers in points],
                marker="o",
                markersize=4,
                capsize=3,
                color=f"C{index}",
                label=about.title,
            )
            if column in BESIDE_PAPER and method in PAPER:
                paper = PAPER[method]
                axes.plot([100 * rate for rate in paper], list(paper.values()), ":", color=f"C{index}", alpha=0.6)
        axes.set(
            xlabel="boxes missing in training, %",
            ylim=(0.7 if column == "froc" else 0, 1),
            title=TABLES[column].replace(": ", ":\n"),
        )
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("FROC on full truth")
    figure.suptitle(f"{data.capitalize()} images (solid); the paper's on DigestPath (dotted)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=120)

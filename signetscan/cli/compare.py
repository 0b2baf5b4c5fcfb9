"""`signetscan compare`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from signetscan.cli.console import FILE, json_result, note, result
from signetscan.cli.flags import flags_of, given
from signetscan.evaluation.options import CompareOptions, ComparisonPageOptions

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation.compare import Comparison, Figures


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@flags_of(CompareOptions, ComparisonPageOptions)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each slide.")
@click.option("--quiet", "-q", is_flag=True, help="Print no notes on what was left out.")
def compare(a: Path, b: Path, *, as_json: bool, quiet: bool, **values: object) -> None:
    """Compare runs or reviewers on the same slides.

    A and B are each a file (GeoJSON, CSV, XML) or a folder of them, paired by name. If B is a reviewer's, A is
    evaluated against it; if the reviewer marked regions, only objects in them count. If both are marks made in the
    viewer, it prints how the reviewers agree: kappa of what both judged, and F1 of the cells they found.

    Example: signetscan compare results-old results-new --out comparison --slide slides
    """
    page = given(ComparisonPageOptions, values)

    from signetscan.reports.comparison import compare_files

    compared = compare_files(a, b, given(CompareOptions, values), page)
    for line in compared.notes:
        note(f"Note: {line}", quiet=quiet)
    if as_json:
        for slide in compared.comparison.slides:
            figures = compared.comparison.figures([slide])
            json_result({"slide": slide.name} | _plain(figures))
        return
    for line in _table(compared.comparison):
        result(line)
    if compared.page is not None:
        result(f"  {compared.page}")


def _plain(figures: Figures) -> dict[str, float | int | None]:
    """Figures for JSON; those that are not defined are None."""
    values: dict[str, float | int] = {
        name: getattr(figures, name) for name in ("a", "b", "both", "only_a", "only_b", "agreement")
    }
    if figures.judged is not None:
        judged = figures.judged
        values |= {"judged_by_both": judged.total, "judged_alike": judged.agreed, "kappa": judged.kappa}
    elif figures.scores is None:
        values |= {name: getattr(figures, name) for name in ("score_change_mean", "score_change_largest")}
    else:
        scores = figures.scores
        values |= {"recall": scores.recall, "precision": scores.precision, "froc": scores.froc}
        values |= {"fps_score": scores.fps_score}
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()}


def _table(comparison: Comparison) -> list[str]:
    """Lines of a table: one for each slide, and one for all together."""
    rows = [(slide.name, _plain(comparison.figures([slide]))) for slide in comparison.slides]
    if len(rows) > 1:
        rows.append(("all", _plain(comparison.figures())))
    width = max(5, *(len(name) for name, _ in rows))
    headings = {
        "a": "A",
        "b": "B",
        "both": "both",
        "only_a": "only A",
        "only_b": "only B",
        "agreement": "F1" if comparison.by_two else "agreement",
        "judged_by_both": "judged by both",
        "judged_alike": "alike",
        "kappa": "kappa",
        "recall": "recall",
        "precision": "precision",
        "froc": "FROC",
        "fps_score": "FPs score",
        "score_change_mean": "mean change",
        "score_change_largest": "largest change",
    }
    # Scores against a reviewer and score changes between runs exclude each other.
    shown = {name: heading for name, heading in headings.items() if name in rows[0][1]}
    lines = [f"{'slide':{width}}" + "".join(f"{heading:>{_width(heading)}}" for heading in shown.values())]
    for name, figures in rows:
        cells = (f"{_text(figures[figure]):>{_width(heading)}}" for figure, heading in shown.items())
        lines.append(f"{name:{width}}" + "".join(cells))
    if comparison.by_two and rows[-1][1]["kappa"] is None:
        lines.append("kappa is unknown: no box that both judged, or each always said the same")
    if comparison.by_reviewer and rows[-1][1]["froc"] is None:
        lines.append("FROC is unknown: no normal image, or no cell")
    return lines


def _width(heading: str) -> int:
    return max(8, len(heading) + 2)


def _text(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"

"""`signetscan compare`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from signetscan.cli.console import FILE, note

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.evaluation.compare import Comparison, Figures


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--iou", default=0.3, help="Least IoU of two boxes that are of the same cell.")
@click.option("--threshold", default=0.0, help="Score from which detections count.")
@click.option("--class", "class_name", help="Class to compare, in any case.  [default: the only one there is]")
@click.option(
    "--reader/--no-reader",
    default=None,
    help="B is a reader's annotations, by which A is judged.  [default: if it has regions, or objects without a score]",
)
@click.option(
    "--bounds-crop/--no-bounds-crop",
    default=True,
    help="GeoJSON of B counts from the slide's bounds, as QuPath shows it, or from level 0.",
)
@click.option("--out", "-o", type=FILE, help="Folder for comparison.html.  [default: no page]")
@click.option(
    "--slide",
    "where",
    type=FILE,
    help="The slide, or a folder that holds all slides, for pictures in --out.  [default: no pictures]",
)
@click.option("--pictures", type=click.IntRange(min=0, max=500), default=24, help="Most pictures of each kind.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a slide.")
@click.option("--quiet", "-q", is_flag=True, help="No notes on what was left out.")
def compare(
    a: Path,
    b: Path,
    out: Path | None,
    where: Path | None,
    pictures: int,
    *,
    bounds_crop: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401 - click's values
) -> None:
    """Compare two runs, or a run and an annotator, on the same slides.

    A and B are each a file (GeoJSON, CSV, XML) or a folder of them, paired by name. Where B is an annotator's, A is
    judged by it; where the annotator marked regions, only what lies in them counts.

    Example: signetscan compare results-old results-new --out comparison --slide slides
    """
    from signetscan.evaluation.compare import CompareOptions, compare_results

    if where is not None and out is None:
        message = "--slide is for the pictures of a page: name a folder for it with --out"
        raise click.UsageError(message)
    comparison = compare_results(a, b, CompareOptions(b_in_level0=not bounds_crop, **options))
    for line in comparison.notes:
        note(f"Note: {line}", quiet=quiet)
    page = None
    if out is not None:
        from signetscan.atomic import make_folder
        from signetscan.reports.comparison import write_comparison

        make_folder(out)
        slides = {} if where is None else _slides(comparison, where, quiet=quiet)
        names = (a.name, b.name) if a.name != b.name else (_with_folder(a), _with_folder(b))
        page = write_comparison(out, comparison, a=names[0], b=names[1], slides=slides, limit=pictures)
    if as_json:
        for one in comparison.slides:
            click.echo(json.dumps({"slide": one.name} | _plain(comparison.figures([one])), ensure_ascii=False))
        return
    click.echo("\n".join(_table(comparison)))
    if page is not None:
        click.echo(f"  {page}")


def _with_folder(path: Path) -> str:
    """A name with that of the folder that it is in, and no more: paths may tell whose slides they are."""
    return "/".join(path.resolve().parts[-2:])


def _slides(comparison: Comparison, where: Path, *, quiet: bool) -> dict[str, Path]:
    """File of each slide by its name; what is not there is said, and has no pictures."""
    from signetscan.errors import ResultError
    from signetscan.results.lookup import slide_named, slide_of

    slides = {}
    for one in comparison.slides:
        try:
            slides[one.name] = slide_named(one.name, where) if one.record is None else slide_of(one.record, where)
        except ResultError as error:
            note(f"Note: no pictures of {one.name}: {error}", quiet=quiet)
    return slides


def _plain(figures: Figures) -> dict[str, float | int | None]:
    """Figures for JSON; what is not defined is None."""
    values: dict[str, float | int] = {
        name: getattr(figures, name) for name in ("a", "b", "both", "only_a", "only_b", "agreement")
    }
    if figures.scores is None:
        values |= {name: getattr(figures, name) for name in ("score_change_mean", "score_change_largest")}
    else:
        scores = figures.scores
        froc = scores.froc if scores.normals else math.nan
        values |= {"recall": scores.recall, "precision": scores.precision, "froc": froc, "fps_score": scores.fps_score}
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values.items()}


def _table(comparison: Comparison) -> list[str]:
    """Lines of a table: one a slide, and their sum."""
    rows = [(one.name, _plain(comparison.figures([one]))) for one in comparison.slides]
    if len(rows) > 1:
        rows.append(("all", _plain(comparison.figures())))
    width = max(5, *(len(name) for name, _ in rows))
    heads = {
        "a": "A",
        "b": "B",
        "both": "both",
        "only_a": "only A",
        "only_b": "only B",
        "agreement": "agreement",
        "recall": "recall",
        "precision": "precision",
        "froc": "FROC",
        "fps_score": "FPs score",
        "score_change_mean": "mean change",
        "score_change_largest": "largest change",
    }
    shown = [name for name in heads if name in rows[0][1]]
    lines = [f"{'slide':{width}}" + "".join(f"{heads[name]:>{_width(heads[name])}}" for name in shown)]
    for slide, figures in rows:
        lines.append(f"{slide:{width}}" + "".join(f"{_text(figures[name]):>{_width(heads[name])}}" for name in shown))
    return lines


def _width(head: str) -> int:
    return max(8, len(head) + 2)


def _text(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"

"""A comparison as one HTML file: figures of each slide, and pictures of boxes that only one side has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.atomic import make_folder
from signetscan.dataset import MPP
from signetscan.errors import ResultError
from signetscan.evaluation.compare import compare_results
from signetscan.evaluation.options import ComparisonPageOptions
from signetscan.reports.crops import LARGEST_PX, crop_uri
from signetscan.reports.page import write_page
from signetscan.reports.pictures import BoxColour
from signetscan.results.lookup import locate_slide, slide_named
from signetscan.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from signetscan.boxes import Box
    from signetscan.detections import Detections
    from signetscan.evaluation.compare import Comparison
    from signetscan.evaluation.options import CompareOptions

PAGE = "comparison.html"
SHOWN = 24
"""Default number of pictures of each kind."""
WINDOW_UM = 32.0
"""Side of a picture, µm: a large cell and its neighbours."""
ROWS = 500
"""Most slides in the table of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A box that only one side has."""

    slide: str
    """Name of the slide."""
    box: Box
    """Level-0 pixels."""
    score: float | None
    """None for a box of a reviewer."""
    uri: str = ""
    """The picture; see `crop_uri`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparisonResult:
    """A comparison and its page."""

    comparison: Comparison
    """The figures."""
    notes: tuple[str, ...]
    """What was left out or assumed, and which slides have no pictures."""
    page: Path | None
    """The page; None if none was requested."""


def compare_files(
    a: Path, b: Path, options: CompareOptions | None = None, page: ComparisonPageOptions | None = None
) -> ComparisonResult:
    """Compare two runs, or a run and a reviewer, and write a page if a folder is given.

    Args:
        a: a file of detections (GeoJSON, CSV or XML), or a folder of them.
        b: the same, of another run or by a reviewer; see `compare_results`.
        options: how to compare.
        page: whether and how to write a page; none by default.

    Raises:
        AnnotationError: a file cannot be used, or no slide is in both.
        ResultError: results are damaged, or all slides failed.
        OptionError: the folder of slides for the pictures holds none.
        SlideError: a slide cannot be read.
        OutputError: the page cannot be written.
    """
    page = page or ComparisonPageOptions()
    comparison = compare_results(a, b, options)
    if page.out is None:
        return ComparisonResult(comparison=comparison, notes=comparison.notes, page=None)
    make_folder(page.out)
    slides, missing = ({}, []) if page.slide is None else _slides(comparison, page.slide)
    names = (a.name, b.name) if a.name != b.name else (_with_folder(a), _with_folder(b))
    by = (None, None) if options is None else (options.a_by, options.b_by)
    names = (_with_reviewer(names[0], by[0]), _with_reviewer(names[1], by[1]))
    written = write_comparison(page.out, comparison, a=names[0], b=names[1], slides=slides, limit=page.pictures)
    return ComparisonResult(comparison=comparison, notes=(*comparison.notes, *missing), page=written)


def _with_folder(path: Path) -> str:
    """The name of a path with that of its folder, and no more: longer paths may reveal whose slides they are."""
    return "/".join(path.resolve().parts[-2:])


def _with_reviewer(name: str, reviewer: str | None) -> str:
    """The name of a side, with whose marks it has."""
    return name if reviewer is None else f"{reviewer or 'no name'} ({name})"


def _slides(comparison: Comparison, where: Path) -> tuple[dict[str, Path], list[str]]:
    """File of each slide by its name, and why others have no pictures."""
    slides, missing = {}, []
    for slide in comparison.slides:
        try:
            slides[slide.name] = (
                slide_named(slide.name, where) if slide.record is None else locate_slide(slide.record, where)
            )
        except ResultError as error:
            missing.append(f"no pictures of {slide.name}: {error}")
    return slides, missing


def write_comparison(
    folder: Path, comparison: Comparison, *, a: str, b: str, slides: Mapping[str, Path], limit: int = SHOWN
) -> Path:
    """Write `comparison.html` into a folder.

    Args:
        folder: an existing folder.
        comparison: what to show.
        a: name of A on the page.
        b: name of B on the page.
        slides: file of each slide by its name, for pictures; a slide that is not listed has none.
        limit: most pictures of each kind. Those of detections have the highest scores; those of a reviewer's boxes are
            spread evenly over the slides.

    Returns:
        The page's path.

    Raises:
        SlideError: a slide cannot be read.
        OutputError: the page cannot be written.
    """
    pictured = [slide for slide in comparison.slides if slide.name in slides]
    groups = []
    for side, name, colour in (("only_a", a, BoxColour.FALSE_POSITIVE), ("only_b", b, BoxColour.MISS)):
        scored = not comparison.by_two and not (side == "only_b" and comparison.by_reviewer)
        disagreements = [
            disagreement
            for slide in pictured
            for disagreement in _disagreements(slide.name, getattr(slide, side), scored=scored)
        ]
        crops = _pictures(_picked(disagreements, limit, scored=scored), slides, colour)
        groups.append({"side": side, "name": name, "colour": colour, "crops": crops, "in_all": len(disagreements)})
    total = comparison.figures()
    page = folder / PAGE
    write_page(
        page,
        "comparison.html",
        a=a,
        b=b,
        comparison=comparison,
        total=total,
        rows=[(slide.name, comparison.figures([slide])) for slide in comparison.slides[:ROWS]],
        groups=groups,
        pictured=len(pictured),
        window_um=WINDOW_UM,
    )
    return page


def _disagreements(slide: str, detections: Detections, *, scored: bool) -> list[Disagreement]:
    rows = zip(detections.boxes.tolist(), detections.scores.tolist(), strict=True)
    return [
        Disagreement(slide=slide, box=(x0, y0, x1, y1), score=score if scored else None)
        for (x0, y0, x1, y1), score in rows
        if max(x1 - x0, y1 - y0) <= LARGEST_PX  # larger boxes are no cells
    ]


def _picked(disagreements: Sequence[Disagreement], limit: int, *, scored: bool) -> list[Disagreement]:
    if scored:
        return sorted(disagreements, key=lambda disagreement: -(disagreement.score or 0))[:limit]
    steps = np.linspace(0, len(disagreements) - 1, min(limit, len(disagreements))).round().astype(int).tolist()
    return [disagreements[step] for step in steps]


def _pictures(
    disagreements: Sequence[Disagreement], slides: Mapping[str, Path], colour: BoxColour
) -> list[Disagreement]:
    """Disagreements with their pictures, in the same order."""
    pictured: dict[int, Disagreement] = {}
    # Slide by slide, so that each is opened once.
    for name in sorted({disagreement.slide for disagreement in disagreements}):
        # A picture needs no exact mpp, so a slide that does not give one is taken to have the usual one.
        with open_slide(slides[name], default_mpp=MPP) as slide:
            for index, disagreement in enumerate(disagreements):
                if disagreement.slide == name:
                    uri = crop_uri(slide, disagreement.box, colour, window_um=WINDOW_UM)
                    pictured[index] = replace(disagreement, uri=uri)
    return [pictured[index] for index in range(len(disagreements))]

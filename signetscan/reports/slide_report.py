"""The report of one slide: a page that shows its detections, where they are, and how sure the model is of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.reports.crops import WINDOW_UM, make_crops, pick
from signetscan.reports.density_layer import CLEAR, STOPS, area_density, map_uri
from signetscan.reports.hot_spots import AREA_MM2, SIDE_UM, STEPS, find_hot_spots
from signetscan.reports.overview import make_overview, outline_path
from signetscan.reports.page import write_page
from signetscan.reports.run_facts import run_facts
from signetscan.reports.scores import LAST, axis_ticks, bars, density_text, first_bin, score_bins
from signetscan.scan.tissue import find_tissue

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.reports.overview import Overview, ShownArea
    from signetscan.reports.run_facts import RunFacts
    from signetscan.results.run_record import RunRecord
    from signetscan.scan.tissue import TissueMask
    from signetscan.slides import Slide

CROPS = 24
"""Most crops of each kind: enough to see a pattern, few enough to look at each."""
HOT_SPOTS = 3
"""Most hot spots."""
MOST_UNREAD = 200
"""Most unread areas that are drawn; the run record lists all."""
MOST_LISTED = 20
"""Most unread areas in the table."""
SCALE_BARS_UM = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
"""Possible lengths of the scale bar, µm."""
SCALE_BAR_SHARE = 0.25
"""Longest scale bar as a fraction of the width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """A rectangle on the overview, in per cent of the overview's width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSpot:
    """A hot spot on the page."""

    number: int
    rectangle: Rectangle
    count: int
    tissue_mm2: float | None
    """Area of the tissue in the hot spot, mm²; None where it is not known."""
    density: str
    """Detections per mm² of that tissue."""
    x: float
    """Centre, level-0 pixels."""
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBar:
    """The scale bar on the overview."""

    width: float
    """Per cent of the overview's width."""
    label: str


def write_slide_report(path: Path, slide: Slide, scanned: ScannedSlide, record: RunRecord) -> None:
    """Write the report of a slide: one HTML file that needs no other.

    Args:
        path: the file.
        slide: the slide, opened with the mpp with which it was scanned.
        scanned: its detections.
        record: its run record.

    Raises:
        MppError: the slide's pixel size is unknown.
        ResultError: the record lacks an option that the report shows.
        OutputError: the file cannot be written.
    """
    facts = run_facts(record)
    overview = make_overview(slide)
    # Made as for the scan; what cannot be read then counts as tissue, but not all of the slide.
    tissue = None
    if overview.is_readable:
        tissue = find_tissue(slide, min_area_um2=facts.min_tissue_um2, allow_unread=True)
    # A scan without a tissue mask recorded no area; then it is that of the mask made here.
    area_mm2 = facts.tissue_mm2 if facts.tissue_mm2 is not None else None if tissue is None else tissue.area_mm2
    points = centres(scanned.detections.boxes)
    best, borderline = pick(scanned.detections.scores, CROPS)
    write_page(
        path,
        "slide.html",
        name=scanned.name,
        facts=facts,
        tissue_mm2=area_mm2,
        overview=overview,
        picture=overview.uri(),
        outline="" if tissue is None else outline_path(tissue, overview.area),
        scale_bar=_scale_bar(overview.area),
        unread=[_rectangle(box, overview.area) for box in facts.unread[:MOST_UNREAD]],
        unread_listed=facts.unread[:MOST_LISTED],
        window_um=WINDOW_UM,
        best=make_crops(slide, scanned, best),
        borderline=make_crops(slide, scanned, borderline),
        **_density(points, overview),
        **_hot_spots(points, scanned, overview.area, tissue, area_mm2),
        **_scores(scanned, facts, area_mm2),
    )


def _density(points: NDArray[Float], overview: Overview) -> dict[str, object]:
    """The density map, its highest value, the spread of each detection, and the colours as a CSS gradient."""
    if len(points) == 0:
        return {"density": "", "highest": 0.0, "spread_um": 0.0, "gradient": ""}
    density_map = area_density(points, overview.area)
    return {
        "density": map_uri(density_map.density),
        "highest": float(density_map.density.max()),
        "spread_um": density_map.spread_um,
        "gradient": f"transparent {100 * CLEAR:g}%, " + ", ".join(f"rgb{stop}" for stop in STOPS),
    }


def _hot_spots(
    points: NDArray[Float],
    scanned: ScannedSlide,
    area: ShownArea,
    tissue: TissueMask | None,
    area_mm2: float | None,
) -> dict[str, object]:
    """The hot spots; none on a slide with less tissue than the area of one."""
    is_large_enough = area_mm2 is not None and area_mm2 >= AREA_MM2
    hot_spots = find_hot_spots(points, scanned.dimensions, scanned.mpp, most=HOT_SPOTS) if is_large_enough else []
    spots = []
    for number, spot in enumerate(hot_spots, start=1):
        x0, y0, x1, y1 = spot.box
        tissue_mm2 = None if tissue is None else tissue_in(tissue, spot.box)
        spots.append(
            ShownSpot(
                number=number,
                rectangle=_rectangle(spot.box, area),
                count=spot.count,
                tissue_mm2=tissue_mm2,
                density=density_text(spot.count, tissue_mm2),
                x=(x0 + x1) / 2,
                y=(y0 + y1) / 2,
            )
        )
    return {
        "spots": spots,
        "is_large_enough": is_large_enough,
        "spot_mm2": AREA_MM2,
        "spot_side_um": SIDE_UM,
        "spot_step_um": SIDE_UM / STEPS,
    }


def tissue_in(tissue: TissueMask, box: Box) -> float:
    """Area of the tissue in a box (x0, y0, x1, y1, level-0 pixels), mm²."""
    (x0, y0, x1, y1), (width, height) = box, tissue.pixel
    part = tissue.mask[max(round(y0 / height), 0) : round(y1 / height), max(round(x0 / width), 0) : round(x1 / width)]
    return float(np.count_nonzero(part)) * tissue.pixel_um2 / 1e6


def _scores(scanned: ScannedSlide, facts: RunFacts, area_mm2: float | None) -> dict[str, object]:
    """The histogram of scores, and a row of counts for each class and for all classes."""
    bins = score_bins(scanned.detections, len(scanned.class_names))
    names: Iterable[str] = scanned.class_names
    rows = [(name, row) for name, row in zip(names, bins, strict=True)]
    if len(rows) > 1:
        rows.append(("All", bins.sum(axis=0)))
    first = first_bin(bins, facts.threshold)
    shown = bars(bins, first)
    return {
        "rows": [
            {
                "name": name,
                "bins": " ".join(map(str, row.tolist())),
                "count": int(row.sum()),
                "density": density_text(int(row.sum()), area_mm2),
            }
            for name, row in rows
        ],
        "bars": shown,
        "highest_bar": max(bar.count for bar in shown),
        "ticks": axis_ticks(first),
        "first_bin": first,
        "last_bin": LAST,
        "total": len(scanned.detections),
        "total_density": density_text(len(scanned.detections), area_mm2),
    }


def _rectangle(box: Box, area: ShownArea) -> Rectangle:
    """The rectangle of a box (x0, y0, x1, y1, level-0 pixels) on the overview, cut off at its edges."""
    x0, y0 = (min(max(edge, 0), 100) for edge in area.per_cent(box[0], box[1]))
    x1, y1 = (min(max(edge, 0), 100) for edge in area.per_cent(box[2], box[3]))
    return Rectangle(x=x0, y=y0, width=x1 - x0, height=y1 - y0)


def _scale_bar(area: ShownArea) -> ScaleBar | None:
    """The longest scale bar that fits; None if none does."""
    width_um = area.size_um[0]
    length = max((length for length in SCALE_BARS_UM if length <= SCALE_BAR_SHARE * width_um), default=None)
    if length is None:
        return None
    return ScaleBar(width=100 * length / width_um, label=f"{length} µm" if length < 1000 else f"{length // 1000} mm")

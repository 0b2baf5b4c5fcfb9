"""The report of one slide: a page that shows its detections, where they are, and how sure the model is of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres
from signetscan.reports.crops import WINDOW_UM, make_crops, pick
from signetscan.reports.density_layer import CLEAR, STOPS, area_density, map_uri
from signetscan.reports.fields import DrawnLine, FieldPicture, boxes_within, field_uri
from signetscan.reports.hot_spots import AREA_MM2, SIDE_UM, STEPS, find_hot_spots
from signetscan.reports.page import write_page
from signetscan.reports.pictures import BoxColour
from signetscan.reports.run_facts import run_facts
from signetscan.reports.scores import LAST, axis_ticks, bars, density_text, first_bin, score_bins
from signetscan.reports.stage import look_at, make_stage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Box, Float
    from signetscan.formats.scanned_slide import ScannedSlide
    from signetscan.reports.cells_in_tissue import CellsInTissue
    from signetscan.reports.hot_spots import HotSpot
    from signetscan.reports.overview import Overview
    from signetscan.reports.run_facts import RunFacts
    from signetscan.reports.stage import Stage
    from signetscan.results.run_record import RunRecord
    from signetscan.scan.tissue import TissueMask
    from signetscan.slides import Slide

CROPS = 24
"""Most crops of each kind: enough to see a pattern, few enough to look at each."""
HOT_SPOTS = 5
"""Most hot spots."""
MOST_DRAWN = 1000
"""Most boxes that are drawn on the picture of a hot spot, the best first."""
MOST_LISTED = 20
"""Most unread areas in the table."""
OPACITY = 45
"""Opacity of the densest place at first, per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSpot:
    """A hot spot on the page."""

    count: int
    tissue_mm2: float | None
    """Area of the tissue in the hot spot, mm²; None where it is not known."""
    density: str
    """Detections per mm² of that tissue."""
    picture: FieldPicture


def write_slide_report(
    path: Path, slide: Slide, scanned: ScannedSlide, record: RunRecord, in_tissue: CellsInTissue | None = None
) -> None:
    """Write the report of a slide: one HTML file that needs no other.

    Args:
        path: the file.
        slide: the slide, opened with the mpp with which it was scanned.
        scanned: its detections.
        record: its run record.
        in_tissue: the cells in each class of tissue, if that is known.

    Raises:
        MppError: the slide's pixel size is unknown.
        ResultError: the record lacks an option that the report shows.
        OutputError: the file cannot be written.
    """
    facts = run_facts(record)
    overview, tissue = look_at(slide, facts)
    # A scan without a tissue mask recorded no area; then it is that of the mask made here.
    area_mm2 = facts.tissue_mm2 if facts.tissue_mm2 is not None else None if tissue is None else tissue.area_mm2
    points = centres(scanned.detections.boxes)
    best, borderline = pick(scanned.detections.scores, CROPS)
    # On a slide with less tissue than a hot spot, it would be all of it.
    is_large_enough = area_mm2 is not None and area_mm2 >= AREA_MM2
    spots = find_hot_spots(points, scanned.dimensions, scanned.mpp, most=HOT_SPOTS) if is_large_enough else []
    stage = make_stage(overview, facts, tissue, [spot.box for spot in spots])
    write_page(
        path,
        "slide.html",
        name=scanned.name,
        facts=facts,
        tissue_mm2=area_mm2,
        stage=stage,
        opacity=OPACITY,
        unread_listed=facts.unread[:MOST_LISTED],
        window_um=WINDOW_UM,
        best=[(crop, stage.point(crop.x, crop.y)) for crop in make_crops(slide, scanned, best)],
        borderline=[(crop, stage.point(crop.x, crop.y)) for crop in make_crops(slide, scanned, borderline)],
        spots=[_shown_spot(spot, slide, scanned, stage, tissue) for spot in spots],
        is_large_enough=is_large_enough,
        spot_mm2=AREA_MM2,
        spot_side_um=SIDE_UM,
        spot_step_um=SIDE_UM / STEPS,
        in_tissue=in_tissue,
        **_density(points, overview),
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


def _shown_spot(
    spot: HotSpot, slide: Slide, scanned: ScannedSlide, stage: Stage, tissue: TissueMask | None
) -> ShownSpot:
    """A hot spot with its picture, on which all its detections are drawn."""
    x0, y0, x1, y1 = spot.box
    tissue_mm2 = None if tissue is None else tissue_in(tissue, spot.box)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    order = np.argsort(-scanned.detections.scores, kind="stable")
    drawn = boxes_within(scanned.detections.boxes[order], spot.box, MOST_DRAWN)
    return ShownSpot(
        count=spot.count,
        tissue_mm2=tissue_mm2,
        density=density_text(spot.count, tissue_mm2),
        picture=FieldPicture(
            uri=field_uri(slide, spot.box),
            point=stage.point(x, y),
            drawn=(DrawnLine(path=drawn, colour=BoxColour.HIT),),
            x=x,
            y=y,
        ),
    )


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
    first = first_bin(bins, facts.threshold or 0.0)
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

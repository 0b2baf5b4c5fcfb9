"""The report of a segmented slide: where which class of tissue is, how much of it, and what to look at first."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.annotations.outlines import filled
from signetscan.formats.result_files import REGIONS
from signetscan.reports.cells_in_tissue import cells_in_tissue
from signetscan.reports.fields import DrawnLine, FieldPicture, bounds_of, field_uri, lines_within, square_around
from signetscan.reports.page import write_page
from signetscan.reports.pictures import css_colour, picture_uri
from signetscan.reports.run_facts import run_facts
from signetscan.reports.stage import look_at, make_stage
from signetscan.scan.fields import FIELD_UM, PLACE_UM
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.formats.class_areas import ClassArea
    from signetscan.formats.colours import Colour
    from signetscan.reports.overview import ShownArea
    from signetscan.reports.stage import Stage
    from signetscan.results.regions_reading import StoredRegions
    from signetscan.slides import Slide

LAYER_PX = 2400
"""Longer side of the layer of a class, pixels: that of the overview's picture."""
OPACITY = 45
"""Opacity of the classes at first, per cent: what lies beneath can be recognised."""
MOST_LISTED = 20
"""Most unread areas in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownClass:
    """A class on the page."""

    number: int
    """Index of the class."""
    area: ClassArea
    colour: str
    """A CSS colour."""
    layer: str
    """Where the class is, a clear picture in a data URI; empty where it has no region."""
    bar: float
    """Length of its bar, per cent of the longest."""
    is_background: bool
    is_scored: bool


def write_regions_report(path: Path, slide: Slide, stored: StoredRegions) -> None:
    """Write the report of a segmented slide: one HTML file that needs no other.

    Args:
        path: the file.
        slide: the slide, opened with the mpp with which it was scanned.
        stored: its regions and run record.

    Raises:
        MppError: the slide's pixel size is unknown.
        ResultError: the record lacks an option that the report shows.
        AnnotationError: outlines are too long to draw.
        OutputError: the file cannot be written.
    """
    record, regions = stored.record, stored.regions
    facts = run_facts(record)
    overview, tissue = look_at(slide, facts)
    mpp = known_mpp(slide)
    squares = [square_around(field.x, field.y, FIELD_UM, mpp) for field in regions.fields]
    stage = make_stage(overview, facts, tissue, squares)
    classes = _classes(stored, overview.area)
    write_page(
        path,
        "regions.html",
        name=record.slide.name.removesuffix(REGIONS),
        facts=facts,
        regions=regions,
        scored_mm2=sum(area.mm2 for area in regions.classes if area.name in regions.scored),
        scored_share=sum(area.share for area in regions.classes if area.name in regions.scored),
        classes=classes,
        count=sum(area.regions for area in regions.classes),
        stage=stage,
        opacity=OPACITY,
        fields=list(zip(_pictures(slide, stored, stage), regions.fields, strict=True)),
        field_um=FIELD_UM,
        place_um=PLACE_UM,
        in_tissue=cells_in_tissue(stored.target),
        unread_listed=facts.unread[:MOST_LISTED],
    )


def _classes(stored: StoredRegions, area: ShownArea) -> list[ShownClass]:
    """The classes, in the model's order."""
    longest = max((each.mm2 for each in stored.regions.classes), default=0) or 1.0
    return [
        ShownClass(
            number=number,
            area=each,
            colour=css_colour(each.colour),
            layer=_layer_uri(rings, each.colour, area) if rings else "",
            bar=100 * each.mm2 / longest,
            is_background=each.name == stored.regions.background,
            is_scored=each.name in stored.regions.scored,
        )
        for number, (each, rings) in enumerate(zip(stored.regions.classes, stored.rings, strict=True))
    ]


def class_layer(rings: tuple[NDArray[np.float64], ...], area: ShownArea) -> NDArray[np.bool_]:
    """Where regions are on the overview, (rows, columns).

    Args:
        rings: outlines and holes of all regions of a class, level-0 pixels; they do not cross.
        area: the part of the slide that is shown.

    Raises:
        AnnotationError: they are too long to draw.
    """
    step = max(area.width, area.height) / LAYER_PX
    columns, rows = max(round(area.width / step), 1), max(round(area.height / step), 1)
    scale = np.array([columns / area.width, rows / area.height])
    return filled([(ring - (area.x, area.y)) * scale for ring in rings], (rows, columns))


def _layer_uri(rings: tuple[NDArray[np.float64], ...], colour: Colour, area: ShownArea) -> str:
    """Where a class is as a PNG in a data URI, clear elsewhere."""
    picture = Image.fromarray(class_layer(rings, area).astype(np.uint8), "P")
    picture.putpalette(bytes((255, 255, 255, *colour)))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=1, transparency=0)
    return picture_uri(buffer, "image/png")


def _pictures(slide: Slide, stored: StoredRegions, stage: Stage) -> list[FieldPicture]:
    """A picture of each field, with the edges of regions."""
    mpp = known_mpp(slide)
    bounds = [bounds_of(rings) for rings in stored.rings]
    pictures = []
    for field in stored.regions.fields:
        square = square_around(field.x, field.y, FIELD_UM, mpp)
        drawn = (
            DrawnLine(path=lines_within(rings, boxes, square), colour=css_colour(each.colour))
            for each, rings, boxes in zip(stored.regions.classes, stored.rings, bounds, strict=True)
        )
        pictures.append(
            FieldPicture(
                uri=field_uri(slide, square),
                point=stage.point(field.x, field.y),
                drawn=tuple(line for line in drawn if line.path),
                x=field.x,
                y=field.y,
            )
        )
    return pictures

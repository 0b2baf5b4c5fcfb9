"""The overview of a report as a stage: the slide's picture, which zooms, and what all reports show on it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from signetscan.reports.overview import make_overview, outline_path
from signetscan.reports.pictures import picture_uri
from signetscan.scan.tissue import find_tissue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.boxes import Box
    from signetscan.reports.overview import Overview, ShownArea
    from signetscan.reports.run_facts import RunFacts
    from signetscan.scan.tissue import TissueMask
    from signetscan.slides import Slide

MOST_UNREAD = 200
"""Most unread areas that are drawn; the run record lists all."""
SCALE_BARS_UM = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
"""Possible lengths of the scale bar, µm."""
SCALE_BAR_SHARE = 0.25
"""Longest scale bar as a fraction of the width."""
THUMBNAIL = (112, 84)
"""Largest width and height of the thumbnail, pixels: a row of the index stays low."""
THUMBNAIL_QUALITY = 70
"""Quality of the thumbnail's JPEG: some 2 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """A rectangle on the overview, in per cent of the overview's width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBar:
    """The scale bar on the overview."""

    width: float
    """Per cent of the overview's width."""
    label: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """What a stage shows beneath and above the layers of its report."""

    overview: Overview
    picture: str
    """The slide's picture, a data URI."""
    thumbnail: str
    """The same, small, for the index."""
    outline: str
    """The outline of the tissue as an SVG path; empty where there is none."""
    scale_bar: ScaleBar | None
    """None where none fits."""
    unread: tuple[Rectangle, ...]
    """Unread areas."""
    spots: tuple[Rectangle, ...]
    """Frames with numbers from 1."""

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point, level-0 pixels, in per cent of the overview's width and height, within it."""
        across, down = self.overview.area.per_cent(x, y)
        return min(max(across, 0), 100), min(max(down, 0), 100)


def make_stage(overview: Overview, facts: RunFacts, tissue: TissueMask | None, spots: Sequence[Box]) -> Stage:
    """The stage of a report.

    Args:
        overview: the slide's overview.
        facts: what the report says of the run.
        tissue: the slide's tissue; None where it is not known.
        spots: places that get a frame with a number, x0, y0, x1, y1, level-0 pixels.
    """
    area = overview.area
    return Stage(
        overview=overview,
        picture=overview.uri(),
        thumbnail=thumbnail_uri(overview),
        outline="" if tissue is None else outline_path(tissue, area),
        scale_bar=_scale_bar(area),
        unread=tuple(rectangle_of(box, area) for box in facts.unread[:MOST_UNREAD]),
        spots=tuple(rectangle_of(box, area) for box in spots),
    )


def look_at(slide: Slide, facts: RunFacts) -> tuple[Overview, TissueMask | None]:
    """The overview of a slide and its tissue, found as for the scan; None where nothing can be read.

    Raises:
        MppError: the slide's pixel size is unknown.
    """
    overview = make_overview(slide)
    if not overview.is_readable:
        return overview, None
    # What cannot be read counts as tissue, but not all of the slide.
    return overview, find_tissue(slide, min_area_um2=facts.min_tissue_um2, allow_unread=True)


def thumbnail_uri(overview: Overview) -> str:
    """The slide as a small JPEG in a data URI."""
    small = Image.fromarray(overview.pixels)
    small.thumbnail(THUMBNAIL)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return picture_uri(buffer, "image/jpeg")


def rectangle_of(box: Box, area: ShownArea) -> Rectangle:
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

"""Choosing the tiles to read, by an overview of the slide."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import area
from signetscan.errors import SlideError
from signetscan.scan.cover import TileSizes, Tissue, cover
from signetscan.scan.levels import is_same_picture, other_picture
from signetscan.scan.overview import overview_step
from signetscan.scan.survey import survey_slide
from signetscan.scan.tiling import in_strips
from signetscan.scan.tissue import whole_slide
from signetscan.slides.at_mpp import best_level
from signetscan.slides.concerns import Concern, ConcernKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signetscan.boxes import Box
    from signetscan.scan.options import ResolvedReadingOptions
    from signetscan.scan.roi import Roi
    from signetscan.scan.survey import Survey
    from signetscan.scan.tiling import Cut, Tile, TileGrid
    from signetscan.scan.tissue import TissueMask
    from signetscan.slides import SlideAtMpp

logger = logging.getLogger(__name__)

STRIP_BYTES = 1 << 27
"""Decoded bytes of a row of tiles at most: slides are scanned in strips this narrow, so that the overlap of two rows is
still in the cache of decoded pixels when the second row is read."""

SQUARES_IN_TILE = 8
"""Places along the side of a tile, at least, where the plane may be cut."""

NOTHING_TO_SCAN = Concern(
    kind=ConcernKind.TISSUE,
    message="no tissue was found, so nothing was scanned: look at the slide, and scan it without a tissue mask if "
    "there is tissue on it",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanPlan:
    """Which parts of a slide to read."""

    tiles: list[Tile]
    """The tiles to scan, in the order of scanning."""
    tiles_in_grid: int
    """Tiles that would cover the whole slide."""
    tissue_mm2: float | None
    """Area of the tissue mask, mm²; None where none was used."""
    tissue: TissueMask | None
    """Where the slide's tissue is; None if no overview could be read."""
    mask: TissueMask | None
    """What of the slide is to be scanned, whatever the region of interest; None if that is all of it."""
    concerns: tuple[Concern, ...] = ()
    """What is suspicious about the slide."""


def plan_scan(view: SlideAtMpp, cut: Cut, options: ResolvedReadingOptions, roi: Roi | None = None) -> ScanPlan:
    """Choose the tiles to read: those with tissue, within the region of interest if there is one.

    Args:
        view: the slide at the model's mpp.
        cut: how it is cut into tiles.
        options: what of it is read.
        roi: the region of interest.

    Raises:
        MppError: the slide's pixel size is unknown.
        SlideError: the overview cannot be read, or the level to scan shows another picture than level 0.
        OptionError: tile size or overlap is not a multiple of the model's stride, or they do not make a grid.
    """
    grid = cut.grid(*view.dimensions)
    survey = _survey(view, options)
    concerns = (*view.slide.concerns, *(() if survey is None else survey.concerns), *(roi.concerns if roi else ()))
    tissue = None if survey is None else survey.tissue
    if not options.tissue_mask and roi is None:
        return ScanPlan(
            tiles=_of_grid(grid, view, cut),
            tiles_in_grid=len(grid),
            tissue_mm2=None,
            tissue=tissue,
            mask=None,
            concerns=tuple(concerns),
        )
    searched = tissue if options.tissue_mask else None
    mask = whole_slide(view.slide) if searched is None else searched
    area_mm2 = mask.area_mm2 if roi is None else roi.within(mask).area_mm2
    if roi is not None:
        mask = roi.around(mask)
    chosen = place_tiles(mask, view, cut) if options.trim_tiles else _with_tissue(_of_grid(grid, view, cut), mask, view)
    return ScanPlan(
        tiles=chosen,
        tiles_in_grid=_count_all(chosen, view, cut) if options.trim_tiles else len(grid),
        tissue_mm2=area_mm2 if options.tissue_mask else None,
        tissue=tissue,
        mask=searched,
        concerns=(*concerns, *(() if chosen else (NOTHING_TO_SCAN,))),
    )


def _survey(view: SlideAtMpp, options: ResolvedReadingOptions) -> Survey | None:
    """What the slide's overview shows; None if it cannot be read and is not needed.

    Raises:
        SlideError: it cannot be read, and tissue is to be found on it; or the level that would be scanned shows another
            picture than level 0.
    """
    slide = view.slide
    look = partial(survey_slide, slide, min_area_um2=options.min_tissue, allow_unread=options.max_bad_area > 0)
    try:
        survey = look()
    except SlideError as error:
        if options.tissue_mask:
            raise SlideError(str(error), options=(*error.options, "max_bad_area")) from error
        logger.info("%s: its overview cannot be read", slide.name, exc_info=True)
        survey = None
    tissue = None if survey is None else survey.tissue
    if not is_same_picture(slide, view.level, tissue):
        message = f"{slide.name}: level {view.level} of its pyramid shows another picture than level 0; export it again"
        raise SlideError(message)
    small = best_level(slide.level_downsamples, overview_step(slide))
    if not options.tissue_mask or small == view.level or is_same_picture(slide, small, tissue):
        return survey
    survey = look(level=view.level)
    return replace(survey, concerns=(*survey.concerns, other_picture(small, view.level)))


def _of_grid(grid: TileGrid, view: SlideAtMpp, cut: Cut) -> list[Tile]:
    """The tiles of a grid where they lie in the view, in the order of scanning."""
    # Decoded pixels take three bytes each, at level 0 in the worst case.
    strips = in_strips(grid, STRIP_BYTES / (3 * view.scale[0] * view.scale[1]))
    return [cut.placed(tile, grid) for tile in strips]


def _with_tissue(tiles: Iterable[Tile], mask: TissueMask, view: SlideAtMpp) -> list[Tile]:
    """The tiles whose own part holds tissue."""
    return [tile for tile in tiles if mask.touches(*_in_level0(tile.owned, view))]


def place_tiles(mask: TissueMask, view: SlideAtMpp, cut: Cut) -> list[Tile]:
    """Tiles that are placed by the tissue and fitted to it."""
    width, height = cut.plane(*view.dimensions)
    # About as fine as the mask, so that a large slide has no more squares than it needs, but not as coarse as a tile.
    pixel = max(mask.pixel[0] / view.scale[0], mask.pixel[1] / view.scale[1])
    square = max(1, min(int(pixel), (cut.tile_size - cut.overlap) // SQUARES_IN_TILE) // cut.stride)
    x, y = np.array(cut.edges(width, square)), np.array(cut.edges(height, square))
    tissue = Tissue(squares=mask.on(x * view.scale[0], y * view.scale[1]), x=x, y=y)
    sizes = TileSizes(
        side=cut.tile_size,
        overlap=cut.overlap,
        glass_margin=math.ceil((cut.margin % cut.stride + cut.glass_margin) / cut.stride) * cut.stride,
        edge_margin=min(cut.margin, cut.beyond),
    )
    tiles: list[Tile] = []
    for x0, y0, x1, y1 in cover(tissue, sizes):
        owned = (float(x[x0]), float(y[y0]), float(x[x1]), float(y[y1]))
        inside = mask.bounds(*_in_level0(owned, view))
        if inside is not None:
            tiles.append(cut.fitted(len(tiles), owned, _in_view(inside, view), view.dimensions))
    return tiles


def _count_all(tiles: Sequence[Tile], view: SlideAtMpp, cut: Cut) -> int:
    """How many tiles would cover the whole slide: those placed by the tissue, and whole ones on the glass between."""
    width, height = view.dimensions
    shown = float(area(np.array([tile.seen for tile in tiles]).reshape(-1, 4)).sum())
    return len(tiles) + math.ceil(max(width * height - shown, 0) / (cut.tile_size - cut.overlap) ** 2)


def _in_level0(box: Box, view: SlideAtMpp) -> Box:
    """A rectangle in level-0 pixels, from view pixels."""
    scale_x, scale_y = view.scale
    return box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y


def _in_view(box: Box, view: SlideAtMpp) -> Box:
    """A rectangle in view pixels, from level-0 pixels."""
    scale_x, scale_y = view.scale
    return box[0] / scale_x, box[1] / scale_y, box[2] / scale_x, box[3] / scale_y

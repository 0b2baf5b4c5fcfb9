"""Regions of a slide: the outlines of a map of classes as polygons, without gaps between classes.

The map is looked at band by band. The edges between pixels of different classes become polygons, exactly; then all
polygons that are near each other are simplified together, by GEOS's method for coverages, so that those that share an
edge share it afterwards, and what they lost or gained by it is given back. What goes on below a band is kept until it
is complete. Where too much has to be kept, as where regions that touch cover all of a large slide, they are cut along a
straight line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import shapely
from scipy import ndimage

from signetscan.scan.class_map import BAND, FIRST_CLASS
from signetscan.scan.region_areas import Frame, simplified
from signetscan.scan.region_edges import EdgeFinder
from signetscan.scan.region_groups import GroupFinder, renumbered
from signetscan.scan.region_rings import polygons_around

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from signetscan.scan.class_map import ClassMap
    from signetscan.scan.options import ResolvedSegmentOptions
    from signetscan.scan.region_areas import Polygons
    from signetscan.scan.region_groups import Pieces

MOST_LINES = 200_000
"""With more lines than this of regions that are not complete, they are cut below the next band: a line takes about a
kilobyte while polygons are made of it and simplified."""
GRID_PX = 0.01
"""Coordinates are rounded to this, level-0 pixels: the grid on which QuPath keeps geometry."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TissueRegions:
    """Some regions of a slide."""

    polygons: Polygons
    """(N,), valid polygons, some with holes, level-0 pixels; a few may be of several parts."""
    labels: NDArray[np.int64]
    """(N,), the index of the class of each."""
    areas_px: NDArray[np.float64]
    """(N,), their areas, square level-0 pixels."""
    probabilities: NDArray[np.float64]
    """(N,), mean probability of the scored classes over the pixels of each, 0 to 1."""

    def __len__(self) -> int:
        return len(self.labels)


def regions_of(
    class_map: ClassMap, labels: Sequence[int], options: ResolvedSegmentOptions, size: tuple[int, int]
) -> Iterator[TissueRegions]:
    """Outline the regions of a map, some at a time, so that memory does not grow with their number.

    Regions below the least area are left out, and holes below theirs filled, before outlines are simplified.

    Args:
        class_map: the map.
        labels: indices of the classes whose regions are outlined.
        options: least areas, and how outlines are simplified.
        size: width and height of the slide, level-0 pixels.
    """
    rows, columns = class_map.classes.shape
    wanted = np.zeros(256, np.bool_)
    wanted[[FIRST_CLASS + label for label in labels]] = True
    outline = partial(_outlined, class_map=class_map, options=options, size=size)
    reach = _reach(class_map, options)
    edges, groups = EdgeFinder(width=columns), GroupFinder(width=columns, reach=reach)
    lines, sides = np.zeros((0, 4), np.int32), np.zeros((0, 2), np.int64)
    begin = 0
    for top in range(0, rows, BAND):
        bottom = min(top + BAND, rows)
        end = bottom if len(lines) > MOST_LINES else rows
        window = _window(class_map.classes[begin:end], wanted, top - reach - begin, bottom + reach - begin)
        near = ndimage.maximum_filter(window, 2 * reach + 1, mode="constant")[reach : reach + bottom - top] > 0
        values = window[reach - 1 : reach + bottom - top + 1]
        runs = edges.next_band(values, top, is_last=bottom == end)
        of_pixels, index, goes_on = groups.next_band(values[1:-1], near, class_map.scored[top:bottom])
        if bottom == end:
            goes_on[:] = False
        lines = np.concatenate([lines, runs.lines])
        sides = np.concatenate([renumbered(sides, index), of_pixels[runs.beside[..., 0], runs.beside[..., 1]]])
        stays = goes_on[groups.pieces.groups]
        line_stays = stays[sides.max(axis=1)]
        pieces = groups.take_complete(stays, goes_on)
        if len(pieces.values):
            around = renumbered(sides[~line_stays], np.cumsum(~stays) - 1)
            yield outline(lines[~line_stays], around, pieces, Frame(top=begin, bottom=end, columns=columns))
        lines, sides = lines[line_stays], renumbered(sides[line_stays], np.cumsum(stays) - 1)
        if bottom == end:
            edges, groups = EdgeFinder(width=columns), GroupFinder(width=columns, reach=reach)
            begin = bottom


def _reach(class_map: ClassMap, options: ResolvedSegmentOptions) -> int:
    """How far apart, in pixels of the map, outlines may be that touch when each is simplified by itself."""
    return 1 + math.ceil(options.simplify / min(class_map.pixel_um))


def _window(classes: NDArray[np.uint8], wanted: NDArray[np.bool_], top: int, bottom: int) -> NDArray[np.uint8]:
    """Rows of a map with the wanted values only, the others 0; so are the rows beyond the map."""
    rows = classes[max(top, 0) : max(bottom, 0)]
    kept = np.where(wanted[rows], rows, 0).astype(np.uint8)
    return np.pad(kept, ((max(-top, 0), bottom - top - len(kept) - max(-top, 0)), (0, 0)))


def _outlined(
    lines: NDArray[np.int32],
    sides: NDArray[np.int64],
    pieces: Pieces,
    frame: Frame,
    *,
    class_map: ClassMap,
    options: ResolvedSegmentOptions,
    size: tuple[int, int],
) -> TissueRegions:
    """The regions of complete groups of pieces, by the lines around these."""
    um2 = class_map.pixel_mm2 * 1e6
    large = pieces.pixels * um2 >= options.min_area
    pieces, index = pieces.select(large), np.where(large, np.cumsum(large) - 1, -1)
    polygons = polygons_around(lines, renumbered(sides, index), len(pieces.values))
    polygons = _without_holes(polygons, options.min_hole / um2)
    if options.simplify > 0 and len(polygons):
        polygons = simplified(polygons, options.simplify / math.sqrt(um2), frame)
    placed = _placed(polygons, class_map.pixel, size)
    return TissueRegions(
        polygons=placed,
        labels=pieces.values.astype(np.int64) - FIRST_CLASS,
        areas_px=shapely.area(placed),
        probabilities=pieces.scored / (255 * np.maximum(pieces.pixels, 1)),
    )


def _without_holes(polygons: Polygons, least: float) -> Polygons:
    """Polygons of which the holes below an area are filled, but for those in which another polygon lies."""
    rings, owner = shapely.get_rings(polygons, return_index=True)
    is_hole = np.diff(owner, prepend=-1) == 0  # the first ring of each polygon is its outline
    insides = shapely.polygons(rings[is_hole])
    small = np.flatnonzero(shapely.area(insides) < least)
    if not len(small):
        return polygons
    taken, _ = shapely.STRtree(polygons).query(insides[small], predicate="contains")
    filled = np.flatnonzero(is_hole)[np.delete(small, np.unique(taken))]
    kept = np.delete(np.arange(len(rings)), filled)
    return np.asarray(shapely.polygons(rings[kept], indices=owner[kept]))


def _placed(polygons: Polygons, pixel: tuple[float, float], size: tuple[int, int]) -> Polygons:
    """Polygons in pixels of the map as valid ones in level-0 pixels, within the slide, on QuPath's grid."""

    def place(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        # The last pixels of the map may reach beyond the slide.
        return np.asarray(np.minimum(corners * pixel, size).round(2))

    placed = np.asarray(shapely.transform(polygons, place))
    broken = ~shapely.is_valid(placed)  # corners may have moved over a line that is close
    placed[broken] = shapely.set_precision(shapely.make_valid(placed[broken]), GRID_PX)
    return placed

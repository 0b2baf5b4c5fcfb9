"""Outlines made simpler, all of them together, without a gap between neighbours and without a change of their areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Polygons = NDArray[np.object_]
    """An array of shapely's polygons."""

SMALL = 10
"""Rings around less than this many times the area of the triangles that go stay as they are: of a single pixel, half
would go."""
CLEAR = 0.25
"""Corners that are nearer to a line than this are not moved, nor is the line, pixels of the map."""
MOST_MOVED = 0.12
"""How far a corner is moved at most to give areas back, pixels of the map; less than half of `CLEAR`, so that no corner
comes to the other side of a line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rings:
    """The corners of all rings of some polygons, each once; the polygon lies to the left of its rings."""

    corners: NDArray[np.int64]
    """(N, 2), x and y, pixels of the map."""
    ring: NDArray[np.int64]
    """(N,), the number of the ring of each, which goes up."""
    first: NDArray[np.int64]
    """(R,), the index of the first corner of each ring."""
    before: NDArray[np.int64]
    """(N,), the index of the corner before each."""
    after: NDArray[np.int64]
    """(N,), the index of the corner after each."""

    @classmethod
    def of(cls, polygons: Polygons) -> Rings:
        """The rings of polygons whose corners are integers."""
        corners, ring = shapely.get_coordinates(shapely.get_rings(polygons), return_index=True)
        held = np.diff(ring, append=-1) == 0  # the last corner of each ring is its first
        corners, ring = corners[held].astype(np.int64), ring[held].astype(np.int64)
        first = np.flatnonzero(np.diff(ring, prepend=-1))
        last = np.append(first[1:], len(ring)) - 1
        before, after = np.arange(len(ring)) - 1, np.arange(len(ring)) + 1
        before[first], after[last] = last, first
        return cls(corners=corners, ring=ring, first=first, before=before, after=after)

    def twice_swept(self) -> NDArray[np.int64]:
        """(N,), twice the area that the line from each corner to the next sweeps, seen from the origin."""
        (x, y), (to_x, to_y) = self.corners.T, self.corners[self.after].T
        return np.asarray(x * to_y - y * to_x)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The part of a map to which polygons are kept. Corners on its edges are not moved."""

    top: int
    """Its first row."""
    bottom: int
    """The row behind its last one."""
    columns: int
    """Columns of the map."""

    def has_on_edge(self, corners: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,), whether each corner is on an edge."""
        x, y = corners.T
        return np.asarray((x == 0) | (x == self.columns) | (y == self.top) | (y == self.bottom))

    def places(self, corners: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,), a number for each corner that says where it is, in reading order."""
        return np.asarray((corners[:, 1] - self.top) * (self.columns + 1) + corners[:, 0])

    @property
    def corners(self) -> int:
        """One more than the highest place."""
        return (self.bottom - self.top + 1) * (self.columns + 1)


def simplified(polygons: Polygons, tolerance: float, frame: Frame) -> Polygons:
    """Simplify the outlines of polygons that share their edges, so that they still do.

    Args:
        polygons: (P,), what `polygons_around` gives.
        tolerance: about the size of the details that go, pixels of the map.
        frame: what they lie in.

    Returns:
        (P,), valid polygons, pixels of the map. Small rings are as they were. An edge between two polygons, or between
        one and none, divides the area as it did before, as far as its corners may move.
    """
    # GEOS keeps corners where three rings meet: given three times, small rings stay as they are, and in the way.
    rings = shapely.polygons(shapely.get_rings(polygons))
    small = rings[shapely.area(rings) < SMALL * tolerance**2]
    simpler = shapely.coverage_simplify(np.concatenate([polygons, small, small]), tolerance)[: len(polygons)]
    return _with_areas_of(shapely.orient_polygons(polygons), shapely.orient_polygons(simpler), frame)


def _with_areas_of(exact: Polygons, simpler: Polygons, frame: Frame) -> Polygons:
    """Simplified polygons, their corners moved so that both sides of each edge have their areas back."""
    rings = Rings.of(simpler)
    lost = _lost(Rings.of(exact), rings, frame)
    _, place = np.unique(frame.places(rings.corners), return_inverse=True)
    stays = _are_ends(rings, place) | _are_close(rings, place) | frame.has_on_edge(rings.corners)
    _, owner = shapely.get_rings(simpler, return_index=True)
    moved = shapely.linearrings(rings.corners + _moves(rings, lost, stays), indices=rings.ring)
    return np.asarray(shapely.polygons(moved, indices=owner))


def _lost(exact: Rings, simpler: Rings, frame: Frame) -> NDArray[np.float64]:
    """(N,), the area between each simplified line and what it stands for, positive where its left side has lost it."""
    known, sought = (each.ring * frame.corners + frame.places(each.corners) for each in (exact, simpler))
    order = known.argsort()
    here = order[np.searchsorted(known[order], sought)]
    there = here[simpler.after]
    swept = np.append(0, np.cumsum(exact.twice_swept()))
    of_rings = np.diff(swept[np.append(exact.first, len(exact.ring))])
    around = np.where(there <= here, of_rings[simpler.ring], 0)  # over the end of the ring
    return np.asarray((swept[there] - swept[here] + around - simpler.twice_swept()) / 2)


def _are_ends(rings: Rings, place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,), whether more than two lines meet at each corner: whether it is the end of an edge.

    Args:
        rings: the rings.
        place: (N,), the number of the place of each corner, less than N.
    """
    one, other = place[rings.before], place[rings.after]
    pair = np.minimum(one, other) * len(place) + np.maximum(one, other)
    least, most = np.full(len(place), np.iinfo(np.int64).max), np.zeros(len(place), np.int64)
    np.minimum.at(least, place, pair)
    np.maximum.at(most, place, pair)
    return np.asarray((least != most)[place])


def _are_close(rings: Rings, place: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,), whether each corner is close to a line that does not end there, or is an end of such a line.

    A line along (a, b), in lowest terms, is at least 1 / |(a, b)| away from all integers that are not on it.
    """
    along = rings.corners[rings.after] - rings.corners
    reduced = np.hypot(*along.T) / np.maximum(np.gcd(*along.T), 1)
    slanted = np.flatnonzero(reduced * CLEAR > 1)
    lines = shapely.linestrings(np.stack([rings.corners[slanted], rings.corners[rings.after[slanted]]], axis=1))
    corners = np.zeros((place.max(initial=-1) + 1, 2))
    corners[place] = rings.corners
    line, near = shapely.STRtree(shapely.points(corners)).query(lines, predicate="dwithin", distance=CLEAR)
    begin, end = place[slanted[line]], place[rings.after[slanted[line]]]
    others = (near != begin) & (near != end)
    close = np.zeros(len(corners), np.bool_)
    close[np.concatenate([near[others], begin[others], end[others]])] = True
    return np.asarray(close[place])


def _moves(rings: Rings, lost: NDArray[np.float64], stays: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 2), how far each corner moves so that its edge, from end to end, gives back what it took."""
    edge = _edges(rings, stays)
    along = rings.corners[rings.after] - rings.corners[rings.before]
    outwards = np.where(stays[:, None], 0, np.stack([along[:, 1], -along[:, 0]], axis=1)) / 2
    # All sums are of halves and quarters of integers, and so exact: both sides move an edge alike, to the last bit.
    gain = np.bincount(edge, np.square(outwards).sum(axis=1))
    share = np.divide(np.bincount(edge, lost), gain, out=np.zeros(len(gain)), where=gain > 0)
    farthest = np.zeros(len(gain))
    np.maximum.at(farthest, edge, np.hypot(*outwards.T) * np.abs(share[edge]))
    share *= MOST_MOVED / np.maximum(farthest, MOST_MOVED)
    return np.asarray(outwards * share[edge][:, None])


def _edges(rings: Rings, stays: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,), the edge along which the line from each corner to the next goes; a ring without an end is one."""
    number = np.cumsum(stays | (rings.before >= np.arange(len(stays)))) - 1
    # A ring that does not begin at an end begins within its last edge, if it has an end at all.
    split = rings.first[~stays[rings.first] & (np.bincount(rings.ring, stays) > 0)]
    same = np.arange(len(stays))
    same[number[split]] = number[rings.before[split]]
    return np.asarray(same[number])

"""Pieces of a map, and groups of pieces near each other, band by band.

A piece is a set of pixels of one class that join at their sides: it becomes a polygon. A group holds all pieces that
are so near each other that their outlines must be simplified together, or gaps and overlaps would arise between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

if TYPE_CHECKING:
    from numpy.typing import NDArray

AROUND = np.ones((3, 3), np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """Pieces of a map."""

    values: NDArray[np.uint8]
    """(P,), their value on the map."""
    pixels: NDArray[np.int64]
    """(P,), number of their pixels."""
    scored: NDArray[np.float64]
    """(P,), sum of the scored probabilities of their pixels, times 255."""
    groups: NDArray[np.int64]
    """(P,), the group of each."""

    @classmethod
    def none(cls) -> Pieces:
        """No piece at all."""
        counts = np.zeros(0, np.int64)
        return cls(values=np.zeros(0, np.uint8), pixels=counts, scored=np.zeros(0), groups=counts)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Pieces:
        """The pieces that a mask or indices select."""
        return Pieces(
            values=self.values[which],
            pixels=self.pixels[which],
            scored=self.scored[which],
            groups=self.groups[which],
        )


@dataclass(slots=True, kw_only=True, eq=False)
class GroupFinder:
    """Finds the pieces and groups of a map, whose bands it is given from top to bottom."""

    width: int
    """Columns of the map."""
    reach: int
    """Pieces of which some pixels are no further apart than twice this belong to one group, pixels."""
    pieces: Pieces = field(default_factory=Pieces.none)
    """Pieces of the groups that are not complete yet."""
    _last_groups: NDArray[np.int64] | None = None
    """(width,), the group of each pixel of the last row, and of those that are near; -1 for none."""
    _last_pieces: NDArray[np.int64] | None = None
    """(width,), the index of the piece of each pixel of the last row; -1 for none."""
    _last_values: NDArray[np.uint8] | None = None
    """(width,), the values of the last row."""

    def next_band(
        self, values: NDArray[np.uint8], near: NDArray[np.bool_], scored: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Take the next band.

        Args:
            values: (rows, width).
            near: (rows, width), which pixels have a value within reach, in the band or beyond it.
            scored: (rows, width), scored probabilities, times 255.

        Returns:
            The index of the piece of each pixel of the row above the band, of the band and of the row below it, and of
            a column to either side, (rows + 2, width + 2), -1 for none and for the row below; the new index of each
            piece that was there before; and for each group whether it goes on below the band.
        """
        old_groups = self._last_groups if self._last_groups is not None else np.full(self.width, -1, np.int64)
        known = int(max(old_groups.max(initial=-1), self.pieces.groups.max(initial=-1))) + 1
        labels, count = ndimage.label(near, AROUND)
        here = np.where(near, labels.astype(np.int64) - 1 + known, -1)
        joined = _join(known + count, *_touching(old_groups, here[0]))
        groups = np.concatenate([renumbered(old_groups, joined)[None], renumbered(here, joined)])
        pieces, index = self._add_pieces(values, scored, groups, joined)
        goes_on = np.zeros(joined.max(initial=-1) + 1, np.bool_)
        goes_on[groups[-1][groups[-1] >= 0]] = True
        self._last_groups, self._last_values = groups[-1], values[-1].copy()
        return pieces, index, goes_on

    def take_complete(self, stays: NDArray[np.bool_], goes_on: NDArray[np.bool_]) -> Pieces:
        """Remove the pieces of groups that are complete, and give them; the others are numbered anew, in order.

        Args:
            stays: whether the group of each piece goes on.
            goes_on: whether each group goes on, from `next_band`.
        """
        complete, rest = self.pieces.select(~stays), self.pieces.select(stays)
        numbers = np.cumsum(goes_on) - 1
        self.pieces = replace(rest, groups=numbers[rest.groups])
        if self._last_groups is not None:
            self._last_groups = renumbered(self._last_groups, numbers)
        if self._last_pieces is not None:
            self._last_pieces = renumbered(self._last_pieces, np.cumsum(stays) - 1)
        return complete

    def _add_pieces(
        self,
        values: NDArray[np.uint8],
        scored: NDArray[np.uint8],
        groups: NDArray[np.int64],
        joined: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Add the pieces of a band, and join those that go on from the band before.

        Returns:
            The piece of each pixel, and the new index of each piece that was there before, as `next_band` has them.
        """
        labels = label(values, connectivity=1, background=0)
        flat, old = labels.ravel(), self.pieces
        held = np.flatnonzero(flat)
        count, known = int(flat.max(initial=0)), len(old.values)
        first = np.zeros(count + 1, np.int64)
        first[flat[held[::-1]]] = held[::-1]  # the last one that is assigned stays
        first = first[1:]
        new = Pieces(
            values=values.ravel()[first],
            pixels=np.bincount(flat, minlength=count + 1)[1:],
            scored=np.bincount(flat, weights=scored.ravel(), minlength=count + 1)[1:].astype(np.float64),
            groups=groups[1:].ravel()[first],
        )
        here = labels.astype(np.int64) - 1 + known
        here[labels == 0] = -1
        above = self._last_pieces if self._last_pieces is not None else np.full(self.width, -1, np.int64)
        index = np.arange(known + count)
        if self._last_values is not None:
            same = (above >= 0) & (self._last_values == values[0])
            index = _join(known + count, above[same], here[0][same])
        of_pixels = renumbered(np.pad(np.concatenate([above[None], here]), ((0, 1), (1, 1)), constant_values=-1), index)
        self._last_pieces = of_pixels[-2, 1:-1]
        self.pieces = _merged(old, renumbered(old.groups, joined), new, index)
        return of_pixels, index[:known]


def _merged(old: Pieces, old_groups: NDArray[np.int64], new: Pieces, index: NDArray[np.int64]) -> Pieces:
    """Old pieces and new ones as one, those of the same index added up."""
    count = int(index.max(initial=-1)) + 1
    values, groups = np.zeros(count, np.uint8), np.zeros(count, np.int64)
    values[index] = np.concatenate([old.values, new.values])
    groups[index] = np.concatenate([old_groups, new.groups])
    return Pieces(
        values=values,
        pixels=np.bincount(index, np.concatenate([old.pixels, new.pixels]), count).astype(np.int64),
        scored=np.bincount(index, np.concatenate([old.scored, new.scored]), count).astype(np.float64),
        groups=groups,
    )


def _touching(above: NDArray[np.int64], below: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of pixels of two rows that touch at a side or a corner, where both have one."""
    pairs = [(above, below), (above[1:], below[:-1]), (above[:-1], below[1:])]
    both = [(one >= 0) & (other >= 0) for one, other in pairs]
    return (
        np.concatenate([one[held] for (one, _), held in zip(pairs, both, strict=True)]),
        np.concatenate([other[held] for (_, other), held in zip(pairs, both, strict=True)]),
    )


def _join(count: int, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """New numbers, from 0 on, for `count` things of which some pairs are the same."""
    links = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    _, numbers = connected_components(links, directed=False)
    return np.asarray(numbers, np.int64)


def renumbered(numbers: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers from 0 on as `new` has them; -1, which stands for none, stays."""
    return np.append(new, -1)[numbers]

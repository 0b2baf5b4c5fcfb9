"""Overlapping boxes among millions, found without looking at all pairs and without holding all that overlap.

Boxes are sorted into lanes, bands of the plane one reach high, and by x within a lane: the boxes whose centre is near
that of a given one then stand in three runs, in its own lane and the two beside it. Runs are looked up first, so that
their length is known before any pair is made, and pairs are made a block at a time.

If u is the overlap of two sides w and v on one axis, IoU <= u / (w + v - u), and the centres lie (w + v) / 2 - u apart;
so IoU above t puts the centres nearer than max(w, v) * (1 - t) / (1 + t): the reach. And IoU <= min(w, v) / max(w, v),
so boxes of very different size need no look at all. Boxes are therefore kept in classes of size, each pair of classes
with a reach of its own: a few huge boxes do not widen the search of all the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centres, paired_iou

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.boxes import Boxes

    Indices = NDArray[np.intp]
    Floats = NDArray[np.float64]

PAIRS_AT_ONCE = 1 << 16
"""Pairs compared at once: few enough to stay in a core's cache."""
PLANE = 1e8
"""Centres farther out than this are taken as lying on its border: nearer to each other than they are, so that pairs may
be looked at for nothing but none is missed. One box gone astray would otherwise cost all others their precision."""
MOST_LANES = 1 << 22
"""Lanes are higher than the reach where there would be more than this, for the same reason."""
ROUNDING = 1e-6
"""Share of a box's side added to its reach, so that no pair at the threshold is lost to rounding, be it in 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """For each of some boxes a run of others that may overlap it."""

    some: Indices
    """(S,), indices of boxes."""
    others: Indices
    """(M,), indices of boxes, in the order of lanes."""
    starts: Indices
    """(S,), where in `others` the run of each begins."""
    ends: Indices
    """(S,), where it ends."""

    @property
    def pairs(self) -> int:
        """How many pairs that makes."""
        return int((self.ends - self.starts).sum())

    def blocks(self, most: int) -> Iterator[tuple[Indices, Indices]]:
        """The pairs as two index arrays, `most` at a time; a long run is cut where a block is full."""
        made = np.cumsum(self.ends - self.starts)
        total = int(made[-1]) if len(made) else 0
        for low in range(0, total, most):
            high = min(low + most, total)
            part = slice(np.searchsorted(made, low, side="right"), np.searchsorted(made, high) + 1)
            starts, ends = self.starts[part], self.ends[part]
            before = made[part] - (ends - starts)
            counts = np.minimum(made[part], high) - np.maximum(before, low)
            places = np.arange(low, high) + np.repeat(starts - before, counts)
            yield np.repeat(self.some[part], counts), self.others.take(places)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """The plane cut into lanes and laid out on one line, lane after lane, label after label."""

    left: float
    """Least x of the points."""
    top: float
    """Least y."""
    reach: float
    """How far to look along the line, with what rounding may add to a distance on it."""
    height: float
    """Height of a lane, no less than the reach across lanes."""
    length: float
    """Length of a lane on the line: so much more than the points' that a look along one does not lead into the next."""
    each: int
    """Lanes of a label, the last of them empty."""

    @classmethod
    def over(cls, points: Sequence[Floats], labels: int, reach: Floats) -> Self:
        """Lanes over sets of points, each (N, 2) with N > 0, of so many labels, for a reach in x and y."""
        left, top = (min(float(some[:, axis].min()) for some in points) for axis in (0, 1))
        right, bottom = (max(float(some[:, axis].max()) for some in points) for axis in (0, 1))
        finest = 8 * float(np.spacing(PLANE))
        height = max(float(reach[1]) + finest, (bottom - top) / MOST_LANES)
        each = int((bottom - top) / height) + 2
        widest = float(reach[0]) + finest
        widest += 8 * float(np.spacing(labels * each * (right - left + 3 * widest)))
        return cls(left=left, top=top, reach=widest, height=height, length=right - left + 3 * widest, each=each)

    def places(self, points: Floats, labels: Indices) -> Floats:
        """Where each point, (N, 2), of a label stands on the line, (N,)."""
        lane = np.floor((points[:, 1] - self.top) / self.height) + labels * self.each
        return lane * self.length + (points[:, 0] - self.left)

    def near(self, some: Floats, others: Floats, step: int) -> tuple[Indices, Indices]:
        """Where the run of others in the lane `step` further on begins and ends for each of some sorted places."""
        middle = some + step * self.length
        return np.searchsorted(others, middle - self.reach), np.searchsorted(others, middle + self.reach)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """N boxes of one frame, any of which can be asked for those of its label that it overlaps."""

    boxes: Boxes
    """(N, 4)."""
    labels: Indices
    """(N,), from 0 without a gap."""
    sizes: NDArray[np.int16]
    """(N,), class of size: in a class the longer sides of boxes differ by a factor of less than eight."""
    sides: dict[int, tuple[float, Floats]]
    """The least longer side in each class of size, and the greatest width and height."""
    iou_threshold: float
    """Boxes overlap when their IoU exceeds it, 0 to 1."""

    @classmethod
    def of(cls, boxes: Boxes, labels: NDArray[np.int64], iou_threshold: float) -> Self:
        """Prepare the search.

        Args:
            boxes: (N, 4), in any one frame.
            labels: (N,); boxes of different labels do not overlap.
            iou_threshold: boxes overlap when their IoU exceeds it, 0 to 1.
        """
        widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        longer = np.maximum(widths, heights)
        usual = np.median(longer) if len(longer) else 0
        # frexp gives powers of two; three of them make a class, which for most boxes is that of the usual size.
        sizes = ((np.frexp(longer / (usual or 1))[1] + 1) // 3).astype(np.int16)
        sides = {}
        for size in np.unique(sizes).tolist():
            which = sizes == size
            greatest = np.array([widths[which].max(), heights[which].max()], np.float64)
            sides[size] = float(longer[which].min()), np.maximum(greatest, 0)
        numbered = np.unique(labels, return_inverse=True)[1]
        return cls(boxes=boxes, labels=numbered, sizes=sizes, sides=sides, iou_threshold=iou_threshold)

    def within(self, which: Indices) -> list[Runs]:
        """Where to look for overlaps among some of the boxes, each pair once."""
        found = []
        for reach, large, small in self._scales():
            some = which[self.sizes[which] == large]
            found += self._runs(reach, some, None if small == large else which[self.sizes[which] == small])
        return found

    def between(self, some: Indices, others: Indices) -> list[Runs]:
        """Where to look for overlaps of some of the boxes with others, none of which is among them."""
        found = []
        for reach, large, small in self._scales():
            for one, other in {(large, small), (small, large)}:
                found += self._runs(reach, some[self.sizes[some] == one], others[self.sizes[others] == other])
        return found

    def overlapping(self, runs: Sequence[Runs]) -> Iterator[tuple[Indices, Indices]]:
        """The pairs (one of `some`, one of `others`) that do overlap, block by block."""
        for some, others in (block for run in runs for block in run.blocks(PAIRS_AT_ONCE)):
            over = paired_iou(self.boxes.take(some, axis=0), self.boxes.take(others, axis=0)) > self.iou_threshold
            yield some[over], others[over]

    def _scales(self) -> Iterator[tuple[Floats, int, int]]:
        """Classes of size whose boxes may overlap: reach in x and y, the larger class, and the smaller or the same."""
        share = (1 - self.iou_threshold) / (1 + self.iou_threshold) + ROUNDING
        for large, (least, greatest) in self.sides.items():
            for small, (_, its_greatest) in self.sides.items():
                if small <= large and its_greatest.max() * (1 + ROUNDING) >= least * self.iou_threshold:
                    yield np.maximum(greatest, its_greatest) * share, large, small

    def _runs(self, reach: Floats, some: Indices, others: Indices | None) -> list[Runs]:
        """Runs of the others, or without others of the same boxes, whose centres are within reach on both axes."""
        sets = [some] if others is None else [some, others]
        if not all(map(len, sets)):
            return []
        boxes = [self.boxes.take(which, axis=0).astype(np.float64) for which in sets]
        points = [np.asarray(np.clip(centres(each), -PLANE, PLANE), np.float64) for each in boxes]
        lanes = Lanes.over(points, int(self.labels.max()) + 1, reach)
        places = [lanes.places(at, self.labels[which]) for at, which in zip(points, sets, strict=True)]
        orders = [np.argsort(on_line) for on_line in places]
        laid = [(which[order], at[order]) for which, at, order in zip(sets, places, orders, strict=True)]
        (some, here), (others, there) = laid[0], laid[-1]
        found = []
        for step in (0, 1) if some is others else (-1, 0, 1):
            starts, ends = lanes.near(here, there, step)
            if some is others and step == 0:
                starts = np.arange(1, len(some) + 1)  # each pair once, and no box with itself
            found.append(Runs(some=some, others=others, starts=starts, ends=ends))
        return found

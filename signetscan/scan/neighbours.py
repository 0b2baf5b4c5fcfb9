"""Finding the boxes that overlap among millions, without comparing all pairs or holding all overlaps in memory.

The plane is cut into lanes, horizontal bands as high as the reach: the greatest distance on an axis between the centres
of boxes that overlap. Boxes are sorted by lane and by x within a lane, so those near a given box form three runs: in
its own lane and in those above and below. Runs are looked up first, so that the number of pairs is known before any is
made; pairs are then made block by block.

If u is the overlap of two sides w and v on one axis, IoU <= u / (w + v - u), and the centres lie (w + v) / 2 - u apart.
So IoU above t puts the centres nearer than max(w, v) * (1 - t) / (1 + t): the reach. Also IoU <= min(w, v) / max(w, v),
so boxes of very different size need not be compared. Boxes are therefore divided into classes of size, and each pair of
classes has its own reach: a few huge boxes do not widen the search for all others.
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
"""Pairs compared at once: few enough for a core's cache."""
PLANE = 1e8
"""Centres farther out than this are moved to its border. That brings them nearer to each other, so more pairs are
compared but none is missed; one stray box would otherwise cost all others their precision."""
MOST_LANES = 1 << 22
"""Where there would be more lanes than this they are made higher than the reach, for the same reason."""
ROUNDING = 1e-6
"""Share of a box's side that is added to its reach, so that rounding, even to 32 bits, loses no pair."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """For each of some boxes, a run of others that may overlap it."""

    some: Indices
    """(S,), indices of boxes."""
    others: Indices
    """(M,), indices of boxes, in the order of lanes."""
    starts: Indices
    """(S,), where in `others` the run of each box begins."""
    ends: Indices
    """(S,), where the run ends."""

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return int((self.ends - self.starts).sum())

    def blocks(self, most: int) -> Iterator[tuple[Indices, Indices]]:
        """The pairs as two index arrays, `most` at a time; a run that does not fit continues in the next."""
        made = np.cumsum(self.ends - self.starts)  # pairs of all runs up to and with each
        total = int(made[-1]) if len(made) else 0
        for low in range(0, total, most):
            high = min(low + most, total)
            part = slice(np.searchsorted(made, low, side="right"), np.searchsorted(made, high) + 1)
            starts, ends = self.starts[part], self.ends[part]
            before = made[part] - (ends - starts)
            counts = np.minimum(made[part], high) - np.maximum(before, low)
            # Pair number p, within the run that begins with pair `before`, is of the box at starts + p - before.
            positions = np.arange(low, high) + np.repeat(starts - before, counts)
            yield np.repeat(self.some[part], counts), self.others.take(positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """The plane cut into lanes and laid out on one line, lane after lane, label after label."""

    left: float
    """Least x of the points."""
    top: float
    """Least y."""
    reach: float
    """How far to look along the line, with an allowance for rounding."""
    height: float
    """Height of a lane, at least the reach along y."""
    length: float
    """Length of a lane on the line: that of the points and more, so that a search does not run into the next lane."""
    per_label: int
    """Lanes of a label; the last is empty, which keeps labels apart."""

    @classmethod
    def over(cls, points: Sequence[Floats], labels: int, reach: Floats) -> Self:
        """Lanes over sets of points, each (N, 2) with N > 0.

        Args:
            points: the sets.
            labels: number of labels.
            reach: (2,), greatest distance of neighbours along x and y.
        """
        left, top = (min(float(some[:, axis].min()) for some in points) for axis in (0, 1))
        right, bottom = (max(float(some[:, axis].max()) for some in points) for axis in (0, 1))
        finest = 8 * float(np.spacing(PLANE))
        height = max(float(reach[1]) + finest, (bottom - top) / MOST_LANES)
        per_label = int((bottom - top) / height) + 2
        widest = float(reach[0]) + finest
        # Positions near the end of the line are rounded most, by the spacing of floats there.
        widest += 8 * float(np.spacing(labels * per_label * (right - left + 3 * widest)))
        length = right - left + 3 * widest
        return cls(left=left, top=top, reach=widest, height=height, length=length, per_label=per_label)

    def positions(self, points: Floats, labels: Indices) -> Floats:
        """The position of each point, (N, 2), on the line, (N,), given their labels, (N,)."""
        lane = np.floor((points[:, 1] - self.top) / self.height) + labels * self.per_label
        return lane * self.length + (points[:, 0] - self.left)

    def near(self, some: Floats, others: Floats, step: int) -> tuple[Indices, Indices]:
        """For each position, where among the sorted others its run in the lane `step` further on begins and ends."""
        middle = some + step * self.length
        return np.searchsorted(others, middle - self.reach), np.searchsorted(others, middle + self.reach)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """N boxes of one frame, and the search for those of the same label that overlap."""

    boxes: Boxes
    """(N, 4)."""
    labels: Indices
    """(N,), from 0 without a gap."""
    sizes: NDArray[np.int16]
    """(N,), class of size: within a class the longer sides of boxes differ by a factor of less than eight."""
    sides: dict[int, tuple[float, Floats]]
    """For each class of size the least longer side, and the greatest width and height."""
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
        # frexp gives powers of two. A class spans three, so that most boxes are in that of the median size.
        sizes = ((np.frexp(longer / (usual or 1))[1] + 1) // 3).astype(np.int16)
        sides = {}
        for size in np.unique(sizes).tolist():
            in_class = sizes == size
            greatest = np.array([widths[in_class].max(), heights[in_class].max()], np.float64)
            sides[size] = float(longer[in_class].min()), np.maximum(greatest, 0)
        numbered = np.unique(labels, return_inverse=True)[1]
        return cls(boxes=boxes, labels=numbered, sizes=sizes, sides=sides, iou_threshold=iou_threshold)

    def within(self, which: Indices) -> list[Runs]:
        """Where to look for overlaps among some of the boxes, each pair once."""
        runs = []
        for reach, large, small in self._scales():
            some = which[self.sizes[which] == large]
            runs += self._runs(reach, some, None if small == large else which[self.sizes[which] == small])
        return runs

    def between(self, some: Indices, others: Indices) -> list[Runs]:
        """Where to look for overlaps of some of the boxes with others; no box may be in both."""
        runs = []
        for reach, large, small in self._scales():
            for size, other_size in {(large, small), (small, large)}:  # once if both are the same class
                runs += self._runs(reach, some[self.sizes[some] == size], others[self.sizes[others] == other_size])
        return runs

    def overlapping(self, runs: Sequence[Runs]) -> Iterator[tuple[Indices, Indices]]:
        """The pairs of indices, from `some` and from `others`, whose boxes overlap, block by block."""
        for some, others in (block for run in runs for block in run.blocks(PAIRS_AT_ONCE)):
            over = paired_iou(self.boxes.take(some, axis=0), self.boxes.take(others, axis=0)) > self.iou_threshold
            yield some[over], others[over]

    def _scales(self) -> Iterator[tuple[Floats, int, int]]:
        """Pairs of classes of size whose boxes may overlap: reach along x and y, larger class, smaller or same."""
        share = (1 - self.iou_threshold) / (1 + self.iou_threshold) + ROUNDING
        for large, (least, greatest) in self.sides.items():
            for small, (_, small_greatest) in self.sides.items():
                if small <= large and small_greatest.max() * (1 + ROUNDING) >= least * self.iou_threshold:
                    yield np.maximum(greatest, small_greatest) * share, large, small

    def _runs(self, reach: Floats, some: Indices, others: Indices | None) -> list[Runs]:
        """Runs of the others, or of the same boxes if there are none, whose centres are within reach on both axes."""
        sets = [some] if others is None else [some, others]
        if not all(map(len, sets)):
            return []
        boxes = [self.boxes.take(which, axis=0).astype(np.float64) for which in sets]
        points = [np.asarray(np.clip(centres(part), -PLANE, PLANE), np.float64) for part in boxes]
        lanes = Lanes.over(points, int(self.labels.max()) + 1, reach)
        in_order = []
        for which, part in zip(sets, points, strict=True):
            positions = lanes.positions(part, self.labels[which])
            order = np.argsort(positions)
            in_order.append((which[order], positions[order]))
        (some, positions), (others, other_positions) = in_order[0], in_order[-1]
        runs = []
        # Among the same boxes the lane above needs no search: its boxes find these in the lane below.
        for step in (0, 1) if some is others else (-1, 0, 1):
            starts, ends = lanes.near(positions, other_positions, step)
            if some is others and step == 0:
                starts = np.arange(1, len(some) + 1)  # each pair once, and no box with itself
            runs.append(Runs(some=some, others=others, starts=starts, ends=ends))
        return runs

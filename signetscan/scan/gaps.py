"""Telling glass that a scanner left out from tissue that is missing in a file.

Scanners leave out glass, and leave a margin of it around tissue. So a part that the file does not hold is glass where
glass surrounds it, and was tissue where tissue runs up to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOST_SHARE = 0.1
"""A gap within the slide held tissue if tissue runs along at least this share of its outline."""
LOST_SHARE_AT_EDGE = 0.6
"""The same for a gap at the edge of the slide, along which no tissue can be seen: most such gaps surround what was
scanned."""
MIN_CONTACT_PX = 2
"""Tissue runs along a gap for at least this many pixels of the overview: fewer are dust or noise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaps:
    """The parts of an overview that the file does not hold."""

    lost: NDArray[np.bool_]
    """Those that held tissue, (rows, columns)."""
    cut_px: int
    """Length of the outline of the others along which tissue runs, overview pixels: there tissue was cut off."""


def judge_gaps(missing: NDArray[np.bool_], tissue: NDArray[np.bool_]) -> Gaps:
    """Judge each gap by what runs along it.

    Args:
        missing: what the file does not hold, (rows, columns).
        tissue: what shows tissue, (rows, columns).
    """
    if not missing.any() or not tissue.any():
        return Gaps(lost=np.zeros_like(missing), cut_px=0)
    gaps, count = ndimage.label(missing)
    # Next to a gap, (rows, columns), and the number of the gap next to each of these pixels, (N,).
    beside = ndimage.maximum_filter(gaps, footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]], mode="constant")
    outline = (beside > 0) & ~missing
    along = beside[outline]
    contact = np.bincount(along, tissue[outline], count + 1)
    length = np.bincount(along, minlength=count + 1)
    edges = np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])
    at_edge = np.bincount(edges, minlength=count + 1)
    least = np.where(at_edge > 0, LOST_SHARE_AT_EDGE, LOST_SHARE)
    is_lost = (contact >= MIN_CONTACT_PX) & (contact >= least * (length + at_edge))
    is_lost[0] = False
    return Gaps(lost=is_lost[gaps], cut_px=int(contact[~is_lost].sum()))

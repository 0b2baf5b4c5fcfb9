"""How two reviewers agree who looked at the same slide apart: on what they judged both, and on the cells they found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations.marked_slide import read_marked_slide
from signetscan.annotations.objects import in_any
from signetscan.boxes import centre_in_any, centres
from signetscan.dataset.corrections import sort_corrections
from signetscan.dataset.remarks import Remarks
from signetscan.detections import Detections
from signetscan.evaluation.matching import matched_cells
from signetscan.suffixes import ANY_GEOJSON_SUFFIXES, suffix_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import MarkedObjects
    from signetscan.dataset.corrections import Corrections
    from signetscan.evaluation.pairing import Pair

    Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What two reviewers say of the boxes that both judged."""

    both_accepted: int = 0
    """Boxes that both accepted."""
    only_a_accepted: int = 0
    """Boxes that A accepted and B rejected."""
    only_b_accepted: int = 0
    """Boxes that B accepted and A rejected."""
    both_rejected: int = 0
    """Boxes that both rejected."""

    def __add__(self, other: Judged) -> Judged:
        return Judged(
            both_accepted=self.both_accepted + other.both_accepted,
            only_a_accepted=self.only_a_accepted + other.only_a_accepted,
            only_b_accepted=self.only_b_accepted + other.only_b_accepted,
            both_rejected=self.both_rejected + other.both_rejected,
        )

    @property
    def total(self) -> int:
        """Boxes that both judged."""
        return self.agreed + self.only_a_accepted + self.only_b_accepted

    @property
    def agreed(self) -> int:
        """Boxes of which both say the same."""
        return self.both_accepted + self.both_rejected

    @property
    def kappa(self) -> float:
        """Cohen's kappa (1960): agreement beyond chance, as a share of what chance leaves; 1 for full agreement.

        nan where chance leaves nothing: no box that both judged, or each of the two always said the same.
        """
        if not self.total:
            return float("nan")
        by_a = (self.both_accepted + self.only_a_accepted) / self.total
        by_b = (self.both_accepted + self.only_b_accepted) / self.total
        by_chance = by_a * by_b + (1 - by_a) * (1 - by_b)
        return (self.agreed / self.total - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TwoReviewers:
    """Two reviewers on one slide; level-0 pixels."""

    a: Detections
    """Cells of A that B may have found, each with a score of 1."""
    b: Detections
    """Cells of B that A may have found."""
    judged: Judged
    """What they say of the boxes that both judged."""


def are_marks(pair: Pair) -> bool:
    """Whether both files of a pair are a reviewer's marks, as the viewer wrote them.

    Raises:
        AnnotationError: a file cannot be read.
    """
    return all(path is not None and _is_of_viewer(path) for path in (pair.predictions, pair.truth))


def _is_of_viewer(path: Path) -> bool:
    if not suffix_of(path.name, ANY_GEOJSON_SUFFIXES):
        return False
    marked = read_marked_slide(path)
    return bool(marked.fingerprint or marked.digits)


def compare_reviewers(
    pair: Pair,
    first: MarkedObjects,
    second: MarkedObjects,
    pixel_um: tuple[float, float],
    remarks: Remarks,
    *,
    iou: float,
    class_name: str | None = None,
) -> TwoReviewers:
    """What two reviewers say of one slide.

    Cells count where both looked: in the regions that both drew, if both drew any, or in those of the one who did. A
    cell of one that lies on a detection on which the other did not decide counts for neither.

    Args:
        pair: the files, for remarks.
        first: objects of A, level-0 pixels.
        second: objects of B, level-0 pixels.
        pixel_um: width and height of a level-0 pixel, µm.
        remarks: collects what was left out.
        iou: least IoU of two boxes of the same cell.
        class_name: the class that counts, in upper or lower case; every class by default.
    """
    said_by_a, said_by_b = (sort_corrections(one.annotations, pixel_um, Remarks()) for one in (first, second))
    judged = _judged(said_by_a, said_by_b, iou)
    a, b = (_cells(said, class_name) for said in (said_by_a, said_by_b))
    for looked in (said_by_a, said_by_b):
        areas = (*looked.regions, *looked.reviewed)
        if areas:
            kept = [in_any(areas, centres(boxes)) for boxes in (a, b)]
            outside = sum(int((~inside).sum()) for inside in kept)
            remarks.add("Cells left out, outside what both looked through", pair.stem, outside)
            a, b = a[kept[0]], b[kept[1]]
    partner = matched_cells(_detections(a), b, iou)
    alone_a = (partner < 0) & centre_in_any(a, said_by_b.undecided)
    alone_b = ~np.isin(np.arange(len(b)), partner) & centre_in_any(b, said_by_a.undecided)
    remarks.add(
        "Cells left out, on detections on which the other reviewer did not decide",
        pair.stem,
        int(alone_a.sum()) + int(alone_b.sum()),
    )
    return TwoReviewers(a=_detections(a[~alone_a]), b=_detections(b[~alone_b]), judged=judged)


def _judged(a: Corrections, b: Corrections, iou: float) -> Judged:
    boxes_a, boxes_b = (np.concatenate([said.cells, said.rejected]) for said in (a, b))
    partner = matched_cells(_detections(boxes_a), boxes_b, iou)
    both = partner >= 0
    by_a = np.arange(len(boxes_a))[both] < len(a.cells)
    by_b = partner[both] < len(b.cells)
    return Judged(
        both_accepted=int((by_a & by_b).sum()),
        only_a_accepted=int((by_a & ~by_b).sum()),
        only_b_accepted=int((~by_a & by_b).sum()),
        both_rejected=int((~by_a & ~by_b).sum()),
    )


def _cells(said: Corrections, class_name: str | None) -> Boxes:
    if class_name is None:
        return said.cells
    wanted = class_name.strip().casefold()
    return said.cells[np.array([name.casefold() == wanted for name in said.names], np.bool_)]


def _detections(boxes: Boxes) -> Detections:
    return Detections(boxes=boxes, scores=np.ones(len(boxes), np.float32), labels=np.zeros(len(boxes), np.int64))

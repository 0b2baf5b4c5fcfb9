"""What people said of a slide, as truth: what they did not decide about counts neither way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Meaning
from signetscan.annotations.marks import by_people
from signetscan.annotations.objects import in_any
from signetscan.boxes import centre_in_any, centres
from signetscan.dataset.corrections import same_boxes, sort_corrections
from signetscan.dataset.remarks import Remarks

if TYPE_CHECKING:
    from signetscan.annotations import MarkedObjects
    from signetscan.detections import Detections


def decided_by_people(marked: MarkedObjects) -> bool:
    """Whether people decided about single objects of a file, or looked through a part of the slide."""
    has_class = np.array([bool(name) for name in marked.annotations.names], np.bool_)
    single = marked.having(Meaning.CELL, Meaning.REJECTED) & by_people(marked.annotations) & has_class
    return bool(single.any()) or bool(marked.reviewed)


def as_truth(marked: MarkedObjects, pixel_um: tuple[float, float], file: str, remarks: Remarks) -> MarkedObjects:
    """The objects of a file of truth; detections about which nobody decided are `UNDECIDED`, reviewed regions regions.

    Args:
        marked: the objects.
        pixel_um: width and height of a pixel of their frame, µm.
        file: name of the file, for remarks.
        remarks: collects what was left out.
    """
    if not decided_by_people(marked):
        return marked
    undecided = sort_corrections(marked.annotations, pixel_um, Remarks()).undecided
    which = marked.having(Meaning.CELL) & ~by_people(marked.annotations)
    which &= same_boxes(marked.annotations.boxes, undecided)
    positive = [region for region in marked.regions if not region.normal]
    which &= ~in_any(positive, centres(marked.annotations.boxes))
    remarks.add("Detections about which nobody decided, left out with the predictions on them", file, int(which.sum()))
    sorted_out = replace(marked, meaning=np.where(which, Meaning.UNDECIDED, marked.meaning).astype(np.int8))
    points = centres(marked.annotations.boxes[sorted_out.having(Meaning.CELL, Meaning.UNDECIDED)])
    # A reviewed region is normal if it has neither a cell nor anything undecided.
    reviewed = tuple(replace(region, normal=not in_any([region], points).any()) for region in marked.reviewed)
    return replace(sorted_out, regions=(*marked.regions, *reviewed))


def outside_of(marked: MarkedObjects, detections: Detections, file: str, remarks: Remarks) -> Detections:
    """The detections whose centre lies in no ignored area and on nothing undecided; nobody knows about the others."""
    ignored = in_any(marked.ignored, centres(detections.boxes))
    remarks.add("Predictions left out, in ignored areas", file, int(ignored.sum()))
    undecided = ~ignored & centre_in_any(detections.boxes, marked.annotations.boxes[marked.having(Meaning.UNDECIDED)])
    remarks.add("Predictions left out, on detections about which nobody decided", file, int(undecided.sum()))
    return detections.select(~ignored & ~undecided)

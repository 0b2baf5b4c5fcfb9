"""Classes of the truth that count neither way: their objects are no cells, and detections on them no mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.boxes import centre_in_any, iou_matrix
from signetscan.errors import AnnotationError
from signetscan.evaluation.options import MATCH_IOU

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations
    from signetscan.dataset.remarks import Remarks
    from signetscan.detections import Detections


def split_off(
    true: Sequence[Annotations], names: Sequence[str], truth: Path
) -> tuple[list[Annotations], list[NDArray[np.float64]]]:
    """Split the objects of classes to ignore off the truth.

    Args:
        true: truth of each image.
        names: classes to ignore, in upper or lower case.
        truth: the file or folder of truth, for messages.

    Returns:
        For each image its other objects, and the boxes (N, 4) of those to ignore, in their frame.

    Raises:
        AnnotationError: the truth has no object of a class to ignore.
    """
    present = {name.casefold(): name for objects in true for name in objects.names if name}
    wanted = {name.strip().casefold() for name in names}
    for name in sorted(wanted - present.keys()):
        classes = ", ".join(sorted(present.values())) or "none"
        message = f"{truth}: no object of the class {name!r} to ignore; its classes: {classes}"
        raise AnnotationError(message, options=("ignore_classes",))
    others: list[Annotations] = []
    ignored: list[NDArray[np.float64]] = []
    for objects in true:
        of_class = np.array([name.casefold() in wanted for name in objects.names], np.bool_)
        others.append(objects.select(~of_class))
        ignored.append(objects.boxes[of_class])
    return others, ignored


def off_ignored(
    detections: Detections, ignored: NDArray[np.float64], cells: NDArray[np.float64], file: str, remarks: Remarks
) -> Detections:
    """The detections whose centre lies in no box to ignore, and those that overlap a cell enough to match it.

    Args:
        detections: detections of an image.
        ignored: (N, 4), boxes to ignore, in the same frame.
        cells: (M, 4), cells that count, in the same frame.
        file: name of the file of predictions, for remarks.
        remarks: collects what was left out.
    """
    left_out = centre_in_any(detections.boxes, ignored)
    on_cell = iou_matrix(detections.boxes[left_out], cells).max(axis=1, initial=0.0) >= MATCH_IOU
    left_out[left_out] = ~on_cell
    remarks.add("Predictions left out, on objects of classes to ignore", file, int(left_out.sum()))
    return detections.select(~left_out)

"""Whether a network in 8-bit integers still finds what the network finds.

Rounding to 8 bits moves every score and box a little, so there is nothing to be exact about: candidates may differ by
a few times what was measured on a network that lost nothing (95% within 0.011 in score and 0.6 px), and of the
detections, which are what a user sees, at most one in ten may be lost or new. Most of those have a score beside the
threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from signetscan.boxes import iou_matrix
from signetscan.errors import ModelError
from signetscan.models.detector import load_detector
from signetscan.scan.merge import suppress
from signetscan.training.detector import TorchDetector

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.models.spec import ModelSpec
    from signetscan.training.retinanet import RetinaNet

CHECK_SCORE = 0.3
"""Candidates of the network above this score are compared."""
QUANTILE = 0.95
"""Part of them that must keep the limits."""
MAX_BOX_ERROR = 2.0
"""Largest distance of an edge from that of the nearest candidate of the file, pixels: a cell is 40 to 120 px wide."""
MAX_SCORE_ERROR = 0.03
"""Largest difference of its score."""
SAME_IOU = 0.5
"""Detections that overlap by this IoU are the same."""
MAX_CHANGED = 0.1
"""Largest part of the network's detections that the file may miss, and of the file's that the network has not."""
LEAST = 10
"""Detections of the network without which nothing is proved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How much a model file differs from its network on the same tiles."""

    box_px: float
    """Distance of an edge from that of the same candidate, pixels."""
    score: float
    """Difference of its score."""
    missed: float = 0.0
    """Part of the network's detections that the file does not have, 0 to 1; counted for int8 only."""
    added: float = 0.0
    """Part of the file's detections that the network does not have, 0 to 1; counted for int8 only."""


def check_int8(
    network: RetinaNet,
    spec: ModelSpec,
    path: str | os.PathLike[str],
    tiles: Sequence[NDArray[np.uint8]],
    *,
    runs_on: Sequence[NDArray[np.uint8]] = (),
) -> Differences:
    """Compare a model file in 8-bit integers with its network, in fp32, on tiles of tissue with cells.

    Args:
        network: the network, in evaluation mode, on the CPU.
        spec: the contract; its score threshold says what a detection is.
        path: the model file.
        tiles: the tiles, each (H, W, 3), uint8.
        runs_on: tiles of other shapes, on which the file need only run.

    Returns:
        The 95% quantiles of the differences of candidates, and how many detections changed.

    Raises:
        ModelError: they differ by more than the limits, or the tiles show too little to tell.
    """
    reference = TorchDetector(network, spec, torch.device("cpu"))
    detector = load_detector(path, device="cpu")
    for tile in runs_on:
        detector.detect(tile[None], spec.score_threshold)
    errors: list[NDArray[np.float64]] = []
    counts = np.zeros((2, 2), np.int64)
    for tile in tiles:
        (ours,) = reference.detect(tile[None], 0.0)
        (theirs,) = detector.detect(tile[None], 0.0)
        errors.append(_errors(ours.select(ours.scores >= CHECK_SCORE), theirs))
        counts += _counts(_detections(ours, spec), _detections(theirs, spec))
    (kept, total), (shared, all_theirs) = counts.tolist()
    if total < LEAST:
        message = (
            f"{spec.name}: the network detects {total} cells in the {len(tiles)} tiles that the int8 model would be "
            f"checked on, too few to tell whether it detects them too; name more slides with cells to check on"
        )
        raise ModelError(message, options=("check_on",))
    compared = np.concatenate(errors)
    if len(compared) == 0:
        message = (
            f"{spec.name}: the network scores nothing in the {len(tiles)} tiles that the int8 model would be checked "
            f"on at {CHECK_SCORE} or more, too little to tell whether it does as well; train it for longer"
        )
        raise ModelError(message)
    score, box = np.quantile(compared, QUANTILE, axis=0, method="higher").tolist()
    added = 1 - shared / all_theirs if all_theirs else 0.0
    worst = Differences(box_px=box, score=score, missed=1 - kept / total, added=added)
    _refuse(spec.name, worst)
    return worst


def _refuse(name: str, worst: Differences) -> None:
    # Asked this way round, so that what is not a number is refused too.
    near = worst.box_px <= MAX_BOX_ERROR and worst.score <= MAX_SCORE_ERROR
    if near and worst.missed <= MAX_CHANGED and worst.added <= MAX_CHANGED:
        return
    message = (
        f"{name}: the int8 model differs from torch too much: {QUANTILE:.0%} of candidates are within "
        f"{worst.box_px:.2f} px and {worst.score:.3f} in score, {worst.missed:.0%} of detections are missed "
        f"and {worst.added:.0%} new; it was not written. Calibrate it on more tissue with cells"
    )
    raise ModelError(message, options=("calibrate_on",))


def _detections(candidates: Detections, spec: ModelSpec) -> Detections:
    """The detections that a user would see in one tile."""
    return suppress(candidates.select(candidates.scores >= spec.score_threshold), spec.nms_iou)


def _errors(ours: Detections, theirs: Detections) -> NDArray[np.float64]:
    """(N, 2), difference in score and in pixels of each of our candidates from the nearest of theirs."""
    if len(ours) == 0 or len(theirs) == 0:
        return np.full((len(ours), 2), np.inf)
    apart = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(axis=2)
    apart[ours.labels[:, None] != theirs.labels[None]] = np.inf
    nearest = apart.argmin(axis=1)
    return np.stack([np.abs(ours.scores - theirs.scores[nearest]), apart.min(axis=1)], axis=1).astype(np.float64)


def _counts(ours: Detections, theirs: Detections) -> NDArray[np.int64]:
    """((ours that are among theirs, ours), (theirs that are among ours, theirs))."""
    same = iou_matrix(ours.boxes, theirs.boxes) >= SAME_IOU
    same &= ours.labels[:, None] == theirs.labels[None]
    return np.array([[same.any(axis=1).sum(), len(ours)], [same.any(axis=0).sum(), len(theirs)]], np.int64)

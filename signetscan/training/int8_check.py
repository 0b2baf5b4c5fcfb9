"""The check that a network in 8-bit integers still detects what the network detects.

Rounding to 8 bits moves every score and box a little, so results cannot be compared exactly. Candidates may differ by a
few times what was measured on a network that lost no cells (95% within 0.011 in score and 0.6 px). Of the detections,
which are what a user sees, at most one in ten may be lost or new; most of those have a score near the threshold.
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
    from signetscan.models.detection_spec import DetectionSpec
    from signetscan.training.retinanet import RetinaNet

CHECK_SCORE = 0.3
"""Candidates of the network above this score are compared."""
QUANTILE = 0.95
"""Part of the candidates that must keep within the limits."""
MAX_BOX_ERROR = 2.0
"""Largest distance of an edge from that of the file's nearest candidate, pixels: a cell is 40 to 120 px wide."""
MAX_SCORE_ERROR = 0.03
"""Largest difference between the scores of the two."""
SAME_IOU = 0.5
"""Detections that overlap by at least this IoU are the same."""
MAX_CHANGED = 0.1
"""Largest part of the network's detections that the file may miss, and of the file's that the network does not have."""
LEAST_DETECTIONS = 10
"""Detections of the network in all tiles below which a check proves nothing: one lost cell would decide it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How much the results of a model file differ from its network's on the same tiles."""

    box_px: float
    """Distance between the edges of the same candidate, pixels."""
    score: float
    """Difference between its scores."""
    missed: float = 0.0
    """Part of the network's detections that the file does not have, 0 to 1; counted for int8 only."""
    added: float = 0.0
    """Part of the file's detections that the network does not have, 0 to 1; counted for int8 only."""


def check_int8(
    network: RetinaNet,
    spec: DetectionSpec,
    path: str | os.PathLike[str],
    tiles: Sequence[NDArray[np.uint8]],
    *,
    runs_on: Sequence[NDArray[np.uint8]] = (),
) -> Differences:
    """Compare a model file in 8-bit integers with its network, in fp32, on tiles of tissue with cells.

    Args:
        network: the network, in evaluation mode, on the CPU.
        spec: the contract; its score threshold decides which candidates are detections.
        path: the model file.
        tiles: the tiles, each (H, W, 3), uint8.
        runs_on: tiles of other shapes, on which the file must run, whatever it detects.

    Returns:
        The 95% quantiles of the candidates' differences, and the parts of the detections that changed.

    Raises:
        ModelError: the results differ by more than the limits, or the tiles show too few cells to tell.
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
    if total < LEAST_DETECTIONS:
        message = (
            f"{spec.name}: too few cells to check the int8 model on (tiles: {len(tiles)}, cells that the network "
            f"detects: {total}, needed: {LEAST_DETECTIONS}); name more slides with cells to check on"
        )
        raise ModelError(message, options=("check_on",))
    compared = np.concatenate(errors)
    if len(compared) == 0:
        message = (
            f"{spec.name}: the network has no candidate with a score of {CHECK_SCORE} or more to check the int8 model "
            f"by (tiles: {len(tiles)}); train it for longer"
        )
        raise ModelError(message)
    score, box = np.quantile(compared, QUANTILE, axis=0, method="higher").tolist()
    added = 1 - shared / all_theirs if all_theirs else 0.0
    worst = Differences(box_px=box, score=score, missed=1 - kept / total, added=added)
    _refuse(spec.name, worst)
    return worst


def _refuse(name: str, worst: Differences) -> None:
    # Asks whether all is well, not whether something is wrong, because a comparison with nan is false.
    near = worst.box_px <= MAX_BOX_ERROR and worst.score <= MAX_SCORE_ERROR
    if near and worst.missed <= MAX_CHANGED and worst.added <= MAX_CHANGED:
        return
    message = (
        f"{name}: the int8 model differs from torch too much: {QUANTILE:.0%} of candidates are within "
        f"{worst.box_px:.2f} px and {worst.score:.3f} in score, {worst.missed:.0%} of detections are missing "
        f"and {worst.added:.0%} are new; it was not written. Calibrate it on more tissue with cells"
    )
    raise ModelError(message, options=("calibrate_on",))


def _detections(candidates: Detections, spec: DetectionSpec) -> Detections:
    """The detections that a user would see in one tile."""
    return suppress(candidates.select(candidates.scores >= spec.score_threshold), spec.nms_iou)


def _errors(ours: Detections, theirs: Detections) -> NDArray[np.float64]:
    """Differences in score and in pixels of each of our candidates from the nearest of theirs, (N, 2)."""
    if len(ours) == 0 or len(theirs) == 0:
        return np.full((len(ours), 2), np.inf)
    distances = np.abs(ours.boxes[:, None] - theirs.boxes[None]).max(axis=2)
    distances[ours.labels[:, None] != theirs.labels[None]] = np.inf
    nearest = distances.argmin(axis=1)
    return np.stack([np.abs(ours.scores - theirs.scores[nearest]), distances.min(axis=1)], axis=1).astype(np.float64)


def _counts(ours: Detections, theirs: Detections) -> NDArray[np.int64]:
    """Numbers of detections, ((ours that are among theirs, all ours), (theirs that are among ours, all theirs))."""
    same = iou_matrix(ours.boxes, theirs.boxes) >= SAME_IOU
    same &= ours.labels[:, None] == theirs.labels[None]
    return np.array([[same.any(axis=1).sum(), len(ours)], [same.any(axis=0).sum(), len(theirs)]], np.int64)

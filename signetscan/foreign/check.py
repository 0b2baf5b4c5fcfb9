"""Checking a wrapped graph against the foreign one, whose outputs are decoded slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.errors import ModelError
from signetscan.foreign.in_numpy import decode, prepare
from signetscan.models.detector import candidates
from signetscan.models.runtime import model_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.foreign.kinds import BoxConvention
    from signetscan.models.detector import Detector
    from signetscan.models.runtime import Session

MAX_BOX_ERROR = 0.01
"""Largest difference of a box between the two ways, pixels."""
MAX_SCORE_ERROR = 1e-4
"""Largest difference of a score."""
GRAIN = 16
"""Size of the spots on a made-up tile, pixels: about a nucleus at 0.5 µm/px."""
DARK, LIGHT = (90, 60, 130), (235, 200, 220)
"""Colours of the spots, and between them: those of nuclei and of stroma."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How closely a wrapped graph follows the foreign one."""

    candidates: int
    """Number of candidates that were compared."""
    box_px: float
    """Largest difference of a box, pixels."""
    score: float
    """Largest difference of a score."""


def made_up_tiles(side: int) -> list[NDArray[np.uint8]]:
    """Square tiles to try a graph on: one of noise, one with dark spots, and one of blank glass."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (side, side, 3), np.uint8)
    coarse = Image.fromarray(rng.integers(0, 256, (max(side // GRAIN, 1),) * 2, np.uint8))
    darkness = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float64)[..., None] / 255
    spots = (darkness * DARK + (1 - darkness) * LIGHT).astype(np.uint8)
    return [noise, spots, np.full((side, side, 3), 240, np.uint8)]


def takes_any_batch(detector: Detector, tiles: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether a detector finds in two tiles at once what it finds in each alone."""
    pair = np.stack(tiles[:2])
    try:
        with model_errors():
            together = detector.detect(pair, 0.0)
            alone = [found for tile in pair for found in detector.detect(tile[None], 0.0)]
        for one, other in zip(together, alone, strict=True):
            _compared(one, other)
    except ModelError:
        return False
    return True


def check_wrapped(
    detector: Detector, foreign: Session, convention: BoxConvention, tiles: Sequence[NDArray[np.uint8]]
) -> Agreement:
    """Compare what a wrapped graph finds on tiles with what the foreign one gives for them.

    Raises:
        ModelError: they differ, a graph cannot be run, or there is no candidate in any tile.
    """
    worst = Agreement(candidates=0, box_px=0.0, score=0.0)
    for tile in tiles:
        with model_errors():
            (found,) = detector.detect(tile[None], 0.0)
            arrays = foreign.run_on(prepare(convention.picture, tile))
        boxes, scores, labels = decode(convention, arrays)
        (expected,) = candidates(boxes[None], scores[None], labels[None], 0.0)
        compared = _compared(found, expected)
        worst = Agreement(
            candidates=worst.candidates + compared.candidates,
            box_px=max(worst.box_px, compared.box_px),
            score=max(worst.score, compared.score),
        )
    if worst.candidates == 0:
        message = "it finds nothing in made-up tiles, so nothing could be compared; name a slide or image with cells"
        raise ModelError(message, options=("check_on",))
    return worst


def _compared(found: Detections, expected: Detections) -> Agreement:
    """Compare candidates of a tile, both by falling score.

    Raises:
        ModelError: they differ.
    """
    if len(found) != len(expected):
        message = f"the wrapped graph gives {len(found)} candidates where the foreign one gives {len(expected)}"
        raise ModelError(message)
    if not len(found):
        return Agreement(candidates=0, box_px=0.0, score=0.0)
    score = float(np.abs(found.scores - expected.scores).max())
    box = max(_farthest(found, expected), _farthest(expected, found))
    if score > MAX_SCORE_ERROR or box > MAX_BOX_ERROR:
        message = (
            f"the wrapped graph differs from the foreign one by {box:.4f} px and {score:.6f} in score, so it was not "
            "written"
        )
        raise ModelError(message)
    return Agreement(candidates=len(found), box_px=box, score=score)


def _farthest(found: Detections, expected: Detections) -> float:
    """The largest distance, pixels, from a candidate to the nearest of its label and, but for rounding, its score."""
    distances = np.abs(found.boxes - expected.boxes).max(axis=1)
    distances[found.labels != expected.labels] = np.inf
    # Candidates of the same score may come in another order.
    falling = -expected.scores.astype(np.float64)
    for index in np.flatnonzero(distances > MAX_BOX_ERROR):
        score = -float(found.scores[index])
        start, end = np.searchsorted(falling, (score - MAX_SCORE_ERROR, score + MAX_SCORE_ERROR))
        near = np.abs(expected.boxes[start:end] - found.boxes[index]).max(axis=1)
        near = near[expected.labels[start:end] == found.labels[index]]
        distances[index] = near.min(initial=np.inf)
    return float(distances.max())

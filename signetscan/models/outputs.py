"""The outputs of a model on a batch of tiles, checked against the contract: a broken model must not become a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = 1e-5
"""A score may be outside 0 to 1 by this much, which rounding takes away: a softmax may give 1.0000001."""
HALF_ROUNDING = 1e-3
"""The same for a probability in half precision."""


def check_outputs(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    tiles: tuple[int, int, int],
    rows: int | None,
    classes: int,
) -> None:
    """Check what a model gives for B tiles. A row whose score is 0 is padding, and its box means nothing.

    Args:
        boxes: (B, K, 4), x0, y0, x1, y1 in tile pixels.
        scores: (B, K).
        labels: (B, K).
        tiles: number of the tiles, and their height and width, pixels.
        rows: K as the graph declares it; None if it leaves it open.
        classes: number of the model's classes.

    Raises:
        ModelError: the outputs break the contract; the message says how.
    """
    problem = (
        _shape_problem((boxes.shape, scores.shape, labels.shape), tiles, rows)
        or _score_problem(scores)
        or _label_problem(labels, classes)
        or _box_problem(boxes[scores > 0].astype(np.float64), tiles[1:])
    )
    if problem:
        raise ModelError(problem)


def check_probabilities(
    output: NDArray[np.uint8] | NDArray[np.float16], shape: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Check what a model that segments gives for B tiles.

    Args:
        output: the probabilities; as uint8, times 255.
        shape: the shape that they must have, (B, C, rows, columns).

    Returns:
        The probabilities times 255.

    Raises:
        ModelError: the output breaks the contract; the message says how.
    """
    if output.shape != shape:
        message = f"its output has the shape {output.shape}, and should have {shape}"
        raise ModelError(message)
    if output.dtype == np.float16:
        # Asks whether all is well, not whether something is wrong, because a comparison with nan is false.
        fine = (output >= -HALF_ROUNDING) & (output <= 1 + HALF_ROUNDING)
        if not fine.all():
            message = f"it gives a probability of {output[~fine][0]:g}; probabilities are from 0 to 1"
            raise ModelError(message)
        probabilities = np.rint(output.astype(np.float32) * 255).clip(0, 255).astype(np.uint8)
    else:
        probabilities = output.astype(np.uint8, copy=False)
    sums = probabilities.sum(axis=1, dtype=np.int32)
    # Each of the C probabilities may have been cut to a whole number.
    apart = np.abs(sums - 255) > shape[1]
    if apart.any():
        message = f"the probabilities of all classes add up to {sums[apart][0] / 255:.3f} at some place, not to 1"
        raise ModelError(message)
    return probabilities


def _shape_problem(shapes: tuple[tuple[int, ...], ...], tiles: tuple[int, int, int], rows: int | None) -> str:
    boxes, scores, labels = shapes
    count, height, width = tiles
    if boxes != (*scores, 4) or labels != scores or scores[0] != count:
        together = f"boxes {boxes}, scores {scores}, labels {labels}, for a batch of {count}"
        return f"the shapes of its outputs do not fit together: {together}"
    if rows is not None and scores[1] != rows:
        return f"it gives {scores[1]} rows for a tile, and its graph promises {rows}"
    if scores[1] > height * width:
        return f"it gives {scores[1]} rows for a tile of {width} x {height} px, more than the tile has pixels"
    return ""


def _score_problem(scores: NDArray[np.float32]) -> str:
    # Asks whether all is well, not whether something is wrong, because a comparison with nan is false.
    fine = (scores >= -ROUNDING) & (scores <= 1 + ROUNDING)
    return "" if fine.all() else f"it gives a score of {scores[~fine][0]:g}; scores are from 0 to 1"


def _label_problem(labels: NDArray[np.int64], classes: int) -> str:
    if not labels.size or (labels.min() >= 0 and labels.max() < classes):
        return ""
    return f"labels {labels.min()} to {labels.max()}, some without a class name"


def _box_problem(boxes: NDArray[np.float64], tile: tuple[int, int]) -> str:
    """What is wrong with boxes (N, 4) of tiles (height, width); empty if nothing is."""
    height, width = tile
    for which, why in (
        (np.isfinite(boxes).all(axis=1), "which is not finite"),
        ((boxes[:, 2:] >= boxes[:, :2]).all(axis=1), "whose ends are before its beginnings"),
    ):
        if not which.all():
            x0, y0, x1, y1 = boxes[~which][0].tolist()
            return f"it gives a box of x {x0:g} to {x1:g} and y {y0:g} to {y1:g}, {why}"
    # Some boxes of low scores may lie anywhere, but not all.
    touches = (boxes[:, 2:] >= 0).all(axis=1) & (boxes[:, :2] <= (width, height)).all(axis=1)
    return "" if touches.any() or not len(boxes) else f"none of its boxes touches its tile of {width} x {height} px"

"""Single detections and cells to look at: hits, misses and false positives, a bounded number of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.matching import cells_found, of_classes
from signetscan.evaluation.options import MATCH_IOU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.evaluation.matching import ImageResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One box in one image."""

    image: int
    """Index of the image."""
    box: Box
    """x0, y0, x1, y1 in the image's frame."""
    label: int
    """Class."""
    score: float
    """The detection's; of a missed cell that of the detection that would find it below the threshold, nan for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What to look at, and how many of each kind there are in all."""

    best_hits: tuple[Example, ...]
    """Hits, the highest scores first."""
    worst_hits: tuple[Example, ...]
    """Hits not among the best, the lowest scores first."""
    misses: tuple[Example, ...]
    """Cells that no detection finds from the threshold on, spread evenly over the images."""
    false_positives: tuple[Example, ...]
    """Detections in normal images, the highest scores first."""
    unmatched: tuple[Example, ...]
    """Detections in images with cells that find no annotated cell, the highest scores first. Where annotation is
    partial they may be cells that nobody boxed."""
    hits_in_all: int
    misses_in_all: int
    false_positives_in_all: int
    unmatched_in_all: int


def pick_examples(results: Sequence[ImageResult], threshold: float, *, limit: int, iou: float = MATCH_IOU) -> Examples:
    """Sort detections and cells of all images into hits, misses and false positives, and pick some of each.

    Args:
        results: one entry an image.
        threshold: score from which detections count.
        limit: most examples of a kind; best and worst hits together are one kind.
        iou: least IoU of a detection with a cell of its class that it finds.
    """
    hits: list[Example] = []
    misses: list[Example] = []
    false_positives: list[Example] = []
    unmatched: list[Example] = []
    for number, result in enumerate(results):
        finds = _finds(result, iou)
        counts = result.detections.scores >= threshold
        (false_positives if result.normal else unmatched).extend(_detections(result, number, counts & (finds < 0)))
        hits += _detections(result, number, counts & (finds >= 0))
        misses += _missed(result, number, finds, counts)
    for kind in (hits, false_positives, unmatched):
        kind.sort(key=lambda example: -example.score)  # stable: equal scores stay in the order of the images
    best = hits[: -(-limit // 2)]
    return Examples(
        best_hits=tuple(best),
        worst_hits=tuple(hits[len(best) :][::-1][: limit - len(best)]),
        misses=tuple(_spread(misses, limit)),
        false_positives=tuple(false_positives[:limit]),
        unmatched=tuple(unmatched[:limit]),
        hits_in_all=len(hits),
        misses_in_all=len(misses),
        false_positives_in_all=len(false_positives),
        unmatched_in_all=len(unmatched),
    )


def _finds(result: ImageResult, iou: float) -> NDArray[np.intp]:
    """The cell that each detection finds, (len(detections),); -1 if none. Nothing is found in a normal image."""
    finds = np.full(len(result.detections), -1, np.intp)
    if not result.normal:
        for detections, cells in of_classes(result):
            own = cells_found(result.detections.select(detections), result.truth[cells], iou)
            finds[detections] = np.append(cells, -1)[own]
    return finds


def _detections(result: ImageResult, image: int, which: NDArray[np.bool_]) -> list[Example]:
    chosen = result.detections.select(which)
    rows = zip(chosen.boxes.tolist(), chosen.labels.tolist(), chosen.scores.tolist(), strict=True)
    return [
        Example(image=image, box=(x0, y0, x1, y1), label=label, score=score) for (x0, y0, x1, y1), label, score in rows
    ]


def _missed(result: ImageResult, image: int, finds: NDArray[np.intp], counts: NDArray[np.bool_]) -> list[Example]:
    """The cells that no detection which counts finds."""
    if result.normal:
        return []
    score_of = np.full(len(result.truth), np.nan)
    some = finds >= 0
    score_of[finds[some]] = result.detections.scores[some]
    labels = np.zeros(len(result.truth), np.int64) if result.labels is None else result.labels
    return [
        Example(
            image=image, box=tuple(result.truth[cell].tolist()), label=int(labels[cell]), score=float(score_of[cell])
        )
        for cell in np.setdiff1d(np.arange(len(result.truth)), finds[counts]).tolist()
    ]


def _spread(examples: Sequence[Example], limit: int) -> list[Example]:
    """Up to `limit` of them, at even steps."""
    if len(examples) <= limit:
        return list(examples)
    return [examples[index] for index in np.linspace(0, len(examples) - 1, limit).round().astype(int).tolist()]

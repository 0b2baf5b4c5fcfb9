"""Examples to look at: single hits, misses and false positives, a bounded number of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.matching import indices_by_class, matched_cells
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
    """The detection's score; of a missed cell, that of the detection below the threshold that matches it, or nan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Examples of each kind, and the number of all that there are."""

    best_hits: tuple[Example, ...]
    """Hits, the highest scores first."""
    worst_hits: tuple[Example, ...]
    """Hits that are not among the best, the lowest scores first."""
    misses: tuple[Example, ...]
    """Cells that no detection from the threshold on matches, spread evenly over the images."""
    false_positives: tuple[Example, ...]
    """Detections in normal images, the highest scores first."""
    unmatched: tuple[Example, ...]
    """Detections in images with cells that match no annotated cell, the highest scores first. Where annotation is
    partial, they may be cells that nobody boxed."""
    hits_in_all: int
    misses_in_all: int
    false_positives_in_all: int
    unmatched_in_all: int


def pick_examples(results: Sequence[ImageResult], threshold: float, *, limit: int, iou: float = MATCH_IOU) -> Examples:
    """Sort the detections and cells of all images into hits, misses and false positives, and pick some of each.

    Args:
        results: one entry for each image.
        threshold: lowest score of detections that count.
        limit: most examples of a kind; best and worst hits together are one kind.
        iou: least IoU of a detection with the cell of its class that it matches.
    """
    hits: list[Example] = []
    misses: list[Example] = []
    false_positives: list[Example] = []
    unmatched: list[Example] = []
    for number, result in enumerate(results):
        matched = _matched(result, iou)
        counts = result.detections.scores >= threshold
        (false_positives if result.normal else unmatched).extend(_detections(result, number, counts & (matched < 0)))
        hits += _detections(result, number, counts & (matched >= 0))
        misses += _misses(result, number, matched, counts)
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


def _matched(result: ImageResult, iou: float) -> NDArray[np.intp]:
    """Index of the cell that each detection matches, (len(detections),); -1 if none, as always in a normal image."""
    matched = np.full(len(result.detections), -1, np.intp)
    if not result.normal:
        for detections, cells in indices_by_class(result):
            within_class = matched_cells(result.detections.select(detections), result.truth[cells], iou)
            # With -1 appended to the cells, the index -1 of a detection without a cell stays -1.
            matched[detections] = np.append(cells, -1)[within_class]
    return matched


def _detections(result: ImageResult, image: int, which: NDArray[np.bool_]) -> list[Example]:
    chosen = result.detections.select(which)
    rows = zip(chosen.boxes.tolist(), chosen.labels.tolist(), chosen.scores.tolist(), strict=True)
    return [
        Example(image=image, box=(x0, y0, x1, y1), label=label, score=score) for (x0, y0, x1, y1), label, score in rows
    ]


def _misses(result: ImageResult, image: int, matched: NDArray[np.intp], counts: NDArray[np.bool_]) -> list[Example]:
    """The cells that no detection matches, of those that count."""
    if result.normal:
        return []
    score_of = np.full(len(result.truth), np.nan)
    hits = matched >= 0
    score_of[matched[hits]] = result.detections.scores[hits]
    labels = np.zeros(len(result.truth), np.int64) if result.labels is None else result.labels
    return [
        Example(
            image=image, box=tuple(result.truth[cell].tolist()), label=int(labels[cell]), score=float(score_of[cell])
        )
        for cell in np.setdiff1d(np.arange(len(result.truth)), matched[counts]).tolist()
    ]


def _spread(examples: Sequence[Example], limit: int) -> list[Example]:
    """Up to `limit` examples, evenly spaced."""
    if len(examples) <= limit:
        return list(examples)
    return [examples[index] for index in np.linspace(0, len(examples) - 1, limit).round().astype(int).tolist()]

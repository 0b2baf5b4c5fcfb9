"""The metrics of a run's epochs: which epoch is the best, and by which figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ALWAYS = ("epoch", "loss_class", "loss_box", "rate", "seconds")
"""Metrics of every epoch."""
OF_VALIDATION = ("recall", "precision", "fps_score", "threshold")
"""Metrics of every epoch that has a FROC."""


def is_row(row: Mapping[str, float]) -> bool:
    """Whether the metrics of an epoch are complete."""
    return row.keys() >= set(ALWAYS) and ("froc" not in row or row.keys() >= set(OF_VALIDATION))


def froc_of(row: Mapping[str, float]) -> float:
    """FROC of an epoch; nan without normal images, where earlier versions wrote the recall of all detections."""
    return math.nan if math.isnan(row.get("fps_score", math.nan)) else row.get("froc", math.nan)


def merit(row: Mapping[str, float]) -> float:
    """The figure by which an epoch is chosen: AP50, in which detections in normal images are false; nan without it.

    FROC would not do: it counts recall alone, and once normal images have few false positives, it is that of all
    detections, which changes little from epoch to epoch while precision does.
    """
    return row.get("ap50", math.nan)


def chosen_by(history: Sequence[Mapping[str, float]]) -> str:
    """The figure by which the best epoch is chosen, in words; the latest epoch decides which it is."""
    if not math.isnan(merit(history[-1])):
        return "AP50"
    # An earlier version chose by FROC; a run of it that has ended can still be reported on.
    return "nothing, so it is the latest" if math.isnan(froc_of(history[-1])) else "FROC"


def is_best(history: Sequence[Mapping[str, float]], figure: Callable[[Mapping[str, float]], float] = merit) -> bool:
    """Whether the latest epoch is at least as good as all before; without validation, every epoch is.

    Args:
        history: the metrics of all epochs.
        figure: the figure by which an epoch is chosen; nan where it is not known.
    """
    *before, latest = map(figure, history)
    known = [value for value in before if not math.isnan(value)]
    return not known if math.isnan(latest) else latest >= max(known, default=-math.inf)

"""The methods that are compared, and the runs that are still to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.training.options import LossOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATES = (0.0, 0.3, 0.5, 0.7)
ORDER = (0.7, 0.0, 0.5, 0.3)
"""Rates in the order of running: those that tell most first."""
REFERENCE = "ce-dice"
"""The method that the others are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of the tables."""

    title: str
    loss: LossOptions
    dice_weight: float
    """Weight of soft Dice beside the loss over pixels."""
    clean_dice: bool = False
    """Whether Dice sums over clean pixels only, though its loss over pixels trusts all of them."""
    aside: bool = False
    """Whether it runs only if asked for."""


METHODS = {
    "ce": Method(title="CE", loss=LossOptions(loss="ce"), dice_weight=0.0),
    "ce-dice": Method(title="CE + Dice", loss=LossOptions(loss="ce"), dice_weight=1.0),
    "ghm": Method(title="GHM", loss=LossOptions(loss="ghm-c"), dice_weight=0.0),
    "dghm": Method(title="DGHM", loss=LossOptions(loss="dghm-c"), dice_weight=0.0),
    "dghm-dice": Method(title="DGHM + Dice on clean pixels", loss=LossOptions(loss="dghm-c"), dice_weight=1.0),
    "ce-clean-dice": Method(
        title="CE + Dice on clean pixels", loss=LossOptions(loss="ce"), dice_weight=1.0, clean_dice=True, aside=True
    ),
    "dghm-early-dice": Method(
        title="DGHM, outliers from 0.7, + Dice on clean pixels",
        loss=LossOptions(loss="dghm-c", outlier=0.7),
        dice_weight=1.0,
        aside=True,
    ),
}

Job = tuple[int, float, str]
"""Seed, rate of dropped outlines, and method."""


def jobs_for(seeds: Sequence[int], rates: Sequence[float], methods: Sequence[str], done: set[Job]) -> Iterator[Job]:
    """All runs that are still to be made, seed by seed, so that a full table of one seed is there early."""
    for seed in seeds:
        for rate in rates:
            for method in methods:
                if (seed, rate, method) not in done:
                    yield seed, rate, method

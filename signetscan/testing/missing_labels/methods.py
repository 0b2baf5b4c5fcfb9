"""The methods that are compared, and the runs that are still to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.training.options import LossOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATES = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
ORDER = (0.7, 0.3, 0.5, 0.2, 0.0, 0.4, 0.6)
"""Missing rates in the order of running: those that tell most first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of the table."""

    title: str
    loss: LossOptions
    teacher: str | None = None
    """The method whose model adds pseudo-labels first."""
    aside: bool = False
    """Whether it is a choice that the paper leaves open, which runs only if asked for."""


EARLY = LossOptions(loss="dghm-c", outlier=0.7)
METHODS = {
    "ce": Method(title="CE", loss=LossOptions(loss="ce")),
    "focal": Method(title="focal", loss=LossOptions(loss="focal")),
    "ghm-c": Method(title="GHM-C", loss=LossOptions(loss="ghm-c")),
    "dghm-c": Method(title="DGHM-C, outliers from 0.9 (paper)", loss=LossOptions(loss="dghm-c")),
    "dghm-c-early": Method(title="DGHM-C, outliers from 0.7", loss=EARLY),
    "repair": Method(title="DGHM-C, outliers from 0.7, pseudo-labels", loss=EARLY, teacher="dghm-c-early"),
    "dghm-c-region": Method(
        title="DGHM-C, density per region", loss=LossOptions(loss="dghm-c", per_width=False), aside=True
    ),
    "dghm-c-mean": Method(
        title="DGHM-C, running mean of counts (0.75)", loss=LossOptions(loss="dghm-c", momentum=0.75), aside=True
    ),
    "dghm-c-thirty": Method(title="DGHM-C, 30 regions", loss=LossOptions(loss="dghm-c", bins=30), aside=True),
    "dghm-c-star": Method(title="DGHM-C*", loss=LossOptions(loss="dghm-c-star"), aside=True),
    "dghm-c-half": Method(title="DGHM-C, outliers from 0.5", loss=LossOptions(loss="dghm-c", outlier=0.5), aside=True),
}

Job = tuple[int, float, str]
"""Seed, missing rate and method."""


def jobs_for(seeds: int, rates: Sequence[float], methods: Sequence[str], done: set[Job]) -> Iterator[Job]:
    """All runs that are still to be made, seed by seed, so that a full table of one seed is there early.

    A method that starts from another one's run is part of that one's job.
    """
    for seed in range(seeds):
        for rate in rates:
            for method in methods:
                names = [method, *followers(method)]
                if METHODS[method].teacher is None and any((seed, rate, name) not in done for name in names):
                    yield seed, rate, method


def followers(method: str) -> list[str]:
    """The methods that start from a run of this one."""
    return [name for name, other in METHODS.items() if other.teacher == method]

"""Checking a wrapped graph that segments against the foreign one, whose outputs are decoded slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.errors import ModelError
from signetscan.foreign.in_numpy import decode_places, prepare
from signetscan.foreign.places_in_graph import FULL
from signetscan.models.runtime import model_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.foreign.kinds import PlaceConvention
    from signetscan.models.runtime import Session
    from signetscan.models.segmenter import Segmenter

MAX_ERROR = 1 / FULL
"""Largest difference of a probability between the two ways. Half of it is rounding: a model file gives bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceAgreement:
    """How closely a wrapped graph that segments follows the foreign one."""

    places: int
    """Number of places that were compared."""
    probability: float
    """Largest difference of a probability, 0 to 1."""


def segments_any_batch(segmenter: Segmenter, tiles: Sequence[NDArray[np.uint8]]) -> bool:
    """Whether a segmenter says of two tiles at once what it says of each alone."""
    pair = np.stack(tiles[:2])
    try:
        with model_errors():
            together = segmenter.segment(pair).astype(np.int16)
            alone = np.concatenate([segmenter.segment(tile[None]) for tile in pair])
    except ModelError:
        return False
    return bool(np.abs(together - alone).max() <= 1)


def check_places(
    segmenter: Segmenter, foreign: Session, convention: PlaceConvention, tiles: Sequence[NDArray[np.uint8]]
) -> PlaceAgreement:
    """Compare what a wrapped graph says of tiles with what the foreign one says of them.

    Raises:
        ModelError: they differ, a graph cannot be run, or it says the same of every place.
    """
    worst, places = 0.0, 0
    found: list[NDArray[np.uint8]] = []
    for tile in tiles:
        with model_errors():
            (ours,) = segmenter.segment(tile[None])
            theirs = _foreign_places(foreign, convention, tile)
        apart = np.abs(ours / FULL - theirs) if ours.shape == theirs.shape else np.array(np.inf)
        # Asks whether all is well, not whether something is wrong, because a comparison with nan is false.
        if not (apart <= MAX_ERROR).all():
            message = f"the wrapped graph differs from the foreign one by {apart.max():.4f} in probability, so it was "
            raise ModelError(message + "not written")
        worst, places = max(worst, float(apart.max())), places + ours[0].size
        found.append(ours.reshape(len(ours), -1))
    joined = np.concatenate(found, axis=1)
    if (joined == joined[:, :1]).all():
        message = "it says the same of every place, so nothing could be compared; name a slide or image with tissue"
        raise ModelError(message, options=("check_on",))
    return PlaceAgreement(places=places, probability=worst)


def _foreign_places(foreign: Session, convention: PlaceConvention, tile: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The probabilities (C, rows, columns) by a foreign graph, which gets the patches of a tile one by one."""
    side, name = convention.picture.side, convention.output.name
    rows = [
        np.concatenate(
            [
                decode_places(convention, foreign.run_on(prepare(convention.picture, patch))[name])
                for patch in np.split(row, tile.shape[1] // side, axis=1)
            ],
            axis=2,
        )
        for row in np.split(tile, tile.shape[0] // side, axis=0)
    ]
    return np.concatenate(rows, axis=1)

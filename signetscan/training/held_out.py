"""The figures of a model at its score threshold on held-out images, with intervals, for its file and its users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.evaluation.bootstrap import estimates_of, intervals, units_of
from signetscan.evaluation.tally import make_tally, share
from signetscan.models.held_out import HeldOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from signetscan.evaluation import ImageResult

RESAMPLES = 1000
"""Number of resamples, as in `signetscan evaluate`."""


def held_out_figures(results: Sequence[ImageResult], threshold: float) -> HeldOut:
    """Recall, precision, F1 and false positives at a threshold, of all classes together.

    Args:
        results: the held-out images, with detections down to the threshold.
        threshold: lowest score that counts.
    """
    tally = make_tally(results)
    above = tally.scores >= threshold
    counts = {
        name: np.bincount(tally.image[which], minlength=len(results))
        for name, which in (("found", above & tally.hits), ("detected", above))
    }

    def figures(weights: NDArray[np.int64]) -> dict[str, float]:
        # At one threshold each figure is a ratio of sums over images, so that resamples need no detections.
        found = int(counts["found"] @ weights)
        in_normal, in_positive = (int(counts["detected"][which] @ weights[which]) for which in (normal, ~normal))
        cells = tally.total_cells(weights)
        return {
            "recall": share(found, cells),
            "precision": share(found, in_positive),
            "f1": share(2 * found, in_positive + in_normal + cells),
            "false_positives_per_normal": share(in_normal, tally.total_normals(weights)),
        }

    normal, units = tally.normal, units_of(results)
    estimates = intervals(figures, figures(tally.weights()), units, count=RESAMPLES, seed=0)
    return HeldOut(
        threshold=threshold,
        cells=int(tally.cells.sum()),
        positives=int((~normal).sum()),
        normals=int(normal.sum()),
        intervals="" if units is None else str(units.resampled),
        **estimates_of(estimates),
    )

"""Detections as a CSV table."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from signetscan.boxes import centres
from signetscan.outputs.atomic import atomic_text
from signetscan.outputs.geojson import detection_ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.slides import Mpp

COLUMNS = {
    "id": "UUID, the same as in the GeoJSON file",
    "class": "class name",
    "score": "0 to 1",
    "x0_px": "left edge of the box, level-0 pixels",
    "y0_px": "top edge, level-0 pixels",
    "x1_px": "right edge, level-0 pixels",
    "y1_px": "bottom edge, level-0 pixels",
    "centre_x_um": "centre of the box, um from the left edge of level 0",
    "centre_y_um": "centre, um from the top edge of level 0",
    "width_um": "width of the box, um",
    "height_um": "height of the box, um",
}
"""Columns and what they hold. Pixels count from the corner of level 0, not from QuPath's bounds."""


def write_csv(path: Path, detections: Detections, class_names: Sequence[str], *, source: str, mpp: Mpp) -> None:
    """Write one row a detection, in the order given.

    Args:
        path: the file to write.
        detections: boxes in level-0 pixels.
        class_names: name of each label.
        source: what slide and model the detections come from (their fingerprints), for stable ids.
        mpp: size of a level-0 pixel.

    Raises:
        OutputError: the file cannot be written.
    """
    middle = centres(detections.boxes) * (mpp.x, mpp.y)
    size = (detections.boxes[:, 2:] - detections.boxes[:, :2]) * (mpp.x, mpp.y)
    ids = detection_ids(detections, class_names, source)
    rows = zip(
        ids,
        detections.labels.tolist(),
        detections.scores.tolist(),
        detections.boxes.tolist(),
        middle,
        size,
        strict=True,
    )
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for identity, label, score, box, (x, y), (width, height) in rows:
            writer.writerow(
                [
                    identity,
                    class_names[label],
                    f"{score:.4f}",
                    *(f"{edge:.2f}" for edge in box),
                    *(f"{length:.3f}" for length in (x, y, width, height)),
                ]
            )

"""Whether two runs have the same results: the key of a run, by which a batch that goes on skips what is done."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from signetscan.options import result_values
from signetscan.results.run_record import SCHEMA

if TYPE_CHECKING:
    from signetscan.models.detector import Detector
    from signetscan.scan.options import ResolvedScanOptions
    from signetscan.scan.roi import Roi
    from signetscan.slides import Slide


def run_key(
    slide: Slide,
    size: int,
    detector: Detector,
    options: ResolvedScanOptions,
    *,
    crop_to_bounds: bool,
    roi: Roi | None = None,
) -> str:
    """A text that is the same for runs whose results are: of the same slide, model and options.

    Args:
        slide: the slide.
        size: bytes of its file. OpenSlide's fingerprint covers the overview alone.
        detector: the model.
        options: how it is scanned.
        crop_to_bounds: whether GeoJSON counts from the slide's bounds.
        roi: the region of interest to which the scan keeps.
    """
    mpp = None if slide.mpp is None else (slide.mpp.x, slide.mpp.y)
    parts = [SCHEMA, slide.fingerprint, size, mpp, detector.sha256, result_values(options), crop_to_bounds]
    if roi is not None:
        parts.append(roi.digest)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

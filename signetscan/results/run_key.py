"""The key of a run: runs with the same key have the same results, so a resumed batch skips them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from signetscan.options import result_values
from signetscan.results.run_record import SCHEMA

if TYPE_CHECKING:
    from signetscan.models.detector import Detector
    from signetscan.models.segmenter import Segmenter
    from signetscan.scan.calibrated import CalibratedThreshold
    from signetscan.scan.options import ResolvedReadingOptions
    from signetscan.scan.roi import Roi
    from signetscan.slides import Slide


def run_key(
    slide: Slide,
    content: str,
    model: Detector | Segmenter,
    options: ResolvedReadingOptions,
    *,
    crop_to_bounds: bool,
    roi: Roi | None = None,
    calibrated: CalibratedThreshold | None = None,
    tissue: str | None = None,
) -> str:
    """A text that is equal for runs of the same slide, model and options, which have the same results.

    Args:
        slide: the slide.
        content: what its files hold, from `content_of`: OpenSlide's fingerprint covers the overview alone.
        model: the model.
        options: how the slide is scanned.
        crop_to_bounds: whether GeoJSON counts from the slide's bounds.
        roi: the region of interest, if the scan keeps to one.
        calibrated: the calibration that the threshold is from, if it is from one: results say so.
        tissue: SHA-256 of the class map in which the tissue of cells is looked up, if it is.
    """
    mpp = None if slide.mpp is None else (slide.mpp.x, slide.mpp.y)
    parts = [SCHEMA, slide.fingerprint, content, mpp, model.sha256, result_values(options), crop_to_bounds]
    if roi is not None:
        parts.append(roi.digest)
    if calibrated is not None:
        parts.append({"calibration": calibrated.sha256})
    if tissue is not None:
        parts.append({"tissue": tissue})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

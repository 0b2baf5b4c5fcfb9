"""A model's detections on a simulated slide and the slide's ground truth, ready to be evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.annotations import read_geojson
from signetscan.evaluation import images_of
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import open_slide

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.evaluation import ImageResult
    from signetscan.models.detector import Detector


def results_of(slide: Path, detector: Detector) -> list[ImageResult]:
    """Detections and ground truth in each piece of tissue of a slide, level-0 pixels."""
    with open_slide(slide) as opened:
        result = detect_slide(opened, detector, ScanOptions(threshold=LEAST_SCORE))
    return with_truth(result.detections, slide.with_name(f"{slide.stem}.truth.geojson"))


def with_truth(detections: Detections, truth: Path) -> list[ImageResult]:
    """A slide's detections and ground truth, one image for each piece of tissue."""
    annotations = read_geojson(truth)
    return images_of(detections, annotations.boxes, annotations.regions, slide=truth.stem)

"""What is known of a scanned slide when its results are written, now or later from the files of an earlier run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.slides import qupath_origin
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.detections import Detections
    from signetscan.models.detector import Detector
    from signetscan.slides import Mpp, Slide


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScannedSlide:
    """A slide's detections, and what writers say of the slide and the model."""

    name: str
    """What the slide is called in results."""
    detections: Detections
    """Boxes in level-0 pixels, in the order of the files."""
    class_names: tuple[str, ...]
    """Name of each label."""
    model: str
    """Name of the model."""
    model_sha256: str
    """Of the model file."""
    fingerprint: str
    """Of the slide."""
    mpp: Mpp
    """Size of a level-0 pixel."""
    dimensions: tuple[int, int]
    """Width and height, level-0 pixels."""
    origin: tuple[int, int] = (0, 0)
    """The point that QuPath takes as (0, 0), level-0 pixels."""
    path: Path | None = None
    """The slide's file, where it is at hand."""

    @property
    def source(self) -> str:
        """What slide and model the detections come from, for ids that are the same in every run."""
        return f"{self.fingerprint}:{self.model_sha256}"


def scanned_slide(
    name: str,
    slide: Slide,
    detector: Detector,
    detections: Detections,
    *,
    path: Path | None = None,
    crop_to_bounds: bool = True,
) -> ScannedSlide:
    """What is known of a slide that was scanned just now.

    Args:
        name: what it is called in results.
        slide: the slide.
        detector: the model that was used.
        detections: its detections, boxes in level-0 pixels.
        path: the slide's file.
        crop_to_bounds: whether QuPath shows the slide cropped to its bounds, as it does by default.

    Raises:
        MppError: the slide's mpp is unknown.
    """
    return ScannedSlide(
        name=name,
        detections=detections,
        class_names=detector.spec.class_names,
        model=detector.spec.name,
        model_sha256=detector.sha256,
        fingerprint=slide.fingerprint,
        mpp=known_mpp(slide),
        dimensions=slide.dimensions,
        origin=qupath_origin(slide, crop_to_bounds=crop_to_bounds),
        path=path,
    )

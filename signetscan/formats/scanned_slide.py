"""What the writers of results know of a scanned slide, whether it was scanned now or read back from files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.measurements import MEASURES
from signetscan.models.spec import NOT_SAID, in_one_line, said_data
from signetscan.slides import qupath_origin
from signetscan.slides.protocol import known_mpp

if TYPE_CHECKING:
    from signetscan.detections import Detections
    from signetscan.json_values import Json
    from signetscan.models.detector import Detector
    from signetscan.scan.calibrated import CalibratedThreshold
    from signetscan.slides import Mpp, Slide
    from signetscan.slides.addresses import SlidePlace


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SlideFacts:
    """What files of results say of a slide and a model."""

    name: str
    """Name of the slide in results."""
    class_names: tuple[str, ...]
    """Name of each label."""
    model: str
    """Name of the model."""
    model_sha256: str
    """SHA-256 of the model file."""
    fingerprint: str
    """Fingerprint of the slide."""
    content: str = ""
    """What the slide's files held when it was scanned, from `content_of`; empty where it is not known."""
    mpp: Mpp
    """Size of a level-0 pixel."""
    dimensions: tuple[int, int]
    """Width and height, level-0 pixels."""
    origin: tuple[int, int] = (0, 0)
    """The point that QuPath takes as (0, 0), level-0 pixels."""
    path: SlidePlace | None = None
    """The slide's file or address; None where it is not known."""
    learnt_from: str = ""
    """What the model says that it learnt from; empty if it does not say."""

    @property
    def said_of_model(self) -> str:
        """The model and what it learnt from, in a line for files that people look into."""
        return f"Model {self.model} learnt from: {in_one_line(self.learnt_from)}"

    @property
    def source(self) -> str:
        """Identifies the slide and the model that the results come from, for ids that are the same in every run."""
        return f"{self.fingerprint}:{self.model_sha256}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScannedSlide(SlideFacts):
    """A slide's detections, with what files of results say of the slide and the model."""

    detections: Detections
    """Boxes in level-0 pixels, in the order of the files."""
    calibrated: CalibratedThreshold | None = None
    """The calibration that the threshold is from; None if it is from none."""

    @property
    def about_model(self) -> dict[str, Json]:
        """What files that have room for it say of the model, and of the calibration; empty if there is nothing."""
        about: dict[str, Json] = {}
        measured = self.detections.measured
        if said_data(self.learnt_from) != NOT_SAID or measured is not None:
            learnt_from = said_data(self.learnt_from)
            about = {"model": self.model, "model_sha256": self.model_sha256, "learnt_from": learnt_from}
        if measured is not None:
            about["measurements"] = {measure.title: measure.meaning for measure in MEASURES}
        return about if self.calibrated is None else about | {"calibration": self.calibrated.to_json()}


def scanned_slide(
    name: str,
    slide: Slide,
    detector: Detector,
    detections: Detections,
    *,
    path: SlidePlace | None = None,
    crop_to_bounds: bool = True,
) -> ScannedSlide:
    """Describe a slide that has just been scanned.

    Args:
        name: name of the slide in results.
        slide: the slide.
        detector: the model that was used.
        detections: its detections, boxes in level-0 pixels.
        path: the slide's file or address.
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
        learnt_from=detector.spec.training_data,
        fingerprint=slide.fingerprint,
        mpp=known_mpp(slide),
        dimensions=slide.dimensions,
        origin=qupath_origin(slide, crop_to_bounds=crop_to_bounds),
        path=path,
    )

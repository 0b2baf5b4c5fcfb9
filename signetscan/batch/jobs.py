"""What a worker does with a slide: it loads the model of the batch, and detects cells or segments tissue with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.batch.options import pinned_model, task_of_batch
from signetscan.batch.segment import plan_task, segment_task
from signetscan.batch.slide import plan_slide, scan_slide, speed_of
from signetscan.models.detector import load_detector
from signetscan.models.segmenter import load_segmenter
from signetscan.models.spec import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.batch.claims import Claim
    from signetscan.batch.find import SlideTask
    from signetscan.batch.options import BatchOptions
    from signetscan.batch.outcome import SlidePlanned, SlideScanned, SlideSkipped
    from signetscan.models.detector import OnnxDetector
    from signetscan.models.segmenter import OnnxSegmenter

    Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionJobs:
    """Detects cells on slides."""

    model: OnnxDetector
    """The model."""

    def speed(self) -> float | None:
        """Megapixels that the model scans in a second; None if that was not measured."""
        return speed_of(self.model)

    def plan(self, task: SlideTask, request: BatchOptions) -> SlidePlanned:
        """Find out what scanning a slide would take."""
        return plan_slide(task, request, self.model)

    def scan(
        self, task: SlideTask, request: BatchOptions, on_progress: Progress, *, claim: Claim | None
    ) -> SlideScanned | SlideSkipped:
        """Scan a slide, and write its results."""
        return scan_slide(task, request, self.model, on_progress, claim=claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationJobs:
    """Segments the tissue of slides."""

    model: OnnxSegmenter
    """The model."""

    def speed(self) -> float | None:
        """Megapixels that the model scans in a second; None if that was not measured."""
        return None

    def plan(self, task: SlideTask, request: BatchOptions) -> SlidePlanned:
        """Find out what scanning a slide would take."""
        return plan_task(task, request, self.model)

    def scan(
        self, task: SlideTask, request: BatchOptions, on_progress: Progress, *, claim: Claim | None
    ) -> SlideScanned | SlideSkipped:
        """Scan a slide, and write its results."""
        return segment_task(task, request, self.model, on_progress, claim=claim)


def load_jobs(request: BatchOptions) -> DetectionJobs | SegmentationJobs:
    """Load the model of a batch.

    Raises:
        ModelError: the model cannot be loaded, or is made for another task.
        DeviceError: the device asked for cannot be used, or no runtime is installed.
    """
    sha256 = pinned_model(request)
    if task_of_batch(request) is Task.SEGMENTATION:
        segmenter = load_segmenter(request.model, device=request.device, threads=request.threads, sha256=sha256)
        return SegmentationJobs(model=segmenter)
    return DetectionJobs(
        model=load_detector(request.model, device=request.device, threads=request.threads, sha256=sha256)
    )

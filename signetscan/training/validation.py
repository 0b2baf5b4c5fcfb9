"""Evaluation of a network on whole images, through the same tiles and merge as a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.boxes import centre_in_any
from signetscan.dataset import read_pixels
from signetscan.evaluation import ImageResult, average_precision, evaluate_classes, make_tally, match_nearest_free
from signetscan.evaluation.curves import AP_IOU, pr_curve
from signetscan.models.detection_spec import LEAST_SCORE
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide
from signetscan.training.detector import TorchDetector
from signetscan.training.spec import make_spec
from signetscan.training.thresholds import choose_threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from signetscan.dataset import AnnotatedImage
    from signetscan.evaluation import Scores
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.retinanet import RetinaNet
    from signetscan.training.thresholds import ThresholdBasis

    Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """How a network does on held-out images."""

    scores: Scores
    """DigestPath's figures, at the threshold that was chosen."""
    ap50: float
    """AP at IoU 0.5 on the given boxes, of all classes together; nan without boxes."""
    basis: ThresholdBasis
    """On what the threshold rests."""
    results: Sequence[ImageResult]
    """The detections in each image."""


def validate(
    network: RetinaNet,
    checkpoint: Checkpoint,
    images: Sequence[AnnotatedImage],
    device: torch.device,
    on_progress: Progress | None = None,
) -> Validation | None:
    """Evaluate a network (in evaluation mode) on images, at a threshold that is chosen on them: see `choose_threshold`.

    With several classes, a detection matches cells of its class only, and FROC is the mean over classes; see
    `evaluate_classes`.

    Returns:
        The figures; None if there are no images.
    """
    if not images:
        return None
    results = detect_images(network, checkpoint, images, device, on_progress=on_progress)
    allowed = checkpoint.options.false_positives_per_normal
    threshold, basis = choose_threshold(results, allowed, lowest=LEAST_SCORE)
    return Validation(
        scores=evaluate_classes(results, threshold),
        ap50=average_precision(pr_curve(make_tally(results, AP_IOU, match_nearest_free))),
        basis=basis,
        results=results,
    )


def detect_images(
    network: RetinaNet,
    checkpoint: Checkpoint,
    images: Sequence[AnnotatedImage],
    device: torch.device,
    *,
    lowest: float = LEAST_SCORE,
    on_progress: Progress | None = None,
) -> list[ImageResult]:
    """The detections of a network (in evaluation mode) in each image, and the ground truth, in image pixels.

    Args:
        network: the network.
        checkpoint: the run that it is from.
        images: the images.
        device: the device that the network is on.
        lowest: detections below this score are dropped.
        on_progress: called with (images done, images in all) after each image.
    """
    detector = TorchDetector(network, make_spec(checkpoint, name="validation"), device)
    options = ScanOptions(threshold=lowest, read_threads=1, batch_size=1, tissue_mask=False)
    results = []
    for number, image in enumerate(images, start=1):
        slide = ArraySlide([read_pixels(image)], mpp=checkpoint.mpp, name=image.name)
        detections = detect_slide(slide, detector, options).detections
        # Nobody says what is in an ignored area, so no detection in it is right or wrong.
        counts = ~centre_in_any(detections.boxes, image.ignored)
        results.append(
            ImageResult(
                detections=detections.select(counts),
                truth=image.boxes,
                labels=image.labels,
                normal=image.normal,
                name=image.name,
                slide=image.slide,
            )
        )
        if on_progress is not None:
            on_progress(number, len(images))
    return results

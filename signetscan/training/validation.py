"""Evaluation of a network on whole images, through the same tiles and merge as a scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from signetscan.boxes import centre_in_any
from signetscan.dataset import read_pixels
from signetscan.evaluation import ImageResult, evaluate_classes, threshold_for
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide
from signetscan.training.detector import TorchDetector
from signetscan.training.spec import make_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from signetscan.dataset import AnnotatedImage
    from signetscan.evaluation import Scores
    from signetscan.training.checkpoint import Checkpoint
    from signetscan.training.retinanet import RetinaNet

    Progress = Callable[[int, int], None]

LOWEST_SCORE = 0.02
"""Detections with lower scores are dropped: no useful threshold lies there."""


def validate(
    network: RetinaNet,
    checkpoint: Checkpoint,
    images: Sequence[AnnotatedImage],
    device: torch.device,
    on_progress: Progress | None = None,
) -> Scores | None:
    """Evaluate a network (in evaluation mode) on images, at the threshold that their normal images allow.

    Without normal images, the threshold is the checkpoint's. With several classes, a detection matches cells of its
    class only, and FROC is the mean over classes; see `evaluate_classes`.

    Returns:
        The scores; None if there are no images.
    """
    if not images:
        return None
    results = detect_images(network, checkpoint, images, device, on_progress=on_progress)
    threshold = checkpoint.threshold
    if any(image.normal for image in images):
        threshold = threshold_for(results, checkpoint.options.false_positives_per_normal)
    return evaluate_classes(results, threshold)


def detect_images(
    network: RetinaNet,
    checkpoint: Checkpoint,
    images: Sequence[AnnotatedImage],
    device: torch.device,
    *,
    lowest: float = LOWEST_SCORE,
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

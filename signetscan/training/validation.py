"""Scoring a network on whole images, through the same tiles and merge as the main job."""

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
"""Detections below this are not kept: no threshold of use lies there."""


def validate(
    network: RetinaNet,
    checkpoint: Checkpoint,
    images: Sequence[AnnotatedImage],
    device: torch.device,
    on_progress: Progress | None = None,
) -> Scores | None:
    """Scores of a network (in evaluation mode) on images, at the threshold that their normal images ask for.

    Without normal images the threshold is the checkpoint's. Of several classes, a detection finds cells of its own
    only, and FROC is the mean over classes; see `evaluate_classes`.

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
    """What a network (in evaluation mode) finds in each image, beside what is annotated there; image pixels.

    Args:
        network: the network.
        checkpoint: its run.
        images: the images.
        device: where the network is.
        lowest: detections below this score are not kept.
        on_progress: called with (images done, images in all) after each image.
    """
    detector = TorchDetector(network, make_spec(checkpoint, name="validation"), device)
    options = ScanOptions(threshold=lowest, read_threads=1, batch_size=1, tissue_mask=False)
    results = []
    for number, image in enumerate(images, start=1):
        slide = ArraySlide([read_pixels(image)], mpp=checkpoint.mpp, name=image.name)
        found = detect_slide(slide, detector, options).detections
        # Nobody says what is in an ignored area: no detection there is right or wrong.
        counts = ~centre_in_any(found.boxes, image.ignored)
        results.append(
            ImageResult(
                detections=found.select(counts),
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

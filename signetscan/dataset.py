"""A folder of annotated images, in the layout of DigestPath 2019.

`sig-train-pos/*.jpeg` with `*.xml` of the same stem hold signet ring cells, not all of them boxed;
`sig-train-neg/*.jpeg` hold none. A file is named `<slide id>_<date> <time>-lv0-<x>-<y>-<width>-<height>`, some
without the slide id.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from signetscan.annotations import read_boxes_xml
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

POSITIVE_FOLDER, NEGATIVE_FOLDER, TRUTH_FOLDER = "sig-train-pos", "sig-train-neg", "truth"
CLASS_NAME = "Signet ring cell"
MPP = 0.25
"""Size of a pixel, um: DigestPath says x40, at which scanners have about this."""

IMAGE_ENDINGS = {".jpeg", ".jpg", ".png"}
MAX_PIXELS = 100_000_000
"""Largest image, pixels: it is held in memory."""
MIN_BOX_SIDE = 4.0
"""A box thinner than this inside the image is a slip of the hand, pixels."""

NAME = re.compile(r"(?:(?P<slide>.+)_)?(?P<time>\d{4}-\d\d-\d\d \d\d_\d\d_\d\d)-lv0-\d+-\d+-\d+-\d+")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnnotatedImage:
    """One image with its boxes."""

    path: Path
    """The image's file."""
    width: int
    """Width, pixels."""
    height: int
    """Height, pixels."""
    boxes: NDArray[np.float64]
    """(N, 4), inside the image, pixels."""
    labels: NDArray[np.int64]
    """(N,), index into the class names."""
    normal: bool
    """Whether the image is declared to hold no cell at all."""
    slide: str
    """Slide that the image is from, as far as its name tells; images of one slide must stay together."""


def slide_of(stem: str) -> str:
    """The slide of an image by its file name without ending.

    Without a slide id the date and time of the cut-out stand for it; any other name stands for itself.
    """
    match = NAME.fullmatch(stem)
    if match is None:
        return stem
    return match["slide"] or match["time"]


def read_image_set(folder: Path, *, full_truth: bool = False) -> list[AnnotatedImage]:
    """Read all annotations of a folder; pixels are left for later.

    Args:
        folder: holds `sig-train-pos` and, better, `sig-train-neg` (or a folder in it does, as DigestPath is packed).
        full_truth: whether to take the boxes from `truth/`, where the simulator keeps all of them.

    Raises:
        AnnotationError: a folder, an XML file or an image is missing or cannot be used; the message names it.
    """
    root = _root(folder)
    positives = _images(root / POSITIVE_FOLDER)
    if not positives:
        message = f"{root / POSITIVE_FOLDER}: no image (.jpeg, .jpg or .png) with signet ring cells"
        raise AnnotationError(message)
    truth = root / TRUTH_FOLDER if full_truth else root / POSITIVE_FOLDER
    read = [_positive(path, truth / f"{path.stem}.xml") for path in positives]
    return read + [_normal(path) for path in _images(root / NEGATIVE_FOLDER)]


def _root(folder: Path) -> Path:
    for root in (folder, folder / "Signet_ring_cell_dataset"):
        if (root / POSITIVE_FOLDER).is_dir():
            return root
    message = (
        f"{folder}: no folder {POSITIVE_FOLDER} in it; give the one that holds {POSITIVE_FOLDER} and {NEGATIVE_FOLDER}"
    )
    raise AnnotationError(message)


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)


def _positive(path: Path, xml: Path) -> AnnotatedImage:
    width, height = image_size(path)
    boxes = read_boxes_xml(xml).boxes
    clipped = np.clip(boxes, 0, np.array([width, height, width, height]))
    solid = (clipped[:, 2:] - clipped[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    if not solid.all():
        log.warning("%s: %d of %d boxes left out: too thin, or outside the image", xml, (~solid).sum(), len(solid))
    kept = clipped[solid]
    return AnnotatedImage(
        path=path,
        width=width,
        height=height,
        boxes=kept,
        labels=np.zeros(len(kept), np.int64),
        normal=False,
        slide=slide_of(path.stem),
    )


def _normal(path: Path) -> AnnotatedImage:
    width, height = image_size(path)
    return AnnotatedImage(
        path=path,
        width=width,
        height=height,
        boxes=np.empty((0, 4)),
        labels=np.empty(0, np.int64),
        normal=True,
        slide=slide_of(path.stem),
    )


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, pixels, from its header.

    Raises:
        AnnotationError: it is not an image or is too large.
    """
    with _opened(path) as image:
        return image.size


def read_pixels(path: Path) -> NDArray[np.uint8]:
    """An image as uint8 (H, W, 3), RGB.

    Raises:
        AnnotationError: it cannot be decoded.
    """
    with _opened(path) as image:
        try:
            return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: a broken chunk of a PNG
            message = f"{path}: cannot be decoded: {error}; copy it again"
            raise AnnotationError(message) from error


def _opened(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked below
            image = Image.open(path)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        message = f"{path}: not an image that can be read: {error}"
        raise AnnotationError(message) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        message = f"{path}: {image.width} x {image.height} px is too large for a training image; cut it into pieces"
        raise AnnotationError(message)
    return image


def split_by_slide(
    images: Sequence[AnnotatedImage], share: float, seed: int
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """Split into two parts that share no slide, each with its part of positive and of normal images.

    Args:
        images: all images.
        share: share of each kind of image in the second part, 0 to 1.
        seed: decides which slides.

    Returns:
        The rest and the part, each in the order of `images`.
    """
    rng = np.random.default_rng(seed)
    of_slide: dict[str, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        of_slide[image.slide].append(image)
    taken: set[str] = set()
    for normal in (False, True):
        # Slides with both kinds are decided with the positive ones.
        slides = sorted(slide for slide, own in of_slide.items() if all(image.normal for image in own) == normal)
        total = sum(len(of_slide[slide]) for slide in slides)
        count = 0
        for slide in rng.permutation(slides).tolist() if slides else []:
            if count < round(share * total):
                taken.add(slide)
                count += len(of_slide[slide])
    rest = [image for image in images if image.slide not in taken]
    return rest, [image for image in images if image.slide in taken]

"""What a data set holds twice: boxes of the same cell, and images or slides under two names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from signetscan.dataset.images import SAFEST_FIRST
from signetscan.detections import Detections
from signetscan.errors import AnnotationError
from signetscan.scan.merge import suppress
from signetscan.slides.fingerprint import file_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.dataset.images import Place
    from signetscan.dataset.parsed import ParsedImage
    from signetscan.dataset.remarks import Remarks

SAME_CELL_IOU = 0.7
"""Two boxes that overlap by more than this are of one cell: the centres of two cells never lie so close together."""
BOXED_TWICE = f"Boxes left out, of cells that have another box already (IoU above {SAME_CELL_IOU:g})"
TWO_CLASSES = "Cells with boxes of several classes, of which each is learnt"
SAME_IMAGE = "Images given twice under two names, taken once with the boxes of both"
SAME_SLIDE = "Slides given twice under two names, taken for one"
MOST_BOXES = 1 << 24
"""Most boxes whose order a float32 holds."""


def first_of_each(boxes: NDArray[np.float64], labels: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which boxes (N, 4) are the first of their cell, (N,): not boxes of the same label that an earlier one covers.

    Args:
        boxes: with an area, in one frame.
        labels: (N,), class of each box; None where classes do not matter.
    """
    if len(boxes) > MOST_BOXES:
        message = f"{len(boxes):,} boxes of one image: too many to be cells"
        raise AnnotationError(message)
    if len(boxes) < 2:
        return np.ones(len(boxes), np.bool_)
    # Scores that fall with the position make the suppression of detections keep the first box of each cell.
    positions = np.arange(len(boxes), dtype=np.float32) / np.float32(MOST_BOXES)
    given = Detections(
        boxes=boxes, scores=1 - positions, labels=np.zeros(len(boxes), np.int64) if labels is None else labels
    )
    first = np.zeros(len(boxes), np.bool_)
    kept = suppress(given, SAME_CELL_IOU)
    first[np.rint((1 - kept.scores.astype(np.float64)) * MOST_BOXES).astype(np.int64)] = True
    return first


def each_once(images: Sequence[ParsedImage], remarks: Remarks) -> list[ParsedImage]:
    """The images, with copies of a file or slide taken together, so that no cell is both learnt from and held out.

    An image that was given twice has the boxes of both, and is normal only if both are. Slides that were given twice
    count as one slide.

    Raises:
        AnnotationError: a file cannot be read.
    """
    content_of = contents_of({parsed.image.path: parsed.image.place is None for parsed in images})
    slides: dict[str, str] = {}
    kept: dict[tuple[str, Place | None, bool], ParsedImage] = {}
    for parsed in images:
        image = parsed.image
        content = content_of[image.path]
        slide = slides.setdefault(content, image.slide)
        key = content, image.place, image.upright
        if slide != image.slide and image.place is not None:
            remarks.add(SAME_SLIDE, f"{image.slide} ({slide})", count=int(key not in kept))
        if key in kept:
            remarks.add(SAME_IMAGE, f"{parsed.region} ({kept[key].region})")
            kept[key] = _joined(kept[key], parsed)
        else:
            kept[key] = replace(parsed, image=replace(image, slide=slide))
    return list(kept.values())


def _joined(first: ParsedImage, second: ParsedImage) -> ParsedImage:
    a, b = first.image, second.image
    image = replace(
        a,
        boxes=np.concatenate([a.boxes, b.boxes]),
        labels=np.concatenate([a.labels, b.labels]),
        ignored=np.concatenate([a.ignored, b.ignored]),
        normal=a.normal and b.normal,
        part=next((part for part in SAFEST_FIRST if part in (a.part, b.part)), None),
    )
    return replace(first, image=image, names=first.names + second.names)


def contents_of(plain: Mapping[Path, bool]) -> dict[Path, str]:
    """A text for each file, which only files of the same content share.

    Args:
        plain: for each file whether it is a picture, all of which is compared, rather than a slide.

    Raises:
        AnnotationError: a file cannot be read.
    """
    try:
        of_size: dict[tuple[int, bool], list[Path]] = defaultdict(list)
        for path, is_plain in plain.items():
            of_size[path.stat().st_size, is_plain].append(path)
        contents: dict[Path, str] = {}
        for (_, is_plain), paths in of_size.items():
            digest: Callable[[Path], str] = _digest if is_plain else file_fingerprint
            # Most files are alone with their size, and need not be read.
            contents |= {path: digest(path) if len(paths) > 1 else str(path) for path in paths}
    except OSError as error:
        message = f"{error.filename}: cannot be read: {error.strerror}"
        raise AnnotationError(message) from error
    return contents


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

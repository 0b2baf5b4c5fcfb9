"""Crops of a detector's hits, misses and false positives in held-out images, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.dataset import read_pixels
from signetscan.evaluation.examples import pick_examples
from signetscan.reports.pictures import BoxColour, thumbnail_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signetscan.dataset import AnnotatedImage
    from signetscan.evaluation import ImageResult
    from signetscan.evaluation.examples import Example
    from signetscan.training.checkpoint import Checkpoint

SHOWN = 24
"""Most crops of a kind: enough to see a pattern, few enough to look at each."""
WINDOW_UM = 32.0
"""Side of a crop, µm: a large cell and its neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """One picture of the gallery."""

    uri: str
    score: float
    """See `Example`."""
    class_name: str
    name: str
    """The image's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Pictures of one kind."""

    colour: BoxColour
    crops: tuple[Thumbnail, ...]
    in_all: int
    """Number of examples of this kind, shown or not."""


def make_gallery(
    results: Sequence[ImageResult], images: Sequence[AnnotatedImage], best: Checkpoint
) -> dict[str, Group]:
    """Hits, misses and false positives at the checkpoint's threshold, a bounded number of each.

    Args:
        results: the detections in each image.
        images: the images, in the same order; those to be shown are read again.
        best: the checkpoint whose network detected.

    Returns:
        The groups, by kind.

    Raises:
        AnnotationError: an image cannot be decoded.
        SlideError: a slide cannot be read.
    """
    picked = pick_examples(results, best.threshold, limit=SHOWN)
    kinds = {
        "best_hits": (BoxColour.HIT, picked.best_hits, picked.hits_in_all),
        "worst_hits": (BoxColour.HIT, picked.worst_hits, picked.hits_in_all),
        "misses": (BoxColour.MISS, picked.misses, picked.misses_in_all),
        "false_positives": (BoxColour.FALSE_POSITIVE, picked.false_positives, picked.false_positives_in_all),
        "unmatched": (BoxColour.UNMATCHED, picked.unmatched, picked.unmatched_in_all),
    }
    # The crops of all kinds are cut in one go, so that each image is decoded once.
    wanted = [(example, colour) for colour, examples, _ in kinds.values() for example in examples]
    crops = iter(_thumbnails(wanted, images, best))
    return {
        kind: Group(colour=colour, crops=tuple(next(crops) for _ in examples), in_all=in_all)
        for kind, (colour, examples, in_all) in kinds.items()
    }


def _thumbnails(
    wanted: Sequence[tuple[Example, BoxColour]], images: Sequence[AnnotatedImage], best: Checkpoint
) -> list[Thumbnail]:
    """A crop of each example, in the order given; each image is read once, and only one is held in memory."""
    crops: dict[int, Thumbnail] = {}
    for index in sorted({example.image for example, _ in wanted}):
        pixels = read_pixels(images[index])
        for number, (example, colour) in enumerate(wanted):
            if example.image == index:
                uri = thumbnail_uri(pixels, example.box, colour, window=WINDOW_UM / best.mpp)
                label = best.class_names[example.label]
                crops[number] = Thumbnail(uri=uri, score=example.score, class_name=label, name=images[index].name)
    return [crops[number] for number in range(len(wanted))]

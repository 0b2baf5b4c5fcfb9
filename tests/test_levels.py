"""Pyramids whose levels show different pictures."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT, BlobDetector
from PIL import Image

from signetscan.errors import SlideError
from signetscan.scan.detect import detect_slide
from signetscan.scan.levels import is_same_picture
from signetscan.scan.options import ScanOptions
from signetscan.scan.tissue import find_tissue
from signetscan.slides import ArraySlide, open_slide
from signetscan.slides.concerns import ConcernKind

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def picture(*, seed: int = 0, share: float = 0.3) -> Picture:
    """Discs of tissue on glass, (1024, 1536, 3), on the left part of the slide alone."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((1024, 1536))
    image = np.full((1024, 1536, 3), 244, np.int16)
    for _ in range(12):
        place, radius = rng.uniform((0, 0), (1024, share * 1536)), rng.uniform(90, 180)
        image[np.hypot(y - place[0], x - place[1]) < radius] = rng.integers((150, 80, 120), (210, 150, 190))
    return (image + rng.integers(-6, 7, image.shape)).clip(0, 255).astype(np.uint8)


def pale(image: Picture) -> Picture:
    """The same with little stain."""
    return (244 - 0.25 * (244.0 - image)).clip(0, 255).astype(np.uint8)


def shrunk(image: Picture, factor: float) -> Picture:
    size = round(image.shape[1] / factor), round(image.shape[0] / factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


BLANKS = {"white": 255, "black": 0, "grey": 200}


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("wrong", [*BLANKS, "other", "half", "mirrored", "pale"])
def test_a_level_that_is_blank_or_of_another_slide_is_wrong(wrong: str, share: float) -> None:
    image = picture(share=share)
    level = shrunk(picture(seed=7, share=share) if wrong == "other" else image, 16).copy()
    if wrong in BLANKS:
        level[:] = BLANKS[wrong]
    elif wrong == "mirrored":
        level = level[::-1, ::-1].copy()
    elif wrong == "pale":
        image, level = pale(image), pale(level[::-1])
    elif wrong == "half":
        level[level.shape[0] // 2 :] = 255
    slide = ArraySlide([image, shrunk(image, 2), level], mpp=0.5, name="odd")
    assert is_same_picture(slide, 1, find_tissue(slide))
    assert not is_same_picture(slide, 2, find_tissue(slide))
    result = detect_slide(slide, BlobDetector(mpp=0.5))
    (told,) = (concern for concern in result.concerns if "another picture" in concern.message)
    assert told.kind is ConcernKind.PICTURE
    assert told.message.startswith("level 2 of its pyramid shows another picture than level 0")
    whole = detect_slide(ArraySlide([image], mpp=0.5, name="even"), BlobDetector(mpp=0.5))
    assert result.detections.boxes.tolist() == whole.detections.boxes.tolist(), "tissue is found on another level"


def test_without_a_mask_only_the_level_that_is_scanned_matters() -> None:
    image = picture()
    slide = ArraySlide([image, shrunk(image, 2), 255 - shrunk(image, 16)], mpp=0.5)
    unmasked = ScanOptions(tissue_mask=False)
    assert detect_slide(slide, BlobDetector(mpp=2.0), unmasked).tiles_scanned
    with pytest.raises(SlideError, match="level 2") as caught:
        detect_slide(slide, BlobDetector(mpp=8.0), unmasked)
    assert caught.value.options == ()


@pytest.mark.parametrize("factor", [1.7, 3, 16])
@pytest.mark.parametrize("share", [0.05, 1.0])
def test_levels_that_are_a_little_off_are_right(factor: float, share: float) -> None:
    image = picture(share=share)
    level = np.roll(shrunk(image, factor), 1, axis=(0, 1))
    sharp = (level * 1.1 - 12).clip(0, 255).astype(np.uint8)
    assert is_same_picture(ArraySlide([image, sharp], mpp=0.5), 1, None)


def test_the_slide_in_the_repository() -> None:
    with open_slide(ROOT / "tests" / "data" / "sample.svs") as slide:
        levels = range(len(slide.level_downsamples))
        assert all(is_same_picture(slide, level, find_tissue(slide)) for level in levels)

"""Levels of which parts cannot be decoded, where tissue is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import BlobDetector
from PIL import Image
from slide_files import overwrite, spans, write

from signetscan.errors import SlideError
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.scan.overview import read_overview
from signetscan.slides import ArraySlide, open_slide
from signetscan.slides.concerns import ConcernKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.boxes import Box
    from signetscan.slides.protocol import Window

BLOBS = ((300, 200), (1500, 900), (2600, 1700))


def picture() -> NDArray[np.uint8]:
    """Three squares of tissue on glass, (2048, 3072, 3)."""
    image = np.full((2048, 3072, 3), 252, np.uint8)
    for x, y in BLOBS:
        image[y : y + 60, x : x + 60] = (200, 120, 180)
    return image


def pyramid(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    full = Image.fromarray(image)
    return [np.asarray(full.resize((3072 // step, 2048 // step), Image.Resampling.BOX)) for step in (1, 4, 16)]


class Worn(ArraySlide):
    """Cannot decode what touches a rectangle, level-0 pixels, on some of its levels."""

    def __init__(self, damage: Mapping[int, Box]) -> None:
        super().__init__(pyramid(picture()), mpp=0.5, name="worn")
        self._damage = damage
        self.read = 0

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        self.read += size[0] * size[1]
        step = self.level_downsamples[level]
        x0, y0, x1, y1 = self._damage.get(level, (0, 0, 0, 0))
        x, y = location
        if x < x1 and y < y1 and x + size[0] * step > x0 and y + size[1] * step > y0:
            message = f"{self.name}: cannot decode level {level}"
            raise SlideError(message)
        return super().read_window(location, level, size)


ALL = (0, 0, 3072, 2048)
MIDDLE = (1400, 800, 1700, 1100)


@pytest.mark.parametrize("damaged", [{2: ALL}, {2: MIDDLE}, {2: ALL, 1: MIDDLE}])
def test_a_small_level_that_cannot_be_decoded_is_made_up_for_by_finer_ones(damaged: Mapping[int, Box]) -> None:
    whole = detect_slide(Worn({}), BlobDetector(mpp=0.5))
    result = detect_slide(Worn(damaged), BlobDetector(mpp=0.5))
    assert result.detections.boxes.tolist() == whole.detections.boxes.tolist()
    assert len(result.detections) == len(BLOBS)
    assert result.unread == ()
    assert result.tissue_mm2 == pytest.approx(whole.tissue_mm2, rel=0.02)
    (told,) = result.concerns
    assert told.kind is ConcernKind.MISSING
    assert told.message.startswith("parts of level 2 of its pyramid cannot be decoded: finer levels were searched ")


def test_only_the_damaged_part_is_read_from_finer_levels() -> None:
    sound, worn = Worn({}), Worn({2: (0, 0, 40, 40)})
    expected, found = (read_overview(slide, 16) for slide in (sound, worn))
    assert np.abs(expected.pixels.astype(int) - found.pixels).max() <= 1
    assert worn.read < 25 * sound.read, "a level-0 picture would be 256 times as much"


def test_what_no_level_holds_fails_the_slide_or_counts_as_tissue() -> None:
    damage = dict.fromkeys(range(3), MIDDLE)
    with pytest.raises(SlideError, match="cannot decode") as caught:
        detect_slide(Worn(damage), BlobDetector(mpp=0.5))
    assert caught.value.options == ("max_bad_area",)
    result = detect_slide(Worn(damage), BlobDetector(mpp=0.5), ScanOptions(max_bad_area=0.9))
    assert len(result.detections) == 2
    hit = np.zeros((2048, 3072), np.bool_)
    for x0, y0, x1, y1 in np.array(result.unread).astype(int):
        hit[y0:y1, x0:x1] = True
    assert hit[800:1100, 1400:1700].all(), "it is scanned, and told as unread"
    (told,) = result.concerns
    assert "mm² cannot be decoded on any, and count as tissue" in told.message
    with pytest.raises(SlideError, match="of the area to scan cannot be decoded"):
        detect_slide(Worn(damage), BlobDetector(mpp=0.5), ScanOptions(max_bad_area=0.001))


def test_a_level_of_which_nothing_can_be_decoded_in_a_file(tmp_path: Path) -> None:
    """Once an error has occurred, OpenSlide refuses all further reads on a handle."""
    path = write(tmp_path / "a.tif", picture(), 3, compression="deflate")
    for offset, count in spans(path)[2]:
        overwrite(path, offset, bytes(count))
    with open_slide(path, mpp=1.0) as slide:
        result = detect_slide(slide, BlobDetector(mpp=1.0))
    assert len(result.detections) == len(BLOBS)
    assert "parts of level 2" in " ".join(concern.message for concern in result.concerns)

"""Parts that a file does not hold: tissue that was lost, or glass that was never scanned."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conftest import BlobDetector
from slide_files import APERIO, set_count, set_tag, spans, write

from signetscan.errors import SlideError
from signetscan.scan.detect import detect_slide
from signetscan.scan.gaps import judge_gaps
from signetscan.scan.options import ScanOptions
from signetscan.scan.tissue import find_tissue
from signetscan.slides import ArraySlide, SlideAtMpp, open_slide
from signetscan.slides.concerns import ConcernKind

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.slides import Slide
    from signetscan.slides.protocol import Window

SIDE = 256
"""Of the tiles of test slides, pixels."""
COLUMNS = 8


@functools.cache
def island(rows: int = 1536, columns: int = 2048) -> NDArray[np.uint8]:
    """A disc of stained tissue, 1000 px wide, on glass; both with noise. Nobody may change it."""
    y, x = np.indices((rows, columns))
    image = np.full((rows, columns, 3), (244, 243, 245), np.int16)
    image[np.hypot(y - 768, x - 1024) < 500] = (205, 140, 185)
    image += np.random.default_rng(0).integers(-6, 7, image.shape, np.int16)
    drawn = image.astype(np.uint8)
    drawn.setflags(write=False)
    return drawn


MIDDLE = 3 * COLUMNS + 4
"""A tile within the tissue."""
RIM = 1 * COLUMNS + 5
"""A tile that the edge of the tissue crosses."""
GLASS = 0
"""A tile of bare glass, at the corner."""


def scan(slide: Slide, *, mpp: float = 0.5, mask: bool = True) -> tuple[float, float]:
    """Unread area and area of tissue, mm²."""
    result = detect_slide(slide, BlobDetector(mpp=mpp), ScanOptions(max_bad_area=1.0, tissue_mask=mask))
    return result.unread_mm2, result.tissue_mm2 or 0.0


TILE_MM2 = (SIDE * 0.25 / 1000) ** 2


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, False),
        ({}, True),
        (APERIO, True),
        ({"compression": "jpeg"}, True),
        ({"compression": "lzw", "bigtiff": True}, True),
    ],
)
def test_a_tile_that_is_missing_in_tissue_is_unread(
    tmp_path: Path, options: dict[str, object], levels: int, *, mask: bool
) -> None:
    path = write(tmp_path / "a.tif", island(), levels, tile=SIDE, **options)
    for tile in (MIDDLE, RIM):
        set_count(path, 0, tile, 0)
    mpp = 0.5 if levels == 1 else 0.25  # else the scan would take the second level
    with open_slide(path, mpp=0.25) as slide:
        with pytest.raises(SlideError, match="the file does not hold it") as caught:
            detect_slide(slide, BlobDetector(mpp=mpp), ScanOptions(tissue_mask=mask))
        assert caught.value.options == ("max_bad_area",)
        unread, _ = scan(slide, mpp=mpp, mask=mask)
    if levels == 1:
        assert unread == pytest.approx(2 * TILE_MM2)
    else:  # a coarser level shows which part of the tile at the rim was glass
        assert 1.5 * TILE_MM2 < unread <= 2 * TILE_MM2 + 1e-9


def test_a_tile_at_offset_0_is_missing(tmp_path: Path) -> None:
    """Without compression, its pixels would be the header of the file."""
    path = write(tmp_path / "a.tif", island(), tile=SIDE)
    offsets = [offset for offset, _ in spans(path)[0]]
    offsets[MIDDLE] = 0
    set_tag(path, 0, "TileOffsets", offsets)
    with open_slide(path, mpp=0.25) as slide:
        assert scan(slide)[0] == pytest.approx(TILE_MM2)


@pytest.mark.parametrize("mask", [True, False])
def test_glass_that_is_left_out_is_read_all_the_same(tmp_path: Path, *, mask: bool) -> None:
    image = island()
    path = write(tmp_path / "a.tif", image, tile=SIDE)
    with open_slide(path, mpp=0.25) as slide:
        whole = scan(slide, mask=mask)
    tiles = [(row, column) for row in range(6) for column in range(COLUMNS)]
    for number, (row, column) in enumerate(tiles):
        top, left = row * SIDE, column * SIDE
        around = image[max(top - 32, 0) : top + SIDE + 32, max(left - 32, 0) : left + SIDE + 32]
        if around.min() > 230:  # scanners leave a margin
            set_count(path, 0, number, 0)
    with open_slide(path, mpp=0.25) as slide:
        assert sum(count == 0 for _, count in spans(path)[0]) > 10
        assert scan(slide, mask=mask) == pytest.approx(whole, abs=1e-9)
        assert detect_slide(slide, BlobDetector(mpp=0.5)).concerns == slide.concerns


class Sparse(ArraySlide):
    """A slide that holds only some of its parts, as MRXS and DICOM do; the rest is drawn in a background colour."""

    def __init__(self, image: NDArray[np.uint8], held: NDArray[np.bool_], background: int) -> None:
        super().__init__([np.where(held[..., None], image, np.uint8(background))], mpp=0.25)
        self._held = ArraySlide([np.repeat(held[..., None], 3, axis=2).astype(np.uint8)], mpp=0.25)

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        held = self._held.read_region(location, level, size)[..., 0]
        return super().read_window(location, level, size).without(held == 0)


@pytest.mark.parametrize("background", [255, 0, 200])
def test_a_scan_that_keeps_to_the_tissue_shows_it_as_a_whole_scan_does(background: int) -> None:
    image = island()
    held = np.zeros(image.shape[:2], np.bool_)
    held[200:1400, 400:1650] = True
    assert scan(Sparse(image, held, background)) == pytest.approx((0, scan(ArraySlide([image], mpp=0.25))[1]), rel=0.02)


@pytest.mark.parametrize("background", [255, 0, 200])
def test_a_hole_in_a_sparse_scan_is_unread(background: int) -> None:
    image = island()
    held = np.zeros(image.shape[:2], np.bool_)
    held[200:1400, 400:1650] = True
    held[700:800, 1000:1100] = False
    assert scan(Sparse(image, held, background))[0] == pytest.approx((100 * 0.25 / 1000) ** 2, rel=0.2)


def test_tissue_that_the_scanner_cut_off_is_a_concern_and_not_unread() -> None:
    image = island()
    held = np.zeros(image.shape[:2], np.bool_)
    held[200:1400, 400:1100] = True
    result = detect_slide(Sparse(image, held, 255), BlobDetector(mpp=0.5))
    assert result.unread == ()
    assert [concern.kind for concern in result.concerns] == [ConcernKind.MISSING]
    length = float(result.concerns[0].message.split(" for ")[1].split(" mm")[0])
    assert length == pytest.approx(2 * np.sqrt(500**2 - 76**2) * 0.25 / 1000, abs=0.06)


def test_a_scan_of_bare_glass_says_that_nothing_was_scanned() -> None:
    glass = ArraySlide([island()[:, :400]], mpp=0.25)
    result = detect_slide(glass, BlobDetector(mpp=0.5))
    assert result.tiles_scanned == 0
    assert [concern.kind for concern in result.concerns] == [ConcernKind.TISSUE]
    assert detect_slide(glass, BlobDetector(mpp=0.5), ScanOptions(tissue_mask=False)).concerns == ()


def test_gaps_are_judged_by_what_runs_along_them() -> None:
    tissue = np.zeros((60, 80), np.bool_)
    tissue[10:50, 10:70] = True
    missing = np.zeros_like(tissue)
    missing[20:24, 20:24] = True  # within tissue
    missing[5:20, 40:60] = True  # across its edge
    missing[0:6, 70:80] = True  # at the slide's edge, beside glass
    missing[52:58, 30:60] = True  # beside tissue, with glass between
    gaps = judge_gaps(missing, tissue & ~missing)
    assert gaps.cut_px == 0
    assert gaps.lost[22, 22]
    assert gaps.lost[8, 50]
    assert gaps.lost.sum() == 16 + 15 * 20
    surrounding = np.ones_like(tissue)
    surrounding[5:55, 5:40] = False  # only this was scanned, and tissue runs to its right edge
    gaps = judge_gaps(surrounding, tissue & ~surrounding)
    assert not gaps.lost.any()
    assert abs(gaps.cut_px - 40) <= 2
    everything = judge_gaps(np.ones_like(tissue), np.zeros_like(tissue))
    assert not everything.lost.any()


def test_what_lies_beyond_the_slide_is_not_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", island(700, 900), tile=SIDE)
    set_count(path, 0, 5, 0)
    with open_slide(path, mpp=0.25) as slide:
        missing = slide.read_window((200, 200), 0, (1000, 1000)).missing
        assert missing is not None
        expected = np.zeros((1000, 1000), np.bool_)
        expected[56:312, 56:312] = True
        assert np.array_equal(missing, expected)
        assert slide.read_window((800, 600), 0, (300, 300)).missing is None
        view = SlideAtMpp(slide, 0.7)
        seen = view.read_window(0, 0, 320, 250).missing
        assert seen is not None
        rows, columns = np.nonzero(seen)
        scale = view.scale[0]
        assert (rows.min() * scale, columns.min() * scale) == pytest.approx((256, 256), abs=2 * scale)
        assert (rows.max() * scale, columns.max() * scale) == pytest.approx((512, 512), abs=2 * scale)


def test_a_mask_says_whether_tissue_lies_within_a_gap() -> None:
    image = island()
    tissue = find_tissue(ArraySlide([image], mpp=0.25))
    assert tissue.lies_within(900, 700, 1100, 900)
    assert tissue.lies_within(1000, 700, 1003, 703)
    assert not tissue.lies_within(0, 0, 400, 400)
    assert not tissue.lies_within(1524 + 32, 600, 1700, 900), "the margin is no tissue"

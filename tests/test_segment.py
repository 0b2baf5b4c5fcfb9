"""Segmenting a slide: every place is entered once, and no byte depends on how the slide was cut into tiles."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from signetscan.annotations.objects import Region
from signetscan.errors import DeviceError, OptionError, OutputError, SlideError
from signetscan.models.segmentation_spec import SlideScore
from signetscan.models.segmenter import OnnxSegmenter, load_segmenter
from signetscan.scan.class_map import FIRST_CLASS, NOT_SCANNED, UNREAD, MapTally, empty_map
from signetscan.scan.options import SegmentOptions
from signetscan.scan.roi import Roi
from signetscan.scan.segment import segment_slide
from signetscan.scan.tiling import Cut
from signetscan.slides import ArraySlide
from signetscan.slides.protocol import Window
from signetscan.testing.specs import make_segmentation_spec
from signetscan.testing.tiny_segmenter import BEYOND, STEP, tiny_probabilities, write_tiny_segmenter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> OnnxSegmenter:
    return load_segmenter(write_tiny_segmenter(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def drawn(width: int, height: int, *, seed: int = 1, coarse: int = 23) -> NDArray[np.uint8]:
    """Two pieces of tissue of all kinds of darkness, on glass."""
    rng = np.random.default_rng(seed)
    shade = ndimage.zoom(rng.uniform(0, 230, (height // coarse + 2, width // coarse + 2)), coarse, order=1)
    shade = shade[:height, :width] + rng.normal(0, 4, (height, width))
    y, x = np.mgrid[:height, :width]
    tissue = (x - width * 0.3) ** 2 + (y - height * 0.4) ** 2 < (0.25 * min(width, height)) ** 2
    tissue |= (abs(x - width * 0.75) < 0.15 * width) & (abs(y - height * 0.6) < 0.3 * height)
    grey = np.where(tissue, shade.clip(0, 225), 245).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def by_one_pass(pixels: NDArray[np.uint8], rows: int, columns: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Classes and scored probabilities of all of a picture, by the slow computation; beyond its edges it is white."""
    height, width = pixels.shape[:2]
    right, below = columns * STEP - width + BEYOND, rows * STEP - height + BEYOND
    around = np.pad(pixels, ((BEYOND, max(below, 0)), (BEYOND, max(right, 0)), (0, 0)), constant_values=255)
    probabilities = tiny_probabilities(around[: rows * STEP + 2 * BEYOND, : columns * STEP + 2 * BEYOND])
    scored = probabilities[1:].sum(axis=0, dtype=int).clip(max=255).astype(np.uint8)
    return (probabilities.argmax(axis=0) + FIRST_CLASS).astype(np.uint8), scored


@pytest.mark.parametrize(("width", "height"), [(1000, 700), (403, 401), (64, 1500), (3, 5)])
@pytest.mark.parametrize(
    "options",
    [
        SegmentOptions(),
        SegmentOptions(tile_size=64, batch_size=3, read_threads=4),
        SegmentOptions(tile_size=352, batch_size=5),
        SegmentOptions(tile_size=4096),
    ],
    ids=str,
)
def test_tiles_give_the_bytes_of_one_pass(
    segmenter: OnnxSegmenter, width: int, height: int, options: SegmentOptions
) -> None:
    pixels = drawn(width, height)
    slide = ArraySlide([pixels], mpp=0.5)
    found = segment_slide(slide, segmenter, replace(options, tissue_mask=False)).class_map
    rows, columns = (max(1, math.floor(side / STEP + 0.5)) for side in (height, width))
    classes, scored = by_one_pass(pixels, rows, columns)
    np.testing.assert_array_equal(found.classes, classes)
    np.testing.assert_array_equal(found.scored, scored)


@pytest.mark.parametrize(("width", "height"), [(1000, 700), (403, 401), (64, 150), (3, 5)])
def test_a_model_of_one_tile_size_gives_the_bytes_of_one_pass_too(tmp_path: Path, width: int, height: int) -> None:
    """It gets no other tiles, where a tile is larger than the slide neither, and always two at once."""
    metadata = make_segmentation_spec(tile_size_is_fixed=True, batch_size=2).to_metadata()
    path = write_tiny_segmenter(tmp_path / "fixed.onnx", input_shape=(2, 128, 128, 3), metadata=metadata)
    fixed = load_segmenter(path, device="cpu")
    pixels = drawn(width, height)
    result = segment_slide(ArraySlide([pixels], mpp=0.5), fixed, SegmentOptions(tissue_mask=False))
    classes, scored = by_one_pass(pixels, *result.class_map.classes.shape)
    np.testing.assert_array_equal(result.class_map.classes, classes)
    np.testing.assert_array_equal(result.class_map.scored, scored)
    assert (result.options.tile_size, result.options.batch_size, result.options.trim_tiles) == (128, 2, False)
    for chosen in ({"tile_size": 64}, {"batch_size": 3}, {"trim_tiles": True}):
        with pytest.raises(OptionError, match="the model test takes"):
            segment_slide(ArraySlide([pixels], mpp=0.5), fixed, SegmentOptions(**chosen))


@pytest.mark.parametrize("trim_tiles", [True, False])
@pytest.mark.parametrize("tile_size", [64, 400])
def test_only_tissue_has_a_class_and_it_is_that_of_one_pass(
    segmenter: OnnxSegmenter, tile_size: int, *, trim_tiles: bool
) -> None:
    pixels = drawn(1200, 800)
    slide = ArraySlide([pixels], mpp=0.5)
    options = SegmentOptions(tile_size=tile_size, trim_tiles=trim_tiles, batch_size=2)
    result = segment_slide(slide, segmenter, options)
    classes, scored = by_one_pass(pixels, 200, 300)
    tissue = result.class_map.classes != NOT_SCANNED
    np.testing.assert_array_equal(result.class_map.classes[tissue], classes[tissue])
    np.testing.assert_array_equal(result.class_map.scored, np.where(tissue, scored, 0))
    assert (pixels[2::4, 2::4, 0][~tissue] > 240).all()
    assert 0.3 < tissue.mean() < 0.8
    assert result.tissue_mm2 == pytest.approx(tissue.sum() * result.class_map.pixel_mm2, rel=0.02)
    assert result.tiles_scanned < result.tiles or tile_size == 400
    assert result.tally.of_all_classes == tissue.sum()
    assert [result.tally.of_class(index) for index in range(3)] == [
        np.count_nonzero(classes[tissue] == FIRST_CLASS + index) for index in range(3)
    ]


def test_only_the_region_of_interest_is_segmented(segmenter: OnnxSegmenter) -> None:
    pixels = drawn(1600, 1200)
    triangle = np.array([(301.0, 203), (1101, 402), (500, 1001)])
    square = np.array([(1200.0, 700), (1402, 700), (1402, 800), (1200, 800)])
    hole = np.array([(450.0, 400), (550, 400), (550, 500), (450, 500)])
    regions = (Region(rings=(triangle, hole), normal=False), Region(rings=(square,), normal=False))
    roi = Roi(regions=regions)
    slide = ArraySlide([pixels], mpp=0.5)
    whole = segment_slide(slide, segmenter).class_map.classes
    result = segment_slide(slide, segmenter, SegmentOptions(tile_size=96), roi=roi)
    y, x = (np.indices(whole.shape) + 0.5) * STEP
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = (regions[0].holds(centres) | regions[1].holds(centres)).reshape(whole.shape)
    np.testing.assert_array_equal(result.class_map.classes, np.where(inside, whole, NOT_SCANNED))
    assert result.roi is roi


class Damaged(ArraySlide):
    """A slide of which a square cannot be decoded and another is not in the file."""

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        (x, y), (width, height) = location, size
        if x < 660 and x + width > 600 and y < 420 and y + height > 400:
            message = "the tile is broken"
            raise SlideError(message)
        pixels = self.read_region(location, level, size)
        missing = np.zeros(pixels.shape[:2], np.bool_)
        left, top, right, bottom = 40 - x, 40 - y, 80 - x, 90 - y
        missing[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        return Window(pixels=pixels, missing=missing if missing.any() else None)


def test_unread_area_has_no_class_and_glass_that_the_file_lacks_neither(segmenter: OnnxSegmenter) -> None:
    pixels = drawn(1600, 1200)
    options = SegmentOptions(max_bad_area=0.5, tissue_mask=False)
    with pytest.raises(SlideError, match="cannot be decoded"):
        segment_slide(Damaged([pixels], mpp=0.5), segmenter, SegmentOptions(tissue_mask=False))
    result = segment_slide(Damaged([pixels], mpp=0.5), segmenter, options)
    classes = result.class_map.classes
    assert (classes[100:105, 150:165] == UNREAD).all()
    assert (result.class_map.scored[classes == UNREAD] == 0).all()
    assert (classes[10:22, 10:20] == NOT_SCANNED).all()
    assert np.count_nonzero(classes == NOT_SCANNED) <= 14 * 12
    assert result.unread_mm2 == pytest.approx(np.count_nonzero(classes == UNREAD) * result.class_map.pixel_mm2, rel=0.1)
    whole, _ = by_one_pass(pixels, 300, 400)
    far = ndimage.binary_erosion((classes != UNREAD) & (classes != NOT_SCANNED), iterations=3, border_value=1)
    np.testing.assert_array_equal(classes[far], whole[far])


def test_memory_that_runs_out_changes_nothing(segmenter: OnnxSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = ArraySlide([drawn(500, 300)], mpp=0.5)
    expected = segment_slide(slide, segmenter).class_map.classes
    whole = OnnxSegmenter.segment

    def cramped(room: int) -> Callable[[OnnxSegmenter, NDArray[np.uint8]], NDArray[np.uint8]]:
        def run(model: OnnxSegmenter, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
            if len(tiles) > room:
                raise MemoryError
            return whole(model, tiles)

        return run

    options = SegmentOptions(batch_size=7, trim_tiles=False)
    monkeypatch.setattr(OnnxSegmenter, "segment", cramped(2))
    np.testing.assert_array_equal(segment_slide(slide, segmenter, options).class_map.classes, expected)
    monkeypatch.setattr(OnnxSegmenter, "segment", cramped(0))
    with pytest.raises(DeviceError, match="smaller tiles"):
        segment_slide(slide, segmenter, options)


def test_tiles_without_room_for_the_margin_are_refused(segmenter: OnnxSegmenter) -> None:
    with pytest.raises(OptionError, match="tile size 16"):
        segment_slide(ArraySlide([drawn(100, 100)], mpp=0.5), segmenter, SegmentOptions(tile_size=16))


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Cut, int, int, int]:
    """A cut, a margin that its tiles have, and a width and height."""
    step = draw(st.sampled_from([1, 2, 4, 8]))
    stride = step * draw(st.sampled_from([1, 2, 4, 3]))
    margin = step * draw(st.integers(0, 9))
    spec = make_segmentation_spec(
        stride=stride, output_stride=step, margin=margin, tile_size=stride * (draw(st.integers(1, 9)) + 2 * margin)
    )
    overlap = -(-2 * margin // stride) * stride
    cut = Cut(
        tile_size=spec.tile_size,
        overlap=overlap,
        stride=stride,
        margin=margin,
        beyond=margin,
        step=step,
        exact=draw(st.booleans()),
    )
    return cut, margin, draw(st.integers(1, 400)), draw(st.integers(1, 400))


@settings(max_examples=40)
@given(cuts(), st.data())
def test_kept_parts_cover_the_plane_once_at_one_phase(example: tuple[Cut, int, int, int], data: st.DataObject) -> None:
    cut, margin, width, height = example
    grid = cut.grid(width, height)
    tiles = [cut.placed(tile, grid) for tile in grid]
    plane = cut.plane(width, height)
    covered = np.zeros(plane[::-1], np.uint8)
    for tile in tiles:
        x0, y0, x1, y1 = (int(edge) for edge in tile.owned)
        covered[y0:y1, x0:x1] += 1
        assert tile.clip(
            tile.x + margin, tile.y + margin, tile.width - 2 * margin, tile.height - 2 * margin
        ) == pytest.approx((x0, y0, x1, y1))
        assert (tile.x + margin) % cut.stride == (tile.y + margin) % cut.stride == 0
        assert all(edge % cut.step == 0 for edge in (x0, y0, x1, y1))
        if x0 < x1 and y0 < y1:
            left, right = sorted(data.draw(st.floats(x0, x1)) for _ in range(2))
            fitted = cut.fitted(0, tile.owned, (left, y0, right, y1), (width, height))
            assert (fitted.x - tile.x) % cut.stride == fitted.width % cut.stride == 0
            first, _, last, _ = fitted.clip(fitted.x + margin, y0, fitted.width - 2 * margin, 1)
            assert first <= max(x0, math.floor(left / cut.step) * cut.step)
            assert last >= min(x1, math.ceil(right / cut.step) * cut.step)
    assert (covered == 1).all()


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=50),
    st.floats(0.001, 1),
)
def test_the_slide_score_is_the_mean_of_the_highest_share(values: list[int], share: float) -> None:
    tally = MapTally(
        pixels=np.zeros(256, np.int64), scored=np.bincount(np.array(values, np.uint8), minlength=256).astype(np.int64)
    )
    count = math.ceil(share * len(values))
    expected = np.mean(sorted(values, reverse=True)[:count]) / 255
    assert tally.slide_score(SlideScore(classes=(1,), top_share=share)) == pytest.approx(expected)


def test_a_slide_without_tissue_has_no_score(segmenter: OnnxSegmenter) -> None:
    result = segment_slide(ArraySlide([np.full((600, 600, 3), 245, np.uint8)], mpp=0.5), segmenter)
    assert result.slide_score is None
    assert (result.class_map.classes == NOT_SCANNED).all()
    assert result.tiles_scanned == 0


def test_a_map_leaves_no_file_and_says_when_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = empty_map((300, 200), pixel=(4, 4), pixel_um=(1, 1), folder=tmp_path)
    made.classes[:] = 7
    assert list(tmp_path.iterdir()) == []

    def full(_file: int, _offset: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match="no room for the map of a slide, 8 MB: No space left"):
        empty_map((2000, 2000), pixel=(4, 4), pixel_um=(1, 1), folder=tmp_path)

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import BlobDetector
from PIL import Image

from signetscan.errors import DeviceError, ModelError, MppError, OptionError, SlideError
from signetscan.models.placement import Placement
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.slides import ArraySlide, SlideAtMpp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.detections import Detections

SIDES_UM = (9.0, 14.0, 20.0)
FINE = 8
"""Pixels of the drawing per level-0 pixel: edges fall on fractions of a pixel, as on real slides."""


def drawn_slide(mpp: float, size_um: float = 420.0, *, levels: int = 1, seed: int = 3) -> tuple[ArraySlide, np.ndarray]:
    """White with dark squares at known places; the truth is (N, 4) in level-0 pixels."""
    rng = np.random.default_rng(seed)
    side = round(size_um / mpp)
    fine = np.full((side * FINE // 2, side * FINE // 2), 255, np.uint8)
    per_um = FINE / 2 / mpp
    truth = []
    for row in range(int(size_um // 30)):
        for column in range(int(size_um // 30)):
            width = round(rng.choice(SIDES_UM) * per_um)
            x = round((column * 30 + rng.uniform(3, 6)) * per_um)
            y = round((row * 30 + rng.uniform(3, 6)) * per_um)
            fine[y : y + width, x : x + width] = 0
            truth.append([x, y, x + width, y + width])
    base = Image.fromarray(fine).resize((side, side), Image.Resampling.BOX)
    arrays = []
    for level in range(levels):
        shrunk = base.resize((side >> level, side >> level), Image.Resampling.BOX)
        arrays.append(np.repeat(np.asarray(shrunk)[..., None], 3, axis=2))
    return ArraySlide(arrays, mpp=mpp, name=f"drawn-{mpp}"), np.array(truth, np.float64) * 2 / FINE


def errors_of(detected: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Differences (N, 4) between each true box and the detected one with the nearest centre; counts must be equal."""
    assert len(detected) == len(truth)
    distance = np.abs((detected[:, None, :] - truth[None]).reshape(len(detected), len(truth), 4)).sum(axis=2)
    nearest = distance.argmin(axis=0)
    assert len(set(nearest.tolist())) == len(truth)
    return np.asarray(detected[nearest] - truth)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mpp", "levels"), [(0.25, 1), (0.499, 1), (0.2, 1), (0.263, 1), (0.125, 2), (0.0625, 4), (0.11, 3), (0.75, 1)]
)
def test_boxes_come_back_in_level0_pixels_without_drift(mpp: float, levels: int) -> None:
    slide, truth = drawn_slide(mpp, 420.0 if mpp >= 0.2 else 240.0, levels=levels)
    result = detect_slide(slide, BlobDetector())
    errors = errors_of(result.detections.boxes, truth)
    centre = (errors[:, :2] + errors[:, 2:]) / 2
    # Half a pixel of drift, of the slide or of the model, would be 0.5 or 0.125 / mpp.
    assert np.abs(centre.mean(axis=0)).max() < 0.03
    assert np.abs(centre).max() < 0.15 * max(1, 0.25 / mpp)
    assert np.abs(errors).max() < max(0.6, 0.6 * 0.25 / mpp)


def test_tiles_see_the_same_pixels_as_one_pass() -> None:
    slide, _ = drawn_slide(0.17, levels=2)
    view = SlideAtMpp(slide, 0.25)
    width, height = view.dimensions
    whole = view.read(0, 0, width, height)
    for x, y in ((0, 0), (96, 160), (width - 100, height - 70)):
        np.testing.assert_array_equal(view.read(x, y, 64, 64), whole[y : y + 64, x : x + 64])


@pytest.mark.slow
def test_every_object_is_detected_once_for_any_size_of_tiles() -> None:
    slide, truth = drawn_slide(0.25, 240.0)
    for size, overlap in ((128, 96), (256, 96), (256, 128), (512, 96), (2048, 0)):
        options = ScanOptions(tile_size=size, overlap=overlap)
        errors = errors_of(detect_slide(slide, BlobDetector(), options).detections.boxes, truth)
        assert np.abs(errors).max() < 0.6


def test_result_does_not_depend_on_batches_threads_and_device() -> None:
    slide, _ = drawn_slide(0.4)
    results = []
    for batch_size, read_threads, on_gpu in ((1, 1, False), (3, 4, True), (64, 8, False)):
        detector = BlobDetector()
        detector.runs_on = Placement(name="anything", on_gpu=on_gpu)
        options = ScanOptions(batch_size=batch_size, read_threads=read_threads, trim_tiles=True)
        detected = detect_slide(slide, detector, options).detections
        assert max(detector.batches) <= batch_size
        results.append((detected.boxes.tobytes(), detected.scores.tobytes(), detected.labels.tobytes()))
    assert len(set(results)) == 1


def test_no_thread_outlives_an_error() -> None:
    class Broken(BlobDetector):
        def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
            if len(self.batches) == 2:
                raise ModelError("broken")
            return super().detect(tiles, score_threshold)

    slide, _ = drawn_slide(0.25)
    before = set(threading.enumerate())
    with pytest.raises(ModelError, match="broken") as caught:
        detect_slide(slide, Broken())
    assert set(threading.enumerate()) <= before, f"{caught} keeps what was not closed alive"


def test_blank_slide_gives_an_empty_result() -> None:
    slide = ArraySlide([np.full((900, 900, 3), 252, np.uint8)], mpp=0.25)
    detector = BlobDetector()
    result = detect_slide(slide, detector)
    assert (len(result.detections), result.tiles_scanned, result.tissue_mm2) == (0, 0, 0)
    assert detector.batches == []
    unmasked = detect_slide(slide, detector, ScanOptions(tissue_mask=False))
    assert unmasked.tiles_scanned == unmasked.tiles > 1
    assert unmasked.tissue_mm2 is None


def test_tiles_without_tissue_are_skipped_and_progress_is_reported() -> None:
    image = np.full((3000, 3000, 3), 252, np.uint8)
    image[200:340, 200:340] = (200, 120, 180)
    detector, told = BlobDetector(tile_overlap=192), []
    result = detect_slide(
        ArraySlide([image], mpp=0.25), detector, on_progress=lambda done, total: told.append((done, total))
    )
    assert 0 < result.tiles_scanned < result.tiles / 4
    assert len(result.detections) == 1
    assert told[-1] == (result.tiles_scanned, result.tiles_scanned)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_trimmed_tiles_give_the_same_detections_from_fewer_pixels(batch_size: int) -> None:
    image = np.full((3000, 3000, 3), 252, np.uint8)
    for x, y in ((200, 200), (640, 900), (1800, 1500), (2700, 2800)):
        image[y : y + 140, x : x + 140] = (200, 120, 180)
    slide, results, pixels = ArraySlide([image], mpp=0.25), [], []
    for trim_tiles in (False, True):
        detector = BlobDetector(tile_size=1024, tile_overlap=256)
        options = ScanOptions(trim_tiles=trim_tiles, batch_size=batch_size)
        results.append(detect_slide(slide, detector, options))
        pixels.append(detector.pixels)
    assert len(results[0].detections) == 4
    assert results[0].detections.boxes.tolist() == results[1].detections.boxes.tolist()
    assert pixels[1] < 0.7 * pixels[0]


class CrampedDetector(BlobDetector):
    """Has memory for only so many tiles at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        if len(tiles) > self.room:
            message = f"no memory for a batch of {len(tiles)} tiles"
            raise MemoryError(message)
        return super().detect(tiles, score_threshold)


@pytest.mark.parametrize("room", [1, 3])
def test_a_batch_too_large_for_memory_is_halved(room: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    slide, detector = ArraySlide([image], mpp=0.25), CrampedDetector(room)
    options = ScanOptions(batch_size=7, tissue_mask=False)
    cramped = detect_slide(slide, detector, options).detections
    roomy = detect_slide(slide, BlobDetector(), options).detections
    assert cramped.boxes.tolist() == roomy.boxes.tolist()
    assert max(detector.batches) <= room
    with pytest.raises(DeviceError, match=r"no memory.*smaller tiles"):
        detect_slide(slide, CrampedDetector(0), options)


class FixedDetector(BlobDetector):
    """Takes tiles of 256 px only."""

    def detect(self, tiles: NDArray[np.uint8], score_threshold: float) -> list[Detections]:
        assert tiles.shape[1:3] == (256, 256)
        return super().detect(tiles, score_threshold)


@pytest.mark.parametrize("size", [(250, 300), (700, 500)])
def test_a_model_of_one_tile_size_gets_no_other(size: tuple[int, int]) -> None:
    """Not even where the slide is smaller than a tile, or a smaller one would do."""
    image = np.full((*size, 3), 252, np.uint8)
    image[60:200, 40:180] = (200, 120, 180)
    slide = ArraySlide([image], mpp=0.25)
    with pytest.raises(AssertionError):
        detect_slide(slide, FixedDetector(tile_overlap=160))
    found = detect_slide(slide, FixedDetector(tile_overlap=160, tile_size_is_fixed=True)).detections
    assert len(found) == 1
    assert found.boxes.tolist() == detect_slide(slide, BlobDetector(tile_overlap=160)).detections.boxes.tolist()


class DamagedSlide(ArraySlide):
    """Cannot decode anything that touches a rectangle, level-0 pixels."""

    damage = (1000, 1000, 1050, 1020)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        x0, y0, x1, y1 = self.damage
        if location[0] < x1 and location[1] < y1 and location[0] + size[0] > x0 and location[1] + size[1] > y0:
            message = f"{self.name}: cannot decode"
            raise SlideError(message)
        return super().read_region(location, level, size)


@pytest.mark.parametrize("overlap", [0, 64, 128])
def test_unread_area_fails_the_slide_or_is_recorded_to_the_piece(overlap: int) -> None:
    image = np.full((2048, 2048, 3), 252, np.uint8)
    for x, y in ((200, 200), (1300, 1100), (1700, 1800)):
        image[y : y + 60, x : x + 60] = (200, 120, 180)
    slide, detector = DamagedSlide([image], mpp=0.25, name="worn"), BlobDetector(tile_size=1024, tile_overlap=overlap)
    options = ScanOptions(tissue_mask=False)
    with pytest.raises(
        SlideError,
        match=r"worn: \d+\.\d+% of the area to scan cannot be decoded \(\d+ pieces?, the first at .*cannot decode",
    ) as caught:
        detect_slide(slide, detector, options)
    assert caught.value.options == ("max_bad_area",)
    result = detect_slide(slide, detector, replace(options, max_bad_area=0.2))
    assert len(result.detections) == 3
    boxes = np.array(result.unread)
    hit = np.zeros((2048, 2048), np.int64)
    for x0, y0, x1, y1 in boxes.astype(int):
        hit[y0:y1, x0:x1] += 1
    assert hit.max() == 1, "no pixel is counted twice"
    x0, y0, x1, y1 = slide.damage
    assert hit[y0:y1, x0:x1].all()
    assert result.unread_mm2 == pytest.approx(hit.sum() * 0.25**2 / 1e6)
    assert hit.sum() <= 4 * 256**2
    assert detect_slide(ArraySlide([image], mpp=0.25), detector, options).unread == ()


def test_a_slide_too_coarse_or_of_unknown_mpp_is_refused() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    with pytest.raises(MppError, match="29 µm"):
        detect_slide(ArraySlide([image], mpp=29.0), BlobDetector())
    with pytest.raises(MppError, match="how large its pixels are") as caught:
        detect_slide(ArraySlide([image], mpp=None), BlobDetector())
    assert caught.value.options == ("mpp",)


@pytest.mark.parametrize(
    "chosen", [{"tile_size": 100}, {"overlap": 300}, {"threshold": 1.5}, {"batch_size": 0}, {"read_threads": -1}]
)
def test_options_that_make_no_sense_are_refused(chosen: dict[str, Any]) -> None:
    slide = ArraySlide([np.zeros((600, 600, 3), np.uint8)], mpp=0.25)
    with pytest.raises(OptionError):
        detect_slide(slide, BlobDetector(), ScanOptions(**chosen))

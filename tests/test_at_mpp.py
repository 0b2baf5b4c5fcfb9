"""A slide seen at one resolution, against means taken by NumPy and against pixels taken one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.slides import ArraySlide, SlideAtMpp


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Pixels without any order, so that a shift by one of them shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(
    factor=st.integers(1, 5),
    off=st.floats(-0.035, 0.035),
    x=st.integers(-9, 30),
    y=st.integers(-9, 30),
    size=st.tuples(st.integers(1, 25), st.integers(1, 25)),
)
def test_a_view_pixel_is_the_mean_of_the_pixels_it_covers(
    factor: int, off: float, x: int, y: int, size: tuple[int, int]
) -> None:
    pixels = noise(61, 47)
    view = SlideAtMpp(ArraySlide([pixels], mpp=0.25), 0.25 * factor * (1 + off))
    assert list(view.scale) == [factor, factor]
    seen = view.read(x, y, *size)
    around = np.pad(pixels, ((300, 300), (300, 300), (0, 0)), constant_values=255).astype(float)
    window = around[300 + y * factor :, 300 + x * factor :][: size[1] * factor, : size[0] * factor]
    means = window.reshape(size[1], factor, size[0], factor, 3).mean(axis=(1, 3))
    assert seen.shape == (size[1], size[0], 3)
    assert np.abs(seen - means).max() < 0.6  # Pillow divides by multiplying, a little off


def test_pixels_nearly_as_large_as_wanted_are_passed_on_as_they_are() -> None:
    pixels = noise(50, 40)
    for mpp in (0.499, 0.5015, 0.485):  # of real scanners
        view = SlideAtMpp(ArraySlide([pixels], mpp=mpp), 0.5)
        assert np.array_equal(view.read(3, 5, 20, 10), pixels[5:15, 3:23])
        assert view.pixel_um == pytest.approx((mpp, mpp))
        assert np.array_equal(view.to_level0(np.array([[1, 2, 3, 4]])), [[1, 2, 3, 4]])


def test_without_slack_and_beyond_it_pixels_have_the_size_asked_for() -> None:
    slide = ArraySlide([noise(500, 400)], mpp=0.2525)
    assert SlideAtMpp(slide, 0.5).scale == (2, 2)
    assert SlideAtMpp(slide, 0.5, slack=0).scale == pytest.approx((0.5 / 0.2525,) * 2)
    assert SlideAtMpp(slide, 0.46).scale == pytest.approx((0.46 / 0.2525,) * 2)
    assert SlideAtMpp(slide, 0.46).pixel_um == pytest.approx((0.46, 0.46))


def test_a_coarser_level_that_is_nearly_right_is_taken() -> None:
    levels = [noise(400, 320, seed) for seed in (0,)] + [noise(200, 160, 1), noise(100, 80, 2)]
    view = SlideAtMpp(ArraySlide(levels, mpp=0.2525), 0.5)
    assert np.array_equal(view.read(10, 20, 30, 40), levels[1][20:60, 10:40])
    assert np.array_equal(view.to_level0(np.array([[1, 1, 2, 2]])), [[2, 2, 4, 4]])


@given(st.floats(0.1, 1.0), st.floats(0.1, 1.0))
def test_windows_meet_without_a_seam(own: float, wanted: float) -> None:
    # Of middling grey: Pillow clips between its two passes, and which of them comes first is its own choice.
    view = SlideAtMpp(ArraySlide([noise(64, 48) // 4 + 96], mpp=own), max(wanted, own / 4))
    width, height = view.dimensions
    whole = view.read(0, 0, width, height)
    cut_x, cut_y = width // 3, height // 2
    for x, y, w, h in (
        (0, 0, cut_x, cut_y),
        (cut_x, 0, width - cut_x, cut_y),
        (cut_x, cut_y, width - cut_x, height - cut_y),
    ):
        if w and h:
            difference = view.read(x, y, w, h).astype(int) - whole[y : y + h, x : x + w]
            assert np.abs(difference).max() <= 1  # Pillow rounds the filter's places to its own precision

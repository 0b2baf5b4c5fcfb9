"""Pages and pictures that reports are made of."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from PIL import Image

from signetscan.plurals import counted
from signetscan.reports.page import number, render_page
from signetscan.reports.pictures import BoxColour, thumbnail_uri


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")).astype(int)


def test_a_box_is_drawn_where_it_is() -> None:
    """A dark square of 40 px in the middle of 112 px, shown twice as large: its box runs along its edges."""
    pixels = np.full((300, 400, 3), 200, np.uint8)
    pixels[100:140, 200:240] = 20
    shown = opened(thumbnail_uri(pixels, (200, 100, 240, 140), BoxColour.FALSE_POSITIVE, window=112))
    assert shown.shape == (224, 224, 3)
    red = (shown[..., 0] > 150) & (shown[..., 1] < 110) & (shown[..., 2] < 110)
    rows, columns = np.nonzero(red)
    for found, expected in zip((columns.min(), columns.max(), rows.min(), rows.max()), (72, 151, 72, 151), strict=True):
        assert abs(found - expected) <= 2
    assert shown[112, 112].max() < 60, "what is in the box can be seen"
    assert abs(shown[30, 30] - 200).max() < 12, "and what is around it"


def test_beyond_the_image_it_is_white_and_a_large_box_is_shown_whole() -> None:
    pixels = np.full((50, 50, 3), 90, np.uint8)
    corner = opened(thumbnail_uri(pixels, (0, 0, 20, 20), BoxColour.HIT, window=80))
    assert corner[40, 40].min() > 240
    assert abs(corner[180, 180] - 90).max() < 12
    large = opened(thumbnail_uri(pixels, (0, 0, 50, 50), BoxColour.HIT, window=10))
    blue = (large[..., 2] > 120) & (large[..., 0] < 90)
    assert 15 < np.nonzero(blue)[1].min() < 30, "with a margin"


@given(
    st.tuples(st.floats(-50, 90), st.floats(-50, 90)),
    st.tuples(st.floats(0, 300), st.floats(0, 300)),
    st.floats(0.1, 200),
)
def test_any_box_gives_a_picture(corner: tuple[float, float], size: tuple[float, float], window: float) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
    assert opened(thumbnail_uri(pixels, box, BoxColour.MISS, window=window)).shape == (224, 224, 3)


def test_numbers_and_counts() -> None:
    assert (number(float("nan")), number(0.12345), number(3, "g")) == ("\N{EN DASH}", "0.123", "3")
    assert (counted(1, "slide"), counted(1200, "slide", separator=",")) == ("1 slide", "1,200 slides")


def test_a_value_that_is_missing_is_an_error_and_no_hole_in_the_page() -> None:
    with pytest.raises(UndefinedError):
        render_page("training.html", run="a")

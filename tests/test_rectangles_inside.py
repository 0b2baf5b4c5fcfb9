"""Rectangles inside a region: no point of them may be one of which nobody spoke."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.annotations import Region
from signetscan.annotations.objects import rectangle_ring
from signetscan.dataset.rectangles_inside import MOST_RECTANGLES, rectangles_inside

LEAST = 64


def region_of(*rings: list[tuple[float, float]]) -> Region:
    return Region(rings=tuple(np.array(ring, np.float64) for ring in rings), normal=True)


@st.composite
def outlines(draw: st.DrawFn) -> Region:
    """Any polygon, also one that crosses itself, perhaps with a second ring that is a hole or a piece."""
    corner = st.tuples(st.floats(0, 1000), st.floats(0, 800))
    return region_of(*draw(st.lists(st.lists(corner, min_size=3, max_size=9), min_size=1, max_size=2)))


@given(outlines(), st.sampled_from([(1.0, 1.0), (0.5, 0.75)]))
def test_every_point_of_a_rectangle_lies_in_the_region(region: Region, scale: tuple[float, float]) -> None:
    x0, y0, x1, y1 = region.box
    edges = (int(x0 / scale[0]), int(y0 / scale[1]), int(x1 / scale[0]), int(y1 / scale[1]))
    if min(edges[2] - edges[0], edges[3] - edges[1]) < LEAST:
        return
    found = list(rectangles_inside(region, edges, scale, LEAST))
    assert len(found) <= MOST_RECTANGLES
    taken = np.zeros((edges[3], edges[2]), np.bool_)
    for left, top, right, bottom in found:
        assert min(right - left, bottom - top) >= LEAST
        assert edges[0] <= left < right <= edges[2]
        assert edges[1] <= top < bottom <= edges[3]
        assert not taken[top:bottom, left:right].any(), "none overlap"
        taken[top:bottom, left:right] = True
        x, y = np.meshgrid(np.linspace(left, right, 23), np.linspace(top, bottom, 23))
        points = np.stack([x.ravel(), y.ravel()], axis=1) * scale
        if not region.is_rectangle:
            assert region.holds(points).all()


@pytest.mark.parametrize("size", [700, 40_000])
def test_hardly_anything_of_a_plain_shape_is_lost(size: int) -> None:
    """An octagon; its largest rectangles cover most of it, at any size."""
    cut, end = size * 0.15, size * 0.85
    ring = [(cut, 0), (end, 0), (size, cut), (size, end), (end, size), (cut, size), (0, end), (0, cut)]
    found = list(rectangles_inside(region_of(ring), (0, 0, size, size), (1.0, 1.0), size // 8))
    area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in found)
    assert area > 0.7 * (size**2 - 2 * cut**2)


def test_a_rectangle_is_taken_whole_and_a_line_to_far_away_is_not_followed() -> None:
    box = np.array([10.0, 20.0, 500.0, 400.0])
    region = Region(rings=(rectangle_ring(box),), normal=False)
    assert list(rectangles_inside(region, (10, 20, 500, 400), (1.0, 1.0), LEAST)) == [(10, 20, 500, 400)]
    far = region_of([(0, 0), (1e9, 0), (1e9, 1e9), (0, 500)])
    assert list(rectangles_inside(far, (0, 0, 1000, 800), (1.0, 1.0), LEAST)) == []

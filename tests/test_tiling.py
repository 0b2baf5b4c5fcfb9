from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signetscan.errors import OptionError
from signetscan.scan.tiling import Cut, TileGrid, in_strips


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    stride = draw(st.sampled_from([1, 8, 32, 128]))
    size = draw(st.integers(1, 6)) * stride
    overlap = draw(st.integers(0, size // stride - 1)) * stride
    width, height = draw(st.integers(1, 8 * size)), draw(st.integers(1, 8 * size))
    exact = draw(st.booleans())
    return TileGrid(width=width, height=height, tile_size=size, overlap=overlap, stride=stride, exact=exact)


@given(grids())
def test_owned_parts_fill_the_plane_once(grid: TileGrid) -> None:
    tiles = list(grid)
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (tile.owned for tile in tiles)) == grid.width * grid.height
    # Equal area and shared borders: each part ends where its right-hand and its lower neighbour begin.
    for tile in tiles:
        row, column = divmod(tile.index, grid.columns)
        right = grid[tile.index + 1].owned[0] if column + 1 < grid.columns else grid.width
        below = grid[tile.index + grid.columns].owned[1] if row + 1 < grid.rows else grid.height
        assert tile.owned[2:] == (right, below)


@given(grids())
def test_tiles_hold_their_own_part_with_half_an_overlap_around_it(grid: TileGrid) -> None:
    for tile in grid:
        for start, side, low, high, end in (
            (tile.x, tile.width, tile.owned[0], tile.owned[2], grid.width),
            (tile.y, tile.height, tile.owned[1], tile.owned[3], grid.height),
        ):
            assert start % grid.stride == 0
            assert side % grid.stride == 0
            assert start <= low < high <= start + side
            assert low == 0 or low - start >= grid.overlap / 2
            assert high == end or start + side - high >= grid.overlap / 2
            # No tile hangs over the far edge by a whole stride or more.
            assert start + side - end < grid.stride or start == 0


@given(grids())
def test_a_grid_has_as_few_tiles_as_possible(grid: TileGrid) -> None:
    assert len(list(grid)) == len(grid) == grid.columns * grid.rows
    step = grid.tile_size - grid.overlap
    assert grid.columns <= 1 + -(-max(grid.width - grid.tile_size, 0) // step)
    if grid.exact:
        assert grid.tile_width == grid.tile_height == grid.tile_size
        return
    # Nor are they larger than it takes so few to cover the plane.
    for count, side, length in (
        (grid.columns, grid.tile_width, grid.width),
        (grid.rows, grid.tile_height, grid.height),
    ):
        smaller = side - grid.stride
        assert count * smaller - (count - 1) * grid.overlap < length
    with pytest.raises(IndexError):
        grid[len(grid)]


@given(grids(), st.tuples(*[st.floats(0, 1)] * 8))
def test_a_fitted_tile_shows_the_part_and_its_margins_and_little_else(
    grid: TileGrid, places: tuple[float, ...]
) -> None:
    margin, length = grid.overlap // 2, grid.width
    cut = Cut(tile_size=grid.tile_size, overlap=grid.overlap, stride=grid.stride, margin=margin, step=1)
    left, low, high, right = (place * length for place in sorted(places[:4]))
    top, first, last, bottom = (place * length for place in sorted(places[4:]))
    first, last = (top, bottom) if places[0] < 0.5 else (first, last)  # tissue that goes on beyond the part
    tile = cut.fitted(3, (left, top, right, bottom), (low, first, high, last), (length, length))
    assert (tile.index, tile.owned) == (3, (left, top, right, bottom))
    for start, side, whole, part in (
        (tile.x, tile.width, (left, right), (low, high)),
        (tile.y, tile.height, (top, bottom), (first, last)),
    ):
        around = (margin + (part[0] > whole[0]), margin + (part[1] < whole[1]))
        begin, end = max(part[0] - around[0], whole[0] - margin, 0), min(part[1] + around[1], whole[1] + margin, length)
        assert start % grid.stride == side % grid.stride == 0
        assert begin - grid.stride - 1e-5 < start <= begin + 1e-5
        assert end - 1e-5 <= start + side < end + grid.stride + 1e-5


@given(grids(), st.integers(1, 5))
def test_parts_begin_where_tiles_need_not_be_larger(grid: TileGrid, square: int) -> None:
    cut = Cut(tile_size=4, overlap=grid.overlap, stride=grid.stride, margin=grid.overlap // 2)
    edges = cut.edges(grid.width, square)
    assert edges[0] == 0
    assert edges[-1] == grid.width
    assert (np.diff(edges) > 0).all()
    for low, high in pairwise(edges[1:-1]):
        tile = cut.fitted(0, (low, 0.0, high, 1.0), (low, 0.0, high, 1.0), (10**6, 10**6))
        assert tile.width <= square * grid.stride + grid.overlap


@given(grids(), st.floats(1, 1e6))
def test_strips_hold_every_tile_once_and_are_no_wider_than_asked(grid: TileGrid, pixels: float) -> None:
    tiles = in_strips(grid, pixels)
    assert sorted(tile.index for tile in tiles) == list(range(len(grid)))
    if grid.rows == 1:
        assert [tile.index for tile in tiles] == list(range(len(grid)))
        return
    rows = [list(row) for _, row in groupby(tiles, key=lambda tile: tile.y)]
    most = max(len(row) for row in rows)
    assert most == 1 or most * grid.tile_width * grid.tile_height <= pixels
    ends = sum(before[0].y > after[0].y for before, after in pairwise(rows))
    assert ends + 1 == -(-grid.columns // most), "a strip is left when it is done"


@pytest.mark.parametrize(
    ("size", "overlap", "stride"), [(100, 0, 32), (128, 20, 32), (128, 128, 32), (64, -32, 32), (0, 0, 32)]
)
def test_sizes_that_do_not_make_a_grid_are_refused(size: int, overlap: int, stride: int) -> None:
    with pytest.raises(OptionError):
        TileGrid(width=500, height=500, tile_size=size, overlap=overlap, stride=stride)

"""Tiles that are placed by the tissue: each place of it belongs to one, and little else is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from signetscan.boxes import centres
from signetscan.models.detector import load_detector
from signetscan.models.store import find_model
from signetscan.scan.cover import TileSizes, Tissue, cover
from signetscan.scan.detect import detect_slide
from signetscan.scan.options import ScanOptions
from signetscan.scan.plan import place_tiles
from signetscan.scan.tiling import Cut
from signetscan.scan.tissue import TissueMask, find_tissue, whole_slide
from signetscan.slides import ArraySlide, SlideAtMpp, open_slide
from signetscan.testing.tilings import SAME_SCORE, agreement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.detections import Detections
    from signetscan.scan.cover import Part

SIDE = 10.0
"""Of a square, view pixels."""


def tissue_of(squares: NDArray[np.bool_]) -> Tissue:
    rows, columns = squares.shape
    return Tissue(squares=squares, x=np.arange(columns + 1) * SIDE, y=np.arange(rows + 1) * SIDE)


def tissues(most: int) -> st.SearchStrategy[Tissue]:
    shapes = st.tuples(st.integers(1, most), st.integers(1, most))
    return arrays.arrays(np.bool_, shapes, elements=st.booleans()).map(tissue_of)


sizes = st.builds(
    lambda squares, seam, glass, edge: TileSizes(
        side=SIDE * (squares + 2 * seam), overlap=2 * SIDE * seam, glass_margin=glass, edge_margin=edge
    ),
    st.integers(1, 9),
    st.floats(0, 3),
    st.floats(0, 9),
    st.floats(0, 9),
)


@given(tissues(24), sizes)
def test_parts_hold_all_tissue_once_and_a_tile_shows_each(tissue: Tissue, sizes: TileSizes) -> None:
    times = np.zeros(tissue.squares.shape, np.int64)
    for x0, y0, x1, y1 in cover(tissue, sizes):
        inside = tissue.inside((x0, y0, x1, y1))
        assert inside is not None
        times[y0:y1, x0:x1] += 1
        for first, last, low, high, end in (
            (x0, x1, inside[0], inside[2], tissue.squares.shape[1]),
            (y0, y1, inside[1], inside[3], tissue.squares.shape[0]),
        ):
            before = (sizes.seam if first else sizes.edge_margin) if first == low else sizes.glass_margin
            after = (sizes.seam if last < end else sizes.edge_margin) if last == high else sizes.glass_margin
            assert (high - low) * SIDE + before + after <= sizes.side + 1e-6 or high - low == 1
    assert times.max() <= 1
    assert (times[tissue.squares] == 1).all()


def seen(tissue: Tissue, parts: Iterable[Part], sizes: TileSizes) -> float:
    """What tiles show of parts, if they show as much around each as where tissue goes on."""
    inside = [tissue.inside(part) for part in parts]
    return sum(
        ((box[2] - box[0]) * SIDE + sizes.overlap) * ((box[3] - box[1]) * SIDE + sizes.overlap)
        for box in inside
        if box is not None
    )


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 3))
def test_what_is_all_tissue_takes_no_more_than_a_grid(columns: int, rows: int, inner: int, seam: int) -> None:
    tissue = tissue_of(np.ones((rows, columns), np.bool_))
    sizes = TileSizes(side=SIDE * (inner + 2 * seam), overlap=2 * SIDE * seam, glass_margin=0, edge_margin=0)
    across, down = (max(1, math.ceil((length - 2 * seam) / inner)) for length in (columns, rows))
    assert len(cover(tissue, sizes)) <= across * down


def test_tissue_without_glass_is_cut_evenly() -> None:
    tissue = tissue_of(np.ones((10, 24), np.bool_))
    parts = cover(tissue, TileSizes(side=120.0, overlap=20.0, glass_margin=0.0, edge_margin=0.0))
    assert sorted(x1 - x0 for x0, _, x1, _ in parts) == [8, 8, 8]


def test_pieces_are_cut_apart_along_glass() -> None:
    squares = np.zeros((20, 20), np.bool_)
    sizes = TileSizes(side=220.0, overlap=20.0, glass_margin=0.0, edge_margin=0.0)
    assert cover(tissue_of(squares), sizes) == []
    squares[:6, :6] = squares[12:, 9:] = True
    assert len(cover(tissue_of(squares), sizes)) == 2


def test_ragged_tissue_leaves_less_to_see_than_a_grid_fitted_to_it() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((300, 300)), 12)
    tissue = tissue_of(noise > 0)
    sizes = TileSizes(side=500.0, overlap=60.0, glass_margin=30.0, edge_margin=0.0)
    step = 44
    grid = [(x, y, min(x + step, 300), min(y + step, 300)) for y in range(0, 300, step) for x in range(0, 300, step)]
    assert seen(tissue, cover(tissue, sizes), sizes) < 0.93 * seen(tissue, grid, sizes)


def view_of(width: int, height: int) -> SlideAtMpp:
    plane = np.broadcast_to(np.uint8(0), (height, width, 3))
    return SlideAtMpp(ArraySlide([plane], mpp=0.25), 0.5)


def detecting(stride: int, tile: int, overlap: int) -> Cut:
    overlap = min(overlap, tile - 1) * stride
    return Cut(tile_size=tile * stride, overlap=overlap, stride=stride, margin=overlap // 2)


def segmenting(stride: int, tile: int, margin: int, step: int) -> Cut:
    return Cut(
        tile_size=tile * stride + -(-2 * margin * step // stride) * stride,
        overlap=-(-2 * margin * step // stride) * stride,
        stride=stride,
        margin=margin * step,
        beyond=margin * step,
        step=step,
    )


strides = st.sampled_from([8, 16, 32])
cuts = st.one_of(
    st.builds(detecting, strides, st.integers(1, 8), st.integers(0, 4)),
    st.builds(segmenting, strides, st.integers(2, 8), st.integers(0, 9), st.sampled_from([1, 4, 8])),
)


@settings(max_examples=60)
@given(st.integers(1, 1500), st.integers(1, 1500), cuts, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_tiles_by_tissue_own_and_show_all_of_it(width: int, height: int, cut: Cut, seed: int, share: float) -> None:
    view = view_of(width, height)
    whole = whole_slide(view.slide)
    mask = replace(whole, mask=np.random.default_rng(seed).random(whole.mask.shape) < share)
    tiles = place_tiles(mask, view, cut)
    columns, rows = cut.plane(*view.dimensions)
    owned = np.zeros((rows, columns), np.uint8)
    shown = np.zeros((rows, columns), np.bool_)
    for tile in tiles:
        assert (tile.x + cut.beyond) % cut.stride == (tile.y + cut.beyond) % cut.stride == 0
        assert tile.width % cut.stride == tile.height % cut.stride == 0
        assert max(tile.width, tile.height) <= cut.tile_size
        assert all(edge.is_integer() for edge in tile.owned)
        x0, y0, x1, y1 = (int(edge) for edge in tile.owned)
        owned[y0:y1, x0:x1] += 1
        left, top, right, bottom = (int(edge) for edge in tile.seen)
        shown[top:bottom, left:right] = True
    assert owned.max(initial=0) <= 1
    x, y = (np.arange(columns) + 0.5) * view.scale[0], (np.arange(rows) + 0.5) * view.scale[1]
    tissue = mask.at(x, y)
    assert (owned[tissue] == 1).all()
    assert shown[tissue].all()


def test_a_tile_shows_the_margin_wherever_tissue_goes_on() -> None:
    view = view_of(4000, 4000)
    whole = whole_slide(view.slide)
    mask: TissueMask = replace(whole, mask=np.zeros_like(whole.mask))
    mask.mask[20:200, 20:100] = True
    cut = Cut(tile_size=512, overlap=128, stride=32, margin=64)
    tiles = place_tiles(mask, view, cut)
    pixel = mask.pixel[0] / view.scale[0]
    assert {tile.x > 20 * pixel for tile in tiles} == {False, True}
    for tile in tiles:
        left = max(20 * pixel, tile.owned[0])
        assert left - 64 - 32 < tile.x <= left - 64


@pytest.mark.slow
def test_tiles_by_tissue_find_what_one_pass_finds(shared_slides: Path) -> None:
    detector, low = load_detector(find_model("accurate")), 0.2
    with open_slide(shared_slides / "CMU-1-Small-Region.svs") as slide:
        mask = find_tissue(slide)
        whole, tiled = (
            detect_slide(slide, detector, replace(options, threshold=low - SAME_SCORE))
            for options in (ScanOptions(tile_size=4096, tissue_mask=False), ScanOptions(trim_tiles=True))
        )
    assert tiled.tiles_scanned > 1
    assert whole.tiles_scanned == 1
    of_tissue = [result.detections.select(held(result.detections, mask)) for result in (whole, tiled)]
    assert len(of_tissue[0]) > 100
    assert agreement(of_tissue[0], of_tissue[1], low) >= 0.995


def held(detections: Detections, mask: TissueMask) -> NDArray[np.intp]:
    """Which detections have their centre in tissue."""
    column, row = (centres(detections.boxes) / mask.pixel).astype(np.intp).T
    return np.flatnonzero(mask.mask[row, column])

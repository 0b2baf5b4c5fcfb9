"""Means of blocks of pixels, read piece by piece: against means of whole windows, and against OpenSlide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from slide_files import (
    APERIO,
    HEIGHT,
    KINDS,
    TILE,
    WIDTH,
    Pair,
    abbreviated,
    jpeg,
    overwrite,
    set_count,
    spans,
    texture,
    tiles_of,
    write,
    write_stored,
)

from signetscan.errors import SlideError
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.slides.averaging import averaged, block_means
from signetscan.slides.tiff_decoders import small_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.slides import Slide
    from signetscan.slides.protocol import Window

    Opener = Callable[[Path], Pair]
    Shape = tuple[int, int]

BLOCKS = ((2, 2), (4, 4), (8, 8), (6, 6), (16, 16), (2, 1), (4, 2), (3, 3), (5, 5), (64, 64))
AROUND = 3
"""Blocks that windows may reach beyond the slide."""


@pytest.fixture(scope="module", params=KINDS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pyramid of two levels, for each way to store tiles; one tile is missing."""
    path = write(tmp_path_factory.mktemp("averaged") / "a.tif", texture(HEIGHT, WIDTH), 2, **KINDS[request.param])
    set_count(path, 0, 5, 0)
    pair = Pair(path)
    yield pair
    pair.close()


def of_window(slide: Slide, location: Shape, level: int, size: Shape, block: Shape) -> Window:
    """What `read_averaged` stands for: a whole window reduced to the means of its blocks."""
    return averaged(slide.read_window(location, level, (size[0] * block[0], size[1] * block[1])), block)


def can_shrink(pair: Pair) -> bool:
    """Whether tiles of level 0 are decoded at a fraction of their size."""
    assert pair.slide._direct is not None
    return 0 in pair.slide._direct._small


def check_near(pair: Pair, block: Shape) -> None:
    """Check that the means of level 0 are nearly those of OpenSlide's pixels, and not all the same."""
    width, height = pair.slide.dimensions
    size = (-(-width // block[0]), -(-height // block[1]))
    found = pair.slide.read_averaged((0, 0), 0, size, block).pixels.astype(np.int16)
    off = np.abs(found - of_window(pair.reference, (0, 0), 0, size, block).pixels)
    assert 0 < off.mean() < 1
    assert np.percentile(off, 99) <= 4


def soft(seed: int = 0) -> NDArray[np.uint8]:
    """A picture of the usual size, of soft colours like those of tissue: chroma in blotches of some pixels."""
    grey = texture(HEIGHT, WIDTH, seed).mean(axis=2, keepdims=True)
    colours: NDArray[np.uint8] = (grey * (0.9, 0.6, 0.8) + (20, 40, 30)).astype(np.uint8)
    return colours


@given(
    block=st.sampled_from(BLOCKS),
    level=st.integers(0, 1),
    start=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_window_is_a_part_of_the_largest(stored: Pair, block: Shape, level: int, start: Shape, size: Shape) -> None:
    down = 2**level
    width, height = (-(-side // down // step) + 2 * AROUND for side, step in zip((WIDTH, HEIGHT), block, strict=True))
    whole = stored.slide.read_averaged(
        (-AROUND * block[0] * down, -AROUND * block[1] * down), level, (width, height), block
    )
    x, y = start[0] % width, start[1] % height
    size = min(size[0], width - x), min(size[1], height - y)
    location = ((x - AROUND) * block[0] * down, (y - AROUND) * block[1] * down)
    part = stored.slide.read_averaged(location, level, size, block)
    shown = (slice(y, y + size[1]), slice(x, x + size[0]))
    np.testing.assert_array_equal(part.pixels, whole.pixels[shown])
    assert whole.missing is None or np.array_equal(
        np.zeros(size[::-1], np.bool_) if part.missing is None else part.missing, whole.missing[shown]
    )


@pytest.mark.parametrize("block", BLOCKS)
def test_means_are_those_of_openslides_pixels(stored: Pair, block: Shape) -> None:
    size = (-(-WIDTH // block[0]) + 2, -(-HEIGHT // block[1]) + 2)
    location = (-block[0], -block[1])
    found = stored.slide.read_averaged(location, 0, size, block)
    expected = of_window(stored.reference, location, 0, size, block)
    off = np.abs(found.pixels.astype(np.int16) - expected.pixels)
    assert off.mean() < 1 if can_shrink(stored) else off.max() == 0
    np.testing.assert_array_equal(found.missing, of_window(stored.slide, location, 0, size, block).missing)


@pytest.mark.parametrize("kind", ["jpeg-420", "jpeg-444", "jpeg-rgb", "jpeg-grey", "jpeg-aperio"])
def test_jpeg_tiles_are_not_decoded_whole(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pair = opened(write(tmp_path / "a.tif", soft(), **KINDS[kind]))
    assert can_shrink(pair)
    with monkeypatch.context() as patched:
        patched.setattr(imagecodecs, "jpeg8_decode", lambda *_, **__: pytest.fail("decoded whole"))
        pair.slide.read_averaged((0, 0), 0, (WIDTH // 4, HEIGHT // 4), (4, 4))
    for block in ((2, 2), (4, 4)):
        check_near(pair, block)


def test_tiles_at_the_slides_edge_are_decoded_whole_where_blocks_show_the_background(
    tmp_path: Path, opened: Opener
) -> None:
    pair = opened(write(tmp_path / "a.tif", soft(), **KINDS["jpeg-444"]))
    assert WIDTH % 8
    size = (-(-WIDTH // 8), -(-HEIGHT // 8))
    found = pair.slide.read_averaged((0, 0), 0, size, (8, 8)).pixels
    expected = of_window(pair.reference, (0, 0), 0, size, (8, 8)).pixels
    np.testing.assert_array_equal(found[:, 3 * TILE // 8 :], expected[:, 3 * TILE // 8 :])
    assert (found != expected).any()


def rgb_tiles(path: Path) -> Path:
    """RGB, by the TIFF tag, in JPEGs that bear the mark of JFIF, which means YCbCr."""
    tiles = [jpeg(tile, subsampling=0) for tile in tiles_of(soft())]
    assert all(b"JFIF" in tile for tile in tiles)
    return write_stored(path, tiles, WIDTH, HEIGHT, photometric="rgb", subsampling=None, **APERIO)


def tables_apart(path: Path) -> Path:
    tiles, tables = zip(*(abbreviated(jpeg(tile, subsampling=2)) for tile in tiles_of(soft())), strict=True)
    extra = [(347, 7, len(tables[0]), tables[0], True)]
    return write_stored(path, list(tiles), WIDTH, HEIGHT, extratags=extra, **APERIO)


def restarts(path: Path) -> Path:
    tiles = [jpeg(tile, subsampling=2, restart_marker_blocks=3) for tile in tiles_of(soft())]
    return write_stored(path, tiles, WIDTH, HEIGHT)


@pytest.mark.parametrize("make", [rgb_tiles, tables_apart, restarts])
def test_jpegs_as_scanners_store_them(tmp_path: Path, opened: Opener, make: Callable[[Path], Path]) -> None:
    pair = opened(make(tmp_path / "a.svs"))
    assert can_shrink(pair)
    for block in ((2, 2), (4, 4)):
        check_near(pair, block)


def test_real_slides(shared_slides: Path, opened: Opener) -> None:
    for path in (ROOT / "tests" / "data" / "sample.svs", shared_slides / "CMU-1-Small-Region.svs"):
        pair = opened(path)
        assert can_shrink(pair)
        for block in ((2, 2), (4, 4), (8, 8)):
            check_near(pair, block)


def test_where_the_comparison_fails_tiles_are_decoded_whole(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(page: tifffile.TiffPage) -> Callable[[bytes, int], NDArray[np.uint8]]:
        decode = small_decoder(page)
        assert decode is not None
        return lambda data, shrink: np.roll(decode(data, shrink), 1, axis=1)

    path = write(tmp_path / "a.tif", soft(), **KINDS["jpeg-420"])
    monkeypatch.setattr("signetscan.slides.direct.small_decoder", shifted)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    assert not can_shrink(pair)
    size = (WIDTH // 2, HEIGHT // 2)
    expected = of_window(pair.reference, (0, 0), 0, size, (2, 2))
    np.testing.assert_array_equal(pair.slide.read_averaged((0, 0), 0, size, (2, 2)).pixels, expected.pixels)


def cut(at: int, count: int, path: Path) -> None:
    overwrite(path, at + count // 2, b"\xff" * (count - count // 2))


def early(at: int, count: int, path: Path) -> None:
    overwrite(path, at + count // 2, b"\xff\xd9" + bytes(count - count // 2 - 2))


@pytest.mark.parametrize("damage", [cut, early])
@pytest.mark.parametrize("block", [(2, 2), (8, 8), (3, 3)])
def test_a_damaged_tile_is_an_error_and_leaves_the_others_as_they_are(
    tmp_path: Path,
    opened: Opener,
    damage: Callable[[int, int, Path], None],
    block: Shape,
) -> None:
    path = write(tmp_path / "a.svs", soft(), **KINDS["jpeg-420"])
    size = (TILE // block[0], TILE // block[1])
    sound = opened(path).slide.read_averaged((0, 0), 0, size, block).pixels
    lengths = [count for _, count in spans(path)[0]]
    tile = 5 if lengths[5] < max(lengths) else 6  # not one that is compared on opening
    damage(*spans(path)[0][tile], path)
    pair = opened(path)
    assert can_shrink(pair)
    place = (tile % 4 * TILE // block[0] * block[0], tile // 4 * TILE // block[1] * block[1])
    with pytest.raises(SlideError, match=rf"cannot decode level 0 at x {place[0]}, y {place[1]}"):
        pair.slide.read_averaged(place, 0, (5, 5), block)
    np.testing.assert_array_equal(pair.slide.read_averaged((0, 0), 0, size, block).pixels, sound)


@pytest.mark.parametrize(
    "options", [{"rowsperstrip": 16}, {"tile": (64, 64)}, {"rowsperstrip": 7}, {"rowsperstrip": HEIGHT}]
)
def test_pieces_of_plain_tiffs_are_averaged_one_by_one(tmp_path: Path, options: dict[str, Any]) -> None:
    image = texture(HEIGHT, WIDTH)[: HEIGHT - 3, : WIDTH - 5]
    tifffile.imwrite(tmp_path / "a.ome.tif", image, photometric="rgb", compression="zlib", **options)
    with open_slide(tmp_path / "a.ome.tif", mpp=0.25) as slide:
        for block in BLOCKS:
            size = (WIDTH // block[0] + 2, HEIGHT // block[1] + 2)
            location = (-block[0], -block[1])
            found = slide.read_averaged(location, 0, size, block).pixels
            np.testing.assert_array_equal(found, of_window(slide, location, 0, size, block).pixels)


def test_a_view_keeps_what_it_shows_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.svs", soft(), **KINDS["jpeg-aperio"])
    with open_slide(path) as slide:
        view = SlideAtMpp(slide, 0.5)
        whole = view.read(0, 0, *view.dimensions)
        monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("decoded again"))
        np.testing.assert_array_equal(view.read(5, 7, 40, 30), whole[7:37, 5:45])


def test_a_missing_tile_is_read_by_openslide_and_the_others_are_not(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH), **KINDS["deflate"])
    set_count(path, 0, 5, 0)
    pair = opened(path)
    read: list[tuple[Shape, Shape]] = []
    by_openslide = pair.slide._read_by_openslide

    def noted(location: Shape, level: int, size: Shape) -> Window:
        read.append((location, size))
        return by_openslide(location, level, size)

    monkeypatch.setattr(pair.slide, "_read_by_openslide", noted)
    window = pair.slide.read_averaged((0, 0), 0, (WIDTH // 2, HEIGHT // 2), (2, 2))
    assert read == [((TILE, TILE), (TILE, TILE))]
    assert window.missing is not None
    assert window.missing.sum() == window.missing[TILE // 2 : TILE, TILE // 2 : TILE].sum() == TILE**2 // 4


def test_block_means_of_grey_pixels() -> None:
    pixels: NDArray[np.uint8] = np.arange(96, dtype=np.uint8).reshape(8, 12, 1)
    assert block_means(pixels, (4, 2)).shape == (4, 3, 1)
    assert block_means(pixels, (4, 2))[0, 0, 0] == round((0 + 1 + 2 + 3 + 12 + 13 + 14 + 15) / 8)
    assert block_means(pixels, (1, 1)) is pixels

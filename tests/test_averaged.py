"""Means of blocks of pixels, read piece by piece: against means of whole windows, and against OpenSlide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from slide_files import (
    HEIGHT,
    KINDS,
    TILE,
    WIDTH,
    Pair,
    overwrite,
    set_count,
    spans,
    texture,
    write,
)

from signetscan.errors import SlideError
from signetscan.slides import SlideAtMpp, open_slide
from signetscan.slides.averaging import averaged, block_means

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
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.missing, of_window(stored.slide, location, 0, size, block).missing)


def test_real_slides(shared_slides: Path, opened: Opener) -> None:
    for path in (ROOT / "tests" / "data" / "sample.svs", shared_slides / "CMU-1-Small-Region.svs"):
        pair = opened(path)
        for block in ((2, 2), (5, 5)):
            width, height = pair.slide.dimensions
            size = (-(-width // block[0]), -(-height // block[1]))
            expected = of_window(pair.reference, (0, 0), 0, size, block).pixels
            np.testing.assert_array_equal(pair.slide.read_averaged((0, 0), 0, size, block).pixels, expected)


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
    path = write(tmp_path / "a.svs", texture(HEIGHT, WIDTH), **KINDS["jpeg-420"])
    size = (TILE // block[0], TILE // block[1])
    sound = opened(path).slide.read_averaged((0, 0), 0, size, block).pixels
    lengths = [count for _, count in spans(path)[0]]
    tile = 5 if lengths[5] < max(lengths) else 6  # not one that is compared on opening
    damage(*spans(path)[0][tile], path)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
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
    path = write(tmp_path / "a.svs", texture(HEIGHT, WIDTH), **KINDS["jpeg-aperio"])
    with open_slide(path) as slide, open_slide(path) as other:
        view = SlideAtMpp(slide, 0.5)
        pixels = other.read_region((0, 0), 0, (WIDTH, HEIGHT))
        np.testing.assert_array_equal(view.read(0, 0, *view.dimensions), block_means(pixels, (2, 2)))
        monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda *_, **__: pytest.fail("decoded again"))
        np.testing.assert_array_equal(view.read(5, 7, 40, 30), block_means(pixels, (2, 2))[7:37, 5:45])


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

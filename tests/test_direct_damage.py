"""Tiles decoded without OpenSlide: the same errors, each tile once, memory bounded."""

from __future__ import annotations

import ctypes
import os
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from slide_files import (
    HEIGHT,
    KINDS,
    TILE,
    WIDTH,
    Pair,
    jpeg,
    overwrite,
    set_count,
    set_tag,
    spans,
    texture,
    tiles_of,
    write,
    write_stored,
)

from signetscan.concurrency import ordered_map
from signetscan.errors import SlideError
from signetscan.slides import open_slide
from signetscan.slides.openslide_slide import OpenSlideSlide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Opener = Callable[[Path], Pair]

# ---- damage ---------------------------------------------------------------------------------------------------------


def counted(decode: Any, counts: Counter[Any], key: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - any codec
    """A codec that counts its calls."""

    def decoded(data: bytes, **options: Any) -> NDArray[np.uint8]:  # noqa: ANN401
        counts[key(data)] += 1
        pixels: NDArray[np.uint8] = decode(data, **options)
        return pixels

    return decoded


def error_of(slide: OpenSlideSlide, location: tuple[int, int]) -> str:
    with pytest.raises(SlideError) as caught:
        slide.read_region(location, 0, (30, 30))
    return str(caught.value)


def victim(path: Path) -> int:
    """A tile that is not compared on opening: neither the longest nor the last."""
    lengths = [count for _, count in spans(path)[0]]
    return 5 if lengths[5] < max(lengths) else 6


def cut(at: int, count: int, path: Path) -> None:
    overwrite(path, at + count // 2, b"\xff" * (count - count // 2))


def early(at: int, count: int, path: Path) -> None:
    """A JPEG that ends properly but too early."""
    overwrite(path, at + count // 2, b"\xff\xd9" + bytes(count - count // 2 - 2))


def head(at: int, count: int, path: Path) -> None:
    overwrite(path, at, bytes(12))


def middle(at: int, count: int, path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, count // 3, np.uint8).tobytes()
    overwrite(path, at + count // 2, noise)


def bomb(at: int, count: int, path: Path) -> None:
    """A JPEG that declares 60,000 x 60,000 pixels."""
    data = path.read_bytes()[at : at + count]
    if data.startswith(b"\xff\x4f"):
        overwrite(path, at + 8, (60000).to_bytes(4) * 2)
    else:
        overwrite(path, at + data.index(b"\xff\xc0") + 5, (60000).to_bytes(2) * 2)


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("jpeg-420", cut),
        ("jpeg-420", early),
        ("jpeg-rgb", early),
        ("jpeg-420", head),
        ("jpeg-420", middle),
        ("jpeg-420", bomb),
        ("jpeg-rgb", cut),
        ("jpeg-aperio", middle),
        ("jpeg-aperio", bomb),
        ("jpeg2000-aperio", head),
        ("jpeg2000-aperio", bomb),
        ("deflate", cut),
        ("deflate-differences", middle),
        ("lzw", head),
        ("lzw", middle),
        ("lzw-differences", cut),
    ],
)
def test_a_damaged_tile_is_an_error_as_with_openslide(
    tmp_path: Path,
    opened: Opener,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    damage: Callable[[int, int, Path], None],
) -> None:
    path = write(tmp_path / "a.svs", texture(HEIGHT, WIDTH), **KINDS[kind])
    tile = victim(path)
    damage(*spans(path)[0][tile], path)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    inside = (tile % 4 * TILE + 20, tile // 4 * TILE + 20)
    begun: Counter[int] = Counter()
    for name in ("jpeg8_decode", "jpeg2k_decode"):
        monkeypatch.setattr(imagecodecs, name, counted(getattr(imagecodecs, name), begun, len))
    assert error_of(pair.slide, inside) == error_of(pair.reference, inside)
    assert damage is not bomb or not begun, "a bomb is not even begun"
    assert pair.direct((0, 0), 0, (TILE, TILE)) is not None, "the others are read"


def test_a_tile_with_too_few_pixels_is_an_error_as_with_openslide(tmp_path: Path, opened: Opener) -> None:
    """A tile that holds only the pixels within the image, which tifffile accepts."""
    image = texture(HEIGHT, WIDTH)
    path = write(tmp_path / "a.tif", image, **KINDS["deflate"])
    data = zlib.compress(np.ascontiguousarray(image[:TILE, 3 * TILE :]).tobytes(), 9)
    overwrite(path, spans(path)[0][3][0], data)
    set_count(path, 0, 3, len(data))
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    assert error_of(pair.slide, (3 * TILE, 0)) == error_of(pair.reference, (3 * TILE, 0))


def test_half_a_grey_jpeg_is_read_as_openslide_reads_it(tmp_path: Path, opened: Opener) -> None:
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH), **KINDS["jpeg-grey"])
    cut(*spans(path)[0][5], path)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    assert pair.direct((TILE, TILE), 0, (30, 30)) is None
    assert pair.differs((TILE, TILE), 0, (TILE, TILE)) == 0


def tables_with_image(path: Path) -> Path:
    """The tables are a whole JPEG, whose size a decoder would take for that of every tile."""
    tiles = [jpeg(tile, subsampling=2) for tile in tiles_of(texture(HEIGHT, WIDTH))]
    return write_stored(path, tiles, WIDTH, HEIGHT, extratags=[(347, 7, len(tiles[0]), tiles[0], True)])


def test_tables_that_hold_an_image_are_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tables_with_image(tmp_path / "a.tif")
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda *_, **__: pytest.fail("they are used"))
    with OpenSlideSlide(path) as slide, OpenSlideSlide(path, direct=False) as reference:
        assert slide.decoder == "openslide"
        assert error_of(slide, (0, 0)) == error_of(reference, (0, 0))


def hide_damage(path: Path, tile: int) -> None:
    """Damage a JPEG tile so that OpenSlide refuses it and nothing else notices: the known gap of `strict_decoder`."""
    at, count = spans(path)[0][tile]
    whole = path.read_bytes()[at : at + count]
    place = (tile % 4 * TILE, tile // 4 * TILE)
    for seed in range(500):
        rng = np.random.default_rng(seed)
        noise = rng.integers(0, 255, 3, np.uint8).tobytes()
        start = int(rng.integers(count // 2, count - 40))
        overwrite(path, at, whole[:start] + noise + whole[start + 3 :])
        with OpenSlideSlide(path) as slide, OpenSlideSlide(path, direct=False) as reference:
            assert slide._direct is not None
            if slide._direct.read(place, 0, (9, 9)) is None:
                continue
            try:
                reference.read_region(place, 0, (9, 9))
            except SlideError:
                return
    pytest.fail("no such damage was found")


def test_damage_in_a_compared_tile_affects_only_that_tile(tmp_path: Path, opened: Opener) -> None:
    """After an error OpenSlide refuses all reads on a handle; opening must not leave it so."""
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH), **KINDS["jpeg-420"])
    tile = victim(path)
    hide_damage(path, tile)
    offsets, counts = map(list, zip(*spans(path)[0], strict=True))
    offsets[-1], counts[-1] = offsets[tile], counts[tile]
    set_tag(path, 0, "TileOffsets", offsets)
    set_tag(path, 0, "TileByteCounts", counts)
    pair = opened(path)
    assert pair.slide.decoder == "openslide"
    assert pair.differs((0, 0), 0, (TILE, TILE)) == 0
    corner = (3 * TILE, 2 * TILE)
    assert error_of(pair.slide, corner) == error_of(pair.reference, corner)


@pytest.mark.parametrize("kind", ["jpeg-420", "jpeg2000-aperio", "none", "deflate"])
def test_a_slide_cut_short_while_open(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "a.svs", texture(HEIGHT, WIDTH), **KINDS[kind])
    with open_slide(path, mpp=0.25) as slide:
        assert slide.decoder == "tifffile"
        first = slide.read_region((0, 0), 0, (TILE, TILE))
        os.truncate(path, spans(path)[0][3][0] + 10)
        with pytest.raises(SlideError, match=r"a\.svs"):
            slide.read_region((0, TILE), 0, (TILE, TILE))
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (TILE, TILE)), first)


def test_a_plain_tiff_cut_short_while_open(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, texture(HEIGHT, WIDTH), photometric="rgb", rowsperstrip=16, compression="zlib")
    with open_slide(path, mpp=0.25) as slide:
        os.truncate(path, spans(path)[0][3][0] + 10)
        with pytest.raises(SlideError, match=r"a\.tif: strip or tile 3 .*the file ends within"):
            slide.read_region((0, 0), 0, (WIDTH, HEIGHT))


def test_a_slide_overwritten_while_open(tmp_path: Path) -> None:
    path = write(tmp_path / "a.svs", texture(HEIGHT, WIDTH), **KINDS["jpeg-aperio"])
    with open_slide(path) as slide:
        overwrite(path, 8, bytes(path.stat().st_size - 8))
        with pytest.raises(SlideError, match=r"a\.svs"):
            slide.read_region((0, TILE), 0, (TILE, TILE))


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove an open file")
def test_a_slide_removed_while_open(tmp_path: Path) -> None:
    """What was open stays open; what OpenSlide must open again is an error."""
    image = texture(155, 211)
    path = write(tmp_path / "a.tif", image, 2)
    with open_slide(path, mpp=0.25) as slide:
        path.unlink()
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (211, 155)), image)
        with pytest.raises(SlideError, match=r"a\.tif"):
            slide.read_region((1, 1), 1, (100, 70))


def test_a_tile_larger_than_memory_is_refused(tmp_path: Path) -> None:
    """OpenSlide would end the process."""
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH), 2)
    set_tag(path, 1, "TileLength", 900_000_000)
    assert openslide.OpenSlide.detect_format(path) == "generic-tiff"
    with pytest.raises(SlideError, match=r"a\.tif.*tiles of 64 x 900000000 px"):
        open_slide(path)


@pytest.mark.parametrize("value", [2**31, 2**32 - 1])
def test_a_tile_that_is_declared_longer_than_the_file(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch, value: int
) -> None:
    """No memory is allocated for it."""
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH), **KINDS["deflate"])
    set_count(path, 0, 5, value)
    asked: list[int] = []

    def pread(handle: int, count: int, at: int) -> bytes:
        asked.append(count)
        return b""

    monkeypatch.setattr(os, "pread", pread, raising=False)
    pair = opened(path)
    assert pair.slide.decoder == "openslide"
    assert pair.differs((0, 0), 0, (TILE, TILE)) == 0
    assert max(asked, default=0) < path.stat().st_size


def test_reading_after_closing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, texture(HEIGHT, WIDTH), photometric="rgb", rowsperstrip=16)
    for each in (write(tmp_path / "b.tif", texture(HEIGHT, WIDTH)), path):
        slide = open_slide(each, mpp=0.25)
        assert slide.decoder == "tifffile"
        slide.read_region((0, 0), 0, (20, 20))
        slide.close()
        with pytest.raises((SlideError, ctypes.ArgumentError)):
            slide.read_region((0, 0), 0, (20, 20))


# ---- several threads ------------------------------------------------------------------------------------------------


def test_each_tile_is_decoded_once_for_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = texture(700, 900)
    path = write(tmp_path / "a.tif", image, **KINDS["jpeg-420"])
    decoded: Counter[bytes] = Counter()
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", counted(imagecodecs.jpeg8_decode, decoded, bytes))
    windows = [(x, y) for y in range(0, 700, 100) for x in range(0, 900, 100)] * 2
    with OpenSlideSlide(path) as slide, OpenSlideSlide(path, direct=False) as reference:
        reads = ordered_map(lambda at: slide.read_region(at, 0, (160, 160)), windows, workers=8, ahead=16)
        for at, pixels in zip(windows, reads, strict=True):
            np.testing.assert_array_equal(pixels, reference.read_region(at, 0, (160, 160)))
    assert len(decoded) == len(spans(path)[0]) == 15 * 11
    assert set(decoded.values()) == {1}


def test_opening_decodes_few_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, name, most in (("jpeg-420", "jpeg8_decode", 4), ("jpeg2000-aperio", "jpeg2k_decode", 2)):
        decoded: Counter[bytes] = Counter()
        monkeypatch.setattr(imagecodecs, name, counted(getattr(imagecodecs, name), decoded, bytes))
        with OpenSlideSlide(write(tmp_path / f"{kind}.tif", texture(HEIGHT, WIDTH), 3, **KINDS[kind])) as slide:
            assert slide.decoder == "tifffile"
        assert 0 < decoded.total() <= most


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opener) -> None:
    limit = 5 * TILE * TILE * 3
    monkeypatch.setattr("signetscan.slides.tiff_pixels.CACHE_BYTES", limit)
    pair = opened(write(tmp_path / "a.tif", texture(500, 500), **KINDS["deflate"]))
    assert pair.slide._direct is not None
    cache = pair.slide._direct._pixels._cache
    for at in range(0, 400, 40):
        assert pair.differs((at, 400 - at), 0, (120, 120)) == 0
        assert cache.nbytes == limit


def test_systems_that_cannot_read_files_at_an_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: threads take turns at the file's one position."""
    monkeypatch.delattr(os, "pread", raising=False)
    seek = tifffile.FileHandle.seek

    def slow_seek(handle: tifffile.FileHandle, offset: int, whence: int = 0) -> int:
        place = seek(handle, offset, whence)
        time.sleep(0.001)  # another thread may come between seeking and reading
        return place

    monkeypatch.setattr(tifffile.FileHandle, "seek", slow_seek)
    image = texture(700, 900)
    path = write(tmp_path / "a.tif", image, **KINDS["deflate"])
    windows = [(x, y) for y in range(0, 700, 50) for x in range(0, 900, 50)]
    with OpenSlideSlide(path) as slide:
        assert slide.decoder == "tifffile"
        reads = ordered_map(lambda at: slide.read_region(at, 0, (40, 40)), windows, workers=8, ahead=16)
        for (x, y), pixels in zip(windows, reads, strict=True):
            part = image[y : y + 40, x : x + 40]
            np.testing.assert_array_equal(pixels[: part.shape[0], : part.shape[1]], part)

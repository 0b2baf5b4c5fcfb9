"""Tiles decoded without OpenSlide: the same pixels, the same errors, each tile once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
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
    aperio_ycbcr,
    jpeg,
    set_count,
    texture,
    tiles_of,
    write,
    write_stored,
)

from signetscan.doctor import check_machine
from signetscan.errors import SlideError
from signetscan.slides import open_slide
from signetscan.slides.concerns import ConcernKind
from signetscan.slides.direct import NotDirectError, Origin, open_direct, whole_pixel
from signetscan.slides.openslide_slide import OpenSlideSlide
from signetscan.slides.tiff_decoders import strict_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Opener = Callable[[Path], Pair]


@pytest.fixture(scope="module", params=KINDS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A pyramid of three levels, for each way to store tiles."""
    path = tmp_path_factory.mktemp("stored") / "a.tif"
    pair = Pair(write(path, texture(HEIGHT, WIDTH), 3, **KINDS[request.param]))
    yield pair
    pair.close()


def check_left_to_openslide(path: Path) -> None:
    """Check that the slide is left to OpenSlide and can be read."""
    with OpenSlideSlide(path) as slide, OpenSlideSlide(path, direct=False) as reference:
        assert (slide.decoder, reference.decoder) == ("openslide", "openslide")
        size = slide.dimensions
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, size), reference.read_region((0, 0), 0, size))


# ---- the same pixels ------------------------------------------------------------------------------------------------


@given(
    level=st.integers(0, 2),
    place=st.tuples(st.integers(-90, WIDTH + 20), st.integers(-90, HEIGHT + 20)),
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_windows_equal_openslides(stored: Pair, level: int, place: tuple[int, int], size: tuple[int, int]) -> None:
    assert stored.slide.decoder == "tifffile"
    location = (place[0] * 2**level, place[1] * 2**level)
    assert stored.direct(location, level, size) is not None
    assert stored.differs(location, level, size) == 0


def test_a_slides_properties_stay_the_same(stored: Pair) -> None:
    for name in ("name", "format_name", "fingerprint", "dimensions", "level_dimensions", "level_downsamples", "mpp"):
        assert getattr(stored.slide, name) == getattr(stored.reference, name)
    assert stored.slide.bounds == stored.reference.bounds
    assert (stored.slide.decoder, stored.reference.decoder) == ("tifffile", "openslide")
    assert stored.slide.level_downsamples == (1, 2, 4)


def test_the_slide_in_the_repository(opened: Opener) -> None:
    pair = opened(ROOT / "tests" / "data" / "sample.svs")
    assert (pair.slide.format_name, pair.slide.decoder) == ("aperio", "tifffile")
    for location, level, size in (((700, 3500), 0, (900, 800)), ((0, 0), 1, (1100, 600)), ((-40, 96), 1, (90, 70))):
        assert pair.direct(location, level, size) is not None
        assert pair.differs(location, level, size) == 0


def test_real_slides(shared_slides: Path, opened: Opener) -> None:
    pair = opened(shared_slides / "CMU-1-Small-Region.svs")
    assert pair.slide.decoder == "tifffile"
    assert pair.differs((0, 0), 0, pair.slide.dimensions) == 0
    for name in ("test3-DAPI-2-387.ndpi", "camelyon_jpeg.dcm"):
        with open_slide(shared_slides / name) as slide:
            assert slide.decoder == "openslide"


def test_tables_stored_apart(tmp_path: Path, opened: Opener) -> None:
    """As scanners do: one set of JPEG tables for all tiles."""
    image = texture(HEIGHT, WIDTH)
    tiles, tables = zip(*(abbreviated(jpeg(tile, subsampling=2)) for tile in tiles_of(image)), strict=True)
    assert len(set(tables)) == 1
    extra = [(347, 7, len(tables[0]), tables[0], True)]
    pair = opened(write_stored(tmp_path / "a.svs", list(tiles), WIDTH, HEIGHT, extratags=extra, **APERIO))
    assert pair.slide.decoder == "tifffile"
    assert pair.differs((0, 0), 0, (WIDTH, HEIGHT)) == 0


def test_the_tiff_tag_decides_the_colour_space(tmp_path: Path, opened: Opener) -> None:
    """The JPEG's markers do not: Aperio's RGB has none, which would mean YCbCr."""
    tiles = [jpeg(tile, subsampling=0) for tile in tiles_of(texture(HEIGHT, WIDTH))]
    path = write_stored(tmp_path / "a.svs", tiles, WIDTH, HEIGHT, photometric="rgb", subsampling=None, **APERIO)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    assert pair.differs((0, 0), 0, (WIDTH, HEIGHT)) == 0


def test_restart_markers(tmp_path: Path, opened: Opener) -> None:
    tiles = [jpeg(tile, subsampling=2, restart_marker_blocks=3) for tile in tiles_of(texture(HEIGHT, WIDTH))]
    assert all(b"\xff\xd0" in tile for tile in tiles)
    pair = opened(write_stored(tmp_path / "a.tif", tiles, WIDTH, HEIGHT))
    assert pair.slide.decoder == "tifffile"
    assert pair.differs((0, 0), 0, (WIDTH, HEIGHT)) == 0


def test_aperios_jpeg2000_in_ycbcr_is_one_grey_level_off_at_most(tmp_path: Path, opened: Opener) -> None:
    image = texture(HEIGHT, WIDTH)
    tiles = [aperio_ycbcr(tile) for tile in tiles_of(image)]
    options = {"compression": 33003, "subsampling": None, "photometric": "rgb", **APERIO}
    pair = opened(write_stored(tmp_path / "a.svs", tiles, WIDTH, HEIGHT, **options))
    assert pair.slide.decoder == "tifffile"
    assert pair.differs((-5, 3), 0, (WIDTH, HEIGHT)) == 1
    assert np.abs(pair.slide.read_region((0, 0), 0, (WIDTH, HEIGHT)).astype(np.int16) - image).mean() < 10


def test_the_grey_levels_of_the_comment_on_tolerance() -> None:
    """What OpenSlide adds to a pixel's Y, and what OpenJPEG's `sycc_to_rgb` does, for all chroma values."""
    chroma = np.arange(-128, 128)
    blue, red = np.meshgrid(chroma, chroma)
    openslides = (
        np.round(1.402 * red),
        (np.round(65536 * (0.5 - 0.34414 * blue)).astype(np.int64) + np.round(65536 * -0.71414 * red).astype(np.int64))
        >> 16,
        np.round(1.772 * blue),
    )
    openjpegs = (np.trunc(1.402 * red), -np.trunc(0.344 * blue + 0.714 * red), np.trunc(1.772 * blue))
    for one, other in zip(openslides, openjpegs, strict=True):
        assert np.unique(one - other).tolist() == [-1, 0, 1]


# ---- what OpenSlide reads -------------------------------------------------------------------------------------------


@given(st.integers(-(10**6), 10**6), st.integers(1, 20000), st.sampled_from([1.0, 2.0, 4.0, 16.0]))
def test_every_multiple_of_a_whole_downsample_is_a_whole_pixel(pixel: int, size: int, downsample: float) -> None:
    assert whole_pixel(int(pixel * downsample), size, downsample) == pixel
    if downsample > 1:
        assert whole_pixel(int(pixel * downsample) + 1, size, downsample) is None


def test_windows_between_two_pixels_are_interpolated_by_openslide(tmp_path: Path, opened: Opener) -> None:
    pair = opened(write(tmp_path / "a.tif", texture(155, 211), 2))
    assert pair.slide.decoder == "tifffile"
    downsample = pair.slide.level_downsamples[1]
    assert not downsample.is_integer()
    assert pair.direct((0, 0), 1, (50, 40)) is not None
    assert pair.differs((0, 0), 1, (50, 40)) == 0
    for location in ((1, 0), (0, 1), (64, 64), (-3, 0)):
        assert pair.direct(location, 1, (50, 40)) is None
        assert pair.differs(location, 1, (50, 40)) == 0


def test_a_window_that_openslide_draws_in_blocks(tmp_path: Path, opened: Opener) -> None:
    """Its second block, 4096 pixels on, begins between two pixels if the downsample is not a whole number."""
    pair = opened(write(tmp_path / "a.tif", texture(34, 8601), 2, compression="jpeg"))
    assert pair.slide.decoder == "tifffile"
    assert pair.direct((0, 0), 1, (4096, 17)) is not None
    assert pair.direct((0, 0), 1, (4097, 17)) is None
    for level, size in ((0, (8601, 34)), (1, (4096, 17)), (1, (4301, 17))):
        assert pair.differs((0, 0), level, size) == 0


def test_a_level_that_does_not_exist_is_left_to_openslide(tmp_path: Path, opened: Opener) -> None:
    pair = opened(write(tmp_path / "a.tif", texture(HEIGHT, WIDTH)))
    for level in (-1, 1, 7):
        assert pair.differs((0, 0), level, (20, 20)) == 0


@pytest.mark.parametrize("kind", ["jpeg-420", "deflate"])
def test_a_missing_tile_is_filled_by_openslide(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH), 2, **KINDS[kind])
    set_count(path, 0, 5, 0)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    for location, is_direct in (((TILE, 0), True), ((TILE, 20), False), ((TILE + 3, TILE + 5), False)):
        assert (pair.direct(location, 0, (40, 60)) is not None) == is_direct
        assert pair.differs(location, 0, (40, 60)) == 0
    assert pair.slide.read_region((TILE, TILE), 0, (TILE, TILE)).min() == 255
    with monkeypatch.context() as patched:
        patched.setattr("signetscan.pixel_cache.PixelCache.get", lambda *_: pytest.fail("decoded in vain"))
        assert pair.direct((0, 0), 0, (WIDTH, HEIGHT)) is None
    assert pair.direct((0, 0), 1, (100, 70)) is not None, "each level of such a slide is on its own"


def test_aperios_tiles_over_a_missing_one_are_missing_too(tmp_path: Path, opened: Opener) -> None:
    path = write(tmp_path / "a.svs", texture(HEIGHT, WIDTH), 2, **KINDS["jpeg-aperio"])
    set_count(path, 0, 5, 0)
    pair = opened(path)
    assert pair.slide.decoder == "tifffile"
    assert pair.direct((0, 0), 0, (60, 60)) is not None
    assert pair.direct((0, 0), 1, (20, 20)) is None
    for level in (0, 1):
        assert pair.differs((0, 0), level, pair.slide.level_dimensions[level]) == 0
    stored = write(tmp_path / "b.svs", texture(HEIGHT, WIDTH), 2, **KINDS["jpeg-aperio"])
    with OpenSlideSlide(stored) as whole:
        assert (whole.read_region((0, 0), 1, (64, 64)) != pair.slide.read_region((0, 0), 1, (64, 64))).any()


def progressive(path: Path) -> Path:
    return write_stored(
        path, [jpeg(tile, progressive=True) for tile in tiles_of(texture(HEIGHT, WIDTH))], WIDTH, HEIGHT
    )


def unlike(path: Path) -> Path:
    """JPEG 2000 in YCbCr with chroma of full width, which imagecodecs does not take for YCbCr."""
    return write(path, texture(HEIGHT, WIDTH), compression=33003, **APERIO)


def twins(path: Path) -> Path:
    """Two smaller images of the same size."""
    image = texture(HEIGHT, WIDTH)
    with tifffile.TiffWriter(path) as file:
        for pixels in (image, image[::2, ::2], 255 - image[::2, ::2]):
            file.write(pixels.copy(), photometric="rgb", tile=(TILE, TILE), subfiletype=int(pixels is not image))
    return path


def transparent(path: Path) -> Path:
    rgba = np.concatenate([texture(HEIGHT, WIDTH), texture(HEIGHT, WIDTH, seed=1)[..., :1]], axis=2)
    return write(path, rgba, extrasamples=["unassalpha"])


def turned(path: Path) -> Path:
    return write(path, texture(HEIGHT, WIDTH), extratags=[(274, 3, 1, 3, True)])


def planar(path: Path) -> Path:
    image = np.ascontiguousarray(texture(HEIGHT, WIDTH).transpose(2, 0, 1))
    tifffile.imwrite(path, image, photometric="rgb", planarconfig="separate", tile=(TILE, TILE))
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (progressive, "cannot be decoded"),
        (unlike, "differ by"),
        (twins, "images"),
        (transparent, "compression or colour"),
        (turned, "orientation"),
        (planar, "planes"),
    ],
)
def test_slides_that_may_decode_differently_are_left_to_openslide(
    tmp_path: Path,
    make: Callable[[Path], Path],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = make(tmp_path / "a.svs")
    with caplog.at_level(logging.DEBUG, "signetscan"):
        check_left_to_openslide(path)
    assert any(str(path) in line and reason in line for line in caplog.messages), caplog.messages


def test_levels_in_any_order_among_other_images(tmp_path: Path, opened: Opener) -> None:
    """A plain TIFF's levels are its first image and what is marked as a smaller copy, by size."""
    image = texture(HEIGHT, WIDTH)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for pixels, kind in ((image, 0), (image[::4, ::4], 1), (255 - image[:99, :77], 0), (image[::2, ::2], 1)):
            file.write(pixels.copy(), photometric="rgb", tile=(TILE, TILE), subfiletype=kind)
    pair = opened(tmp_path / "a.tif")
    assert list(pair.slide.level_downsamples) == [1, 2, 4]
    assert pair.slide.decoder == "tifffile"
    for level, size in enumerate(pair.slide.level_dimensions):
        assert pair.direct((0, 0), level, size) is not None
        assert pair.differs((0, 0), level, size) == 0


def test_other_formats_are_not_even_opened(tmp_path: Path) -> None:
    origin = Origin(
        path=tmp_path / "missing.tiff",
        vendor="philips",
        dimensions=((10, 10),),
        downsamples=(1.0,),
        background=(255, 255, 255),
    )

    def read(*_: object) -> NDArray[np.uint8]:
        pytest.fail("nothing is read")

    with pytest.raises(NotDirectError, match="the format philips"):
        open_direct(origin, read)


def test_a_stripped_thumbnail_is_not_a_level(tmp_path: Path, opened: Opener) -> None:
    image = texture(HEIGHT, WIDTH)
    with tifffile.TiffWriter(tmp_path / "a.svs") as file:
        for pixels, tile in ((image, (TILE, TILE)), (image[::3, ::3], None), (image[::4, ::4], (TILE, TILE))):
            file.write(pixels.copy(), photometric="rgb", tile=tile, compression="jpeg", **APERIO)
    pair = opened(tmp_path / "a.svs")
    assert pair.slide.level_dimensions == ((WIDTH, HEIGHT), (WIDTH // 4, HEIGHT // 4))
    assert pair.slide.decoder == "tifffile"
    assert pair.direct((0, 0), 1, (53, 39)) is not None
    assert pair.differs((0, 0), 1, (53, 39)) == 0


def test_decoders_that_make_different_pictures_are_a_concern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH))
    with OpenSlideSlide(path) as slide:
        assert slide.concerns == ()

    def garbled(page: tifffile.TiffPage) -> Callable[[bytes, int], NDArray[np.uint8]]:
        decode = strict_decoder(page)

        def decoded(data: bytes, index: int) -> NDArray[np.uint8]:
            pixels = decode(data, index).copy()
            pixels[5:20] = 77 if index == 11 else pixels[5:20]
            return pixels

        return decoded

    monkeypatch.setattr("signetscan.slides.direct.strict_decoder", garbled)
    with OpenSlideSlide(path) as slide:
        assert [concern.kind for concern in slide.concerns] == [ConcernKind.DECODERS]
        assert slide.decoder == "openslide"


def test_a_difference_that_is_known_is_no_concern(tmp_path: Path) -> None:
    with OpenSlideSlide(unlike(tmp_path / "a.svs")) as slide:
        assert slide.decoder == "openslide"
        assert slide.concerns == ()


@pytest.mark.parametrize(
    ("version", "is_refused"), [("4.0.0.8", False), ("4.0.0.9", True), ("4.0.0.11", True), (None, False)]
)
def test_an_openslide_that_garbles_tiles_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, *, is_refused: bool
) -> None:
    path = write(tmp_path / "a.tif", texture(HEIGHT, WIDTH))
    monkeypatch.setattr("signetscan.slides.library.openslide_bin_version", lambda: version)
    if is_refused:
        with pytest.raises(SlideError, match=rf"{version} is installed.*4\.0\.0\.12 or later"):
            open_slide(path)
        finding = next(found for found in check_machine(out=tmp_path) if found.part == "slides")
        assert finding.state == "broken"
        assert "4.0.0.12" in finding.detail
    else:
        open_slide(path).close()

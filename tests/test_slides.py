from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from slide_files import overwrite, set_tag, spans

from signetscan.errors import MppError, SlideError
from signetscan.slides import ArraySlide, open_slide, tiff_slide
from signetscan.slides.lzw import lzw_decode
from signetscan.slides.mpp import MppSource, resolution_claim
from signetscan.slides.protocol import known_mpp
from signetscan.slides.tiff_slide import TiffSlide

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


# ---- TIFF files that OpenSlide refuses ------------------------------------------------------------------------------


def stripped(path: Path, image: NDArray[np.uint8], **options: Any) -> Path:  # noqa: ANN401 - tifffile's options
    tifffile.imwrite(path, image, photometric="rgb", rowsperstrip=7, **options)
    assert openslide.OpenSlide.detect_format(path) is None
    return path


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_stripped_tiff_gives_the_pixels_of_tifffile(tmp_path: Path, compression: str | None) -> None:
    image = picture(50, 33)
    path = stripped(tmp_path / "a.tif", image, compression=compression)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.format_name == "TIFF"
        assert slide.dimensions == (33, 50)
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (33, 50)), tifffile.imread(path))
        np.testing.assert_array_equal(slide.read_region((5, 11), 0, (20, 30)), image[11:41, 5:25])


def test_outside_the_image_is_white(tmp_path: Path) -> None:
    image = picture(50, 33)
    with open_slide(stripped(tmp_path / "a.tif", image), mpp=0.5) as slide:
        region = slide.read_region((-4, -6), 0, (50, 70))
        np.testing.assert_array_equal(region[6:56, 4:37], image)
        region[6:56, 4:37] = 255
        assert region.min() == 255
        assert slide.read_region((1000, 0), 0, (5, 5)).min() == 255


def test_grey_inverted_and_transparent_pixels(tmp_path: Path) -> None:
    grey = picture(20, 30, 1)[..., 0]
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, grey, photometric="miniswhite", rowsperstrip=20)
    with open_slide(path, mpp=0.5) as slide:
        np.testing.assert_array_equal(
            slide.read_region((0, 0), 0, (30, 20)), np.repeat(255 - grey[..., None], 3, axis=2)
        )
    rgba = picture(20, 30, 4)
    rgba[:10, :, 3] = 0
    rgba[10:, :, 3] = 255
    with open_slide(stripped(tmp_path / "rgba.tif", rgba, extrasamples=["unassalpha"]), mpp=0.5) as slide:
        pixels = slide.read_region((0, 0), 0, (30, 20))
        assert pixels[:10].min() == 255, "transparent is white, never black"
        np.testing.assert_array_equal(pixels[10:], rgba[10:, :, :3])


def test_ome_tiff_gives_its_mpp(tmp_path: Path) -> None:
    image = picture(64, 80)
    path = tmp_path / "x.ome.tif"
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.4, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, image, photometric="rgb", metadata=metadata, rowsperstrip=16)
    with open_slide(path) as slide:
        assert (slide.name, slide.format_name) == ("x", "OME-TIFF")
        assert slide.mpp is not None
        assert (slide.mpp.x, slide.mpp.y, slide.mpp.source) == (0.4, 0.5, "slide properties")


def test_sixteen_bits_are_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.zeros((20, 20), np.uint16))
    with pytest.raises(SlideError, match=r"deep\.tif.*uint16.*8-bit"):
        open_slide(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_tiff_cut_short_is_refused(tmp_path: Path, keep: float) -> None:
    path = stripped(tmp_path / "a.tif", picture(400, 300))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(SlideError, match=r"a\.tif"):
        open_slide(path)


@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits", "jpeg", "jpeg2000", "zstd", "lzma"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_last_strip_has_the_remaining_rows(tmp_path: Path, compression: str | None, channels: int) -> None:
    image = picture(50, 40, channels)
    path = tmp_path / "a.tif"
    photometric = {1: "minisblack", 3: "rgb"}[channels]
    tifffile.imwrite(
        path,
        image[..., 0] if channels == 1 else image,
        photometric=photometric,
        compression=compression,
        rowsperstrip=16,
    )
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.format_name, slide.decoder) == ("TIFF", "tifffile")
        np.testing.assert_array_equal(
            slide.read_region((0, 0), 0, (40, 50)),
            np.broadcast_to(tifffile.imread(path).reshape(50, 40, -1), (50, 40, 3)),
        )


@pytest.mark.parametrize("compression", [None, "deflate", "lzw", "packbits", "jpeg", "jpeg2000"])
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_strip_never_ends_the_process(tmp_path: Path, compression: str | None, seed: int) -> None:
    path = stripped(tmp_path / "a.tif", picture(70, 60) // 8, compression=compression)
    (at, count), *_ = spans(path)[0]
    rng = np.random.default_rng(seed)
    overwrite(path, at + int(rng.integers(min(count, 40))), rng.integers(0, 256, 20, np.uint8).tobytes())
    with open_slide(path, mpp=0.5) as slide:
        try:
            assert slide.read_region((0, 0), 0, (60, 7)).shape == (7, 60, 3)
        except SlideError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        assert slide.read_region((0, 50), 0, (60, 20)).shape == (20, 60, 3)


def test_lzw_with_an_invalid_first_code(tmp_path: Path) -> None:
    """On such data the decoder of imagecodecs reads out of bounds."""
    path = stripped(tmp_path / "a.tif", picture(70, 60), compression="lzw")
    bits = "".join(f"{code:09b}" for code in (256, 400, *range(258, 400)))
    overwrite(path, spans(path)[0][0][0], int(bits + "0" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8)))
    with open_slide(path, mpp=0.5) as slide, pytest.raises(SlideError, match=r"a\.tif: strip or tile 0 .*damaged"):
        slide.read_region((0, 0), 0, (60, 7))


def test_a_compression_that_ends_the_process_is_refused(tmp_path: Path) -> None:
    path = stripped(tmp_path / "a.tif", picture(32, 32), compression="jpegxr")
    with pytest.raises(SlideError, match=r"a\.tif.*JPEGXR"):
        open_slide(path)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_strip_that_is_too_short(tmp_path: Path, compression: str | None) -> None:
    path = stripped(tmp_path / "a.tif", picture(50, 33), compression=compression)
    counts = [count for _, count in spans(path)[0]]
    set_tag(path, 0, "StripByteCounts", [counts[0] - 30, *counts[1:]])
    with open_slide(path, mpp=0.5) as slide, pytest.raises(SlideError, match=r"a\.tif: strip or tile 0 .*damaged"):
        slide.read_region((0, 0), 0, (33, 7))


def test_a_strip_that_is_missing_is_named(tmp_path: Path) -> None:
    path = stripped(tmp_path / "a.tif", picture(50, 33), compression="deflate")
    counts = [count for _, count in spans(path)[0]]
    set_tag(path, 0, "StripByteCounts", [counts[0], 0, *counts[2:]])
    with open_slide(path, mpp=0.5) as slide, pytest.raises(SlideError, match=r"a\.tif: strip or tile 1 is missing"):
        slide.read_region((0, 0), 0, (33, 20))


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
def test_a_strip_that_declares_a_huge_size_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    path = stripped(tmp_path / "a.tif", picture(50, 40), compression=compression)
    at, count = spans(path)[0][1]
    data = path.read_bytes()[at : at + count]
    if compression == "jpeg":
        overwrite(path, at + data.index(b"\xff\xc0") + 5, (60000).to_bytes(2) * 2)
    else:
        overwrite(path, at + data.index(b"\xff\x4f\xff\x51") + 8, (60000).to_bytes(4) * 2)
    with open_slide(path, mpp=0.5) as slide:
        slide.read_region((0, 0), 0, (40, 7))

        def begun(data: bytes, **options: object) -> None:
            pytest.fail("it is decoded")

        for name in ("jpeg_decode", "jpeg8_decode", "jpeg2k_decode"):
            monkeypatch.setattr(imagecodecs, name, begun)
        with pytest.raises(SlideError, match="60000 x 60000"):
            slide.read_region((0, 0), 0, (40, 50))


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3, 4]))), st.booleans())
def test_lzw(pixels: NDArray[np.uint8], is_differenced: bool) -> None:
    stored = imagecodecs.delta_encode(pixels, axis=1) if is_differenced else pixels
    data = bytes(imagecodecs.lzw_encode(stored.tobytes()))
    np.testing.assert_array_equal(lzw_decode(data, pixels.shape, is_differenced=is_differenced), pixels)
    backwards = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    again = lzw_decode(backwards, pixels.shape, is_differenced=is_differenced, bit_order=2)
    np.testing.assert_array_equal(again, pixels)


@given(st.binary(max_size=80), st.booleans())
def test_lzw_of_any_bytes(data: bytes, starts_well: bool) -> None:
    with contextlib.suppress(RuntimeError):
        assert lzw_decode(b"\x80" * starts_well + data, (9, 9, 3)).shape == (9, 9, 3)


# ---- OpenSlide ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.5, 0.8, 0.9, 0.97, 0.999])
def test_a_scanners_slide_cut_short_is_refused_even_where_level_0_is_whole(tmp_path: Path, keep: float) -> None:
    whole = (ROOT / "tests" / "data" / "sample.svs").read_bytes()
    path = tmp_path / "cut.svs"
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(SlideError, match=r"cut\.svs"):
        open_slide(path, mpp=0.25)


def tiled(path: Path, image: NDArray[np.uint8], **options: Any) -> Path:  # noqa: ANN401 - tifffile's options
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), **options)
    assert openslide.OpenSlide.detect_format(path) == "generic-tiff"
    return path


def test_tiled_tiff_by_openslide_gives_the_pixels_of_tifffile(tmp_path: Path) -> None:
    image = picture(200, 150)
    with open_slide(tiled(tmp_path / "t.tif", image)) as slide:
        np.testing.assert_array_equal(slide.read_region((30, 40), 0, (100, 90)), image[40:130, 30:130])


def test_openslide_beyond_the_edge_is_white(tmp_path: Path) -> None:
    with open_slide(tiled(tmp_path / "t.tif", np.zeros((200, 150, 3), np.uint8))) as slide:
        region = slide.read_region((100, 150), 0, (100, 100))
        assert region[:50, :50].max() == 0
        assert region[50:].min() == 255
        assert region[:, 50:].min() == 255


# ---- the size of pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [tiled, stripped])
@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((40000, 20000), "CENTIMETER", (0.25, 0.5)),
        ((101600, 101600), "INCH", (0.25, 0.25)),
        ((72, 72), "INCH", None),
        ((40000, 40000), "NONE", None),
    ],
)
def test_mpp_from_tiff_tags(
    tmp_path: Path, write: object, resolution: tuple[int, int], unit: str, expected: tuple[float, float] | None
) -> None:
    path = write(tmp_path / "r.tif", picture(100, 100), resolution=resolution, resolutionunit=unit)  # type: ignore[operator]
    with open_slide(path) as slide:
        if expected is None:
            assert slide.mpp is None
            with pytest.raises(MppError, match=r"r: .*how large"):
                known_mpp(slide)
        else:
            assert slide.mpp is not None
            assert (slide.mpp.x, slide.mpp.y) == pytest.approx(expected)
            assert slide.mpp.source == "TIFF resolution tags"
    with open_slide(path, mpp=0.3) as slide:
        assert slide.mpp is not None
        assert (slide.mpp.x, slide.mpp.source) == (0.3, MppSource.GIVEN)
    for own, usual in ((None, 0.4 if expected is None else expected[0]), (0.3, 0.3)):
        with open_slide(path, mpp=own, default_mpp=0.4) as slide:
            assert known_mpp(slide).x == pytest.approx(usual), "a default is only for what is not said"


@given(st.floats(), st.floats(), st.text(max_size=12))
def test_resolution_tags_never_give_a_wrong_kind_of_mpp(x: float, y: float, unit: str) -> None:
    found = resolution_claim(x, y, unit)
    assert found is None or (0 < found.x <= 20 and 0 < found.y <= 20)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_an_mpp_that_is_not_a_size_is_refused(tmp_path: Path, mpp: float) -> None:
    with pytest.raises(MppError, match="not the size of a pixel") as caught:
        open_slide(tiled(tmp_path / "t.tif", picture(100, 100)), mpp=mpp)
    assert caught.value.options == ("mpp",)


# ---- what is not a slide --------------------------------------------------------------------------------------------


def test_files_that_are_not_slides(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.svs").write_text("hello")
    (tmp_path / "folder.svs").mkdir()
    (tmp_path / "fake.tif").write_bytes(b"II*\0" + bytes(100))
    (tmp_path / "locked.svs").write_text("x")
    for name, reason in (
        ("empty.svs", "empty"),
        ("text.svs", "not a slide"),
        ("folder.svs", "folder"),
        ("fake.tif", "fake.tif"),
        ("missing.svs", "no such file"),
    ):
        with pytest.raises(SlideError, match=reason) as caught:
            open_slide(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_array_slide_refuses_other_arrays() -> None:
    for bad in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(SlideError):
            ArraySlide([bad], mpp=0.25)  # type: ignore[list-item]
    with pytest.raises(SlideError):
        ArraySlide([], mpp=0.25)


# ---- real slides ----------------------------------------------------------------------------------------------------


def test_real_svs(shared_slides: Path) -> None:
    with open_slide(shared_slides / "CMU-1-Small-Region.svs") as slide:
        assert (slide.format_name, slide.dimensions) == ("aperio", (2220, 2967))
        assert slide.mpp is not None
        assert (slide.mpp.x, slide.mpp.source) == (0.499, "slide properties")
        assert slide.decoder == "tifffile"
        expected = tifffile.imread(shared_slides / "CMU-1-Small-Region.svs", key=0)
        np.testing.assert_array_equal(slide.read_region((700, 900), 0, (300, 200)), expected[900:1100, 700:1000])


def test_real_stripped_tiff_and_dicom(shared_slides: Path) -> None:
    with open_slide(shared_slides / "kidney-48-5.tif") as slide:
        assert slide.dimensions == (1493, 901)
        assert slide.mpp is None
    with open_slide(shared_slides / "highdicom_sm_image.dcm") as slide:
        assert slide.format_name == "dicom"
        assert slide.mpp is not None
        assert slide.mpp.x == 0.499
    with open_slide(shared_slides / "highdicom_sm_image_jpegls.dcm") as slide:
        assert (slide.format_name, slide.decoder) == ("dicom", "wsidicom")


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".jpeg", ".png"])
def test_a_picture_is_a_slide_without_mpp(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"2018_64982_1-3_2019-02-25 21_57_36-lv0-33516-59515-300-200{ending}"
    Image.fromarray(picture(200, 300)).save(path)
    expected = np.asarray(Image.open(path).convert("RGB"))
    with open_slide(path) as slide:
        assert (slide.name, slide.dimensions) == (path.stem, (300, 200))
        assert slide.format_name == {".jpeg": "JPEG", ".png": "PNG"}[ending]
        assert slide.mpp is None
        np.testing.assert_array_equal(slide.read_region((10, 20), 0, (50, 40)), expected[20:60, 10:60])
    with open_slide(path, mpp=0.25) as slide:
        assert known_mpp(slide).x == 0.25


def test_transparent_pixels_of_a_picture_are_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (10, 20, 30, 255)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        pixels = slide.read_region((0, 0), 0, (4, 4))
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[3, 3].tolist() == [255, 255, 255]


@pytest.mark.parametrize("content", [b"\xff\xd8\xff" + bytes(50), b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_a_broken_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.png"):
        open_slide(tmp_path / "a.png")


def test_a_picture_cut_short_or_too_large_or_too_deep_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture(200, 300)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideError, match=r"cut\.png"):
        open_slide(tmp_path / "cut.png")
    Image.fromarray(picture(20, 30)[..., 0].astype(np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(SlideError, match="8 bits"):
        open_slide(tmp_path / "deep.png")
    monkeypatch.setattr("signetscan.slides.picture.MAX_PIXELS", 1000)
    with pytest.raises(SlideError, match="tiled TIFF"):
        open_slide(tmp_path / "a.png")


@pytest.mark.parametrize(("kind", "count"), [(1, 2), (3, 2), (4, 2)])
def test_a_size_tag_with_two_numbers_is_refused_as_damage(tmp_path: Path, kind: int, count: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((64, 96, 3), 200, np.uint8))
    with tifffile.TiffFile(path) as file:
        entry = file.pages.first.tags["ImageWidth"].offset
    content = bytearray(path.read_bytes())
    content[entry + 2 : entry + 8] = kind.to_bytes(2, "little") + count.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(SlideError, match="the file is damaged"):
        open_slide(path)


def test_what_is_no_tiff_or_a_damaged_slide_of_a_scanner_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("no TIFF")
    with pytest.raises(SlideError, match=r"a\.tif: not a slide that OpenSlide or tifffile can read"):
        TiffSlide(tmp_path / "a.tif")
    image = np.zeros((128, 128, 3), np.uint8)
    path = tmp_path / "b.svs"
    said: dict[str, Any] = {"description": "Aperio Image Library", "metadata": None}
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), **said)
    with pytest.raises(SlideError, match=r"b\.svs: an SVS slide that is damaged or cut short"):
        TiffSlide(path)
    with TiffSlide(path, is_whole=True) as slide:
        assert slide.dimensions == (128, 128)


def test_tiles_too_large_to_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiled(tmp_path / "a.tif", np.zeros((128, 128, 3), np.uint8))
    monkeypatch.setattr(tiff_slide, "MAX_SEGMENT_BYTES", 64 * 64 * 3 - 1)
    with pytest.raises(SlideError, match="tiles of 64 x 64 px are too large to read"):
        TiffSlide(path)


@pytest.mark.parametrize(
    ("value", "expected"), [((1, 4), 0.25), ((1, 0), 0.0), (3, 3.0), (0.5, 0.5), ("1/4", 0.0), (None, 0.0)]
)
def test_a_ratio_that_is_none_counts_as_0(value: object, expected: float) -> None:
    assert tiff_slide._ratio(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0.25", 0.25), ("0,25", 0.25), ("", 0.0), (None, 0.0), ("a quarter", 0.0)]
)
def test_a_number_that_is_none_counts_as_0(text: str | None, expected: float) -> None:
    assert tiff_slide._decimal(text) == expected

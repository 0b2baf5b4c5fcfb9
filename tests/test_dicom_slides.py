"""DICOM slides read by wsidicom, held to OpenSlide where it reads them too, and to what was written elsewhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_slides import (
    CODINGS,
    GAPS,
    OPENSLIDE_READS,
    TILE,
    WHOLE,
    picture,
    write_dicom_slide,
    write_parts,
    write_series,
)
from slide_files import jpeg, texture, tiles_of

from signetscan.errors import SlideError
from signetscan.slides import open_slide
from signetscan.slides.concerns import ConcernKind
from signetscan.slides.dicom_files import open_dicom_files
from signetscan.slides.openslide_slide import OpenSlideSlide

if TYPE_CHECKING:
    from pathlib import Path


WINDOWS = [((0, 0), WHOLE), ((-9, -7), (80, 90)), ((190, 120), (64, 64)), ((300, 0), (8, 8)), ((63, 63), (2, 2))]


@pytest.mark.parametrize("left_out", [None, GAPS], ids=["full", "sparse"])
@pytest.mark.parametrize("coding", OPENSLIDE_READS)
def test_what_openslide_reads_is_read_alike(
    tmp_path: Path, coding: str, left_out: tuple[tuple[int, int], ...] | None
) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), coding, left_out=left_out)
    with open_dicom_files(path) as slide, OpenSlideSlide(path) as other:
        assert slide.fingerprint == other.fingerprint
        assert (slide.said, slide.concerns, slide.bounds) == (other.said, other.concerns, other.bounds)
        assert (slide.level_dimensions, slide.level_downsamples) == (other.level_dimensions, other.level_downsamples)
        assert (slide.format_name, slide.decoder) == (other.format_name, "wsidicom")
        for location, size in WINDOWS:
            ours, theirs = (one.read_window(location, 0, size) for one in (slide, other))
            np.testing.assert_array_equal(ours.pixels, theirs.pixels)
            missing, expected = (np.zeros(size[::-1]) if w.missing is None else w.missing for w in (ours, theirs))
            np.testing.assert_array_equal(missing, expected)


@pytest.mark.parametrize("left_out", [None, GAPS], ids=["full", "sparse"])
@pytest.mark.parametrize("coding", ["jpeg-ls", "rle"])
def test_what_openslide_refuses_is_read_exactly(
    tmp_path: Path, coding: str, left_out: tuple[tuple[int, int], ...] | None
) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), coding, left_out=left_out)
    expected = picture()
    for row, column in left_out or ():
        expected[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = 255
    with open_slide(path) as slide:
        assert (slide.decoder, slide.dimensions) == ("wsidicom", WHOLE)
        assert slide.mpp is not None
        assert (slide.mpp.x, slide.mpp.y) == (0.5, 0.5)
        with ThreadPoolExecutor(4) as pool:
            for pixels in pool.map(lambda _: slide.read_region((0, 0), 0, WHOLE), range(8)):
                np.testing.assert_array_equal(pixels, expected)
        halves = slide.read_averaged((0, 0), 0, (106, 78), (2, 2)).pixels
        means = expected.reshape(78, 2, 106, 2, 3).mean((1, 3))
        assert np.abs(halves - means).max() <= 0.5


def test_a_real_slide_in_jpeg_ls(shared_slides: Path) -> None:
    with (
        open_slide(shared_slides / "highdicom_sm_image_jpegls.dcm") as slide,
        open_slide(shared_slides / "highdicom_sm_image.dcm") as same,
    ):
        assert (slide.decoder, same.decoder) == ("wsidicom", "openslide")
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, (50, 50)), same.read_region((0, 0), 0, (50, 50)))


def test_the_levels_of_a_series_are_one_slide(tmp_path: Path) -> None:
    write_series(tmp_path)
    with open_slide(tmp_path / "a.dcm") as slide, open_slide(tmp_path / "b.dcm") as same:
        assert slide.level_dimensions == (WHOLE, (106, 78))
        assert (slide.level_downsamples, slide.concerns) == ((1.0, 2.0), ())
        assert (same.level_dimensions, same.fingerprint) == (slide.level_dimensions, slide.fingerprint)
        np.testing.assert_array_equal(slide.read_region((0, 0), 1, (106, 78)), picture()[::2, ::2])
        np.testing.assert_array_equal(slide.read_region((100, 50), 1, (20, 30)), picture()[50:110:2, 100:140:2])


def test_a_concatenation_is_one_level(tmp_path: Path) -> None:
    first, second = write_parts(tmp_path)
    with open_slide(second) as slide:
        np.testing.assert_array_equal(slide.read_region((0, 0), 0, WHOLE), picture())
    first.unlink()
    with pytest.raises(SlideError, match=r"part-2\.dcm.*only 0 tiles of 12 are here in order; a file .* is missing"):
        open_slide(second)
    first.write_bytes(second.read_bytes())
    with pytest.raises(SlideError, match="a file of the series is missing, or twice there"):
        open_slide(second)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2"},
            "1 channel and 1 optical path, as in",
        ),
        ({"NumberOfOpticalPaths": 4}, "3 channels and 4 optical paths, as in fluorescence"),
        ({"TotalPixelMatrixFocalPlanes": 7, "NumberOfFrames": 84}, "a z-stack of 7 focal planes. Export one"),
        ({"BitsAllocated": 16, "BitsStored": 12}, "not of 8 bits per channel"),
        ({"PhotometricInterpretation": "YBR_FULL"}, "stored as YBR_FULL in transfer syntax"),
        ({"Rows": 0}, "as no slide has"),
        ({"Columns": 1, "TotalPixelMatrixColumns": 1 << 20, "TotalPixelMatrixRows": 1 << 20}, "more or larger ones"),
        ({"TotalPixelMatrixColumns": 1 << 30}, "as no slide has"),
        ({"NumberOfFrames": 1_000_000}, "12 tiles that says that it has 1000000"),
        ({"NumberOfFrames": 11}, "only 11 tiles of 12 are here"),
        ({"Columns": None}, "whose header lacks what it must say"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}, "without a level of a slide"),
    ],
)
def test_what_cannot_be_shown_rightly_is_refused_in_words(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls", **changes)
    with pytest.raises(SlideError, match=why) as caught:
        open_slide(path)
    assert str(path) in str(caught.value)
    assert "Jörg" not in str(caught.value)


def test_two_images_of_one_size_are_refused(tmp_path: Path) -> None:
    path = write_dicom_slide(tmp_path / "a.dcm", picture(), "jpeg-ls")
    write_dicom_slide(tmp_path / "b.dcm", picture(), "jpeg-ls", SOPInstanceUID="1.2.3.41")
    with pytest.raises(SlideError, match="two images of 212 x 156 px in one DICOM series"):
        open_slide(path)


def test_tiles_off_the_grid_are_refused(tmp_path: Path) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls", left_out=())
    changed = pydicom.dcmread(path)
    group = changed.PerFrameFunctionalGroupsSequence[4]
    group.PlanePositionSlideSequence[0].ColumnPositionInTotalImagePixelMatrix = 3
    changed.save_as(path)
    with pytest.raises(SlideError, match="does not say where its tiles lie, or wrongly"):
        open_slide(path)


@pytest.mark.parametrize("coding", ["jpeg-ls", "jpeg", "jpeg-2000", "rle"])
def test_a_tile_of_another_size_is_not_decoded(tmp_path: Path, coding: str) -> None:
    tiles = list(map(CODINGS[coding][2], tiles_of(picture(), TILE)))
    tiles[5] = CODINGS[coding][2](texture(4 * TILE, 4 * TILE))
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), coding, tiles=tiles)
    with open_dicom_files(path) as slide:
        slide.read_region((0, 0), 0, (TILE, TILE))
        with pytest.raises(SlideError, match=r"tile in row 1, column 1 of level 0: .*(declares|bytes|decodes|decode)"):
            slide.read_region((0, 0), 0, WHOLE)
        slide.read_region((0, 0), 0, (TILE, TILE))


def test_colours_that_contradict_the_header_are_a_concern(tmp_path: Path) -> None:
    tiles = [jpeg(tile, keep_rgb=True) for tile in tiles_of(picture(), TILE)]
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg", tiles=tiles)
    with open_dicom_files(path) as slide:
        assert [concern.kind for concern in slide.concerns] == [ConcernKind.COLOURS]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.97])
def test_a_file_that_is_cut_short_is_an_error_and_no_glass(tmp_path: Path, share: float) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SlideError, match=r"cut short|cannot decode"), open_slide(path) as slide:
        slide.read_region((0, 0), 0, WHOLE)


def test_noise_in_the_header_is_an_error_or_a_slide(tmp_path: Path) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls")
    data, rng = path.read_bytes(), np.random.default_rng(0)
    start = data.index(b"\xe0\x7f\x10\x00")
    for _ in range(60):
        noisy = bytearray(data)
        for at in rng.integers(132, start + 40, 3):
            noisy[at] = rng.integers(256)
        path.write_bytes(noisy)
        try:
            with open_dicom_files(path) as slide:
                slide.read_region((0, 0), 0, (64, 64))
        except SlideError:
            continue


def test_a_closed_slide_is_not_read(tmp_path: Path) -> None:
    slide = open_slide(write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls"))
    slide.read_region((0, 0), 0, (8, 8))
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match="the slide is closed"):
        slide.read_region((0, 0), 0, (8, 8))


def test_without_wsidicom_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls")
    monkeypatch.setattr("signetscan.extras.util.find_spec", lambda _: None)
    with pytest.raises(SlideError, match=r'Unsupported transfer syntax .*wsidicom.*pip install "signetscan\[dicom\]"'):
        open_slide(path)


def test_a_native_tile_too_short_is_an_error(tmp_path: Path) -> None:
    tiles = [tile.tobytes() for tile in tiles_of(picture(), TILE)]
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "native", tiles=[*tiles[:11], tiles[11][:100]])
    with pytest.raises(SlideError), open_dicom_files(path) as slide:
        slide.read_region((0, 0), 0, WHOLE)


def test_jpeg_ls_declares_its_size(tmp_path: Path) -> None:
    tiles = [bytes(imagecodecs.jpegls_encode(texture(TILE, TILE, seed))) for seed in range(12)]
    at = tiles[3].index(b"\xff\xf7") + 5
    tiles[3] = tiles[3][:at] + b"\xff\xff\xff\xff" + tiles[3][at + 4 :]
    path = write_dicom_slide(tmp_path / "s.dcm", picture(), "jpeg-ls", tiles=tiles)
    with open_dicom_files(path) as slide, pytest.raises(SlideError, match="declares 65535 x 65535 px"):
        slide.read_region((0, 0), 0, WHOLE)

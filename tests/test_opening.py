"""The right picture of a file is opened, with the right size of its pixels, or the file is refused for what it is."""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from slide_files import APERIO, KINDS, jpeg, set_tag, texture, tiles_of, write, write_stored

from signetscan.errors import MppError, SlideError
from signetscan.slides import open_slide
from signetscan.slides.codestreams import StoredColours, has_colour_transform, jpeg_colours
from signetscan.slides.concerns import ConcernKind
from signetscan.slides.dicom_checks import dicom_concerns, explained, first_frame
from signetscan.slides.mpp import MppSource
from signetscan.slides.ome import ome_sizes
from signetscan.slides.parts import slide_parts
from signetscan.slides.protocol import known_mpp
from signetscan.slides.tiff_header import MAX_IMAGES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.slides import Slide

IMAGE = texture(300, 400)
SMALL = np.ascontiguousarray(IMAGE[::4, ::4])
TILED: dict[str, Any] = {"tile": (64, 64)}
STRIPPED: dict[str, Any] = {"rowsperstrip": 32}
PER_CM: dict[str, Any] = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}


def several(path: Path, *images: tuple[NDArray[np.uint8], dict[str, Any]], ome: bool = False) -> Path:
    """A TIFF of images, one after another."""
    with tifffile.TiffWriter(path, ome=ome) as file:
        for image, options in images:
            more: dict[str, Any] = options if ome else {"metadata": None, **options}
            file.write(image, photometric="rgb", **more)
    return path


def said(slide: Slide, kind: ConcernKind = ConcernKind.PICTURE) -> list[str]:
    return [concern.message for concern in slide.concerns if concern.kind is kind]


def shows(slide: Slide, image: NDArray[np.uint8]) -> bool:
    """Whether level 0 is exactly an image."""
    height, width = image.shape[:2]
    return slide.dimensions == (width, height) and (slide.read_region((0, 0), 0, (width, height)) == image).all()


# ---- which image of a file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [TILED, {**TILED, "subfiletype": 1}, STRIPPED])
@pytest.mark.parametrize("storage", [TILED, STRIPPED])
@pytest.mark.parametrize("ome", [False, True])
def test_the_largest_image_is_opened_wherever_it_stands(
    tmp_path: Path, first: dict[str, Any], storage: dict[str, Any], ome: bool
) -> None:
    path = several(tmp_path / ("s.ome.tif" if ome else "s.tif"), (SMALL, first), (IMAGE, storage), ome=ome)
    with open_slide(path, mpp=0.25) as slide:
        assert shows(slide, IMAGE)
        assert said(slide) == []


def test_levels_after_a_label_are_its_slides(tmp_path: Path) -> None:
    half, quarter = (np.ascontiguousarray(IMAGE[::step, ::step]) for step in (2, 4))
    smaller = {**TILED, "subfiletype": 1}
    label = texture(90, 120, seed=1)
    path = several(tmp_path / "s.tif", (label, TILED), (IMAGE, TILED), (half, smaller), (quarter, smaller))
    with open_slide(path, mpp=0.25) as slide:
        assert shows(slide, IMAGE)
        assert slide.level_dimensions == ((400, 300), (200, 150), (100, 75))
        assert said(slide) == []


@pytest.mark.parametrize(("first", "options"), [("thumbnail", {}), ("slide", {}), ("slide", APERIO)])
def test_a_tiled_macro_image_is_neither_the_slide_nor_a_level(
    tmp_path: Path, options: dict[str, Any], first: str
) -> None:
    macro: dict[str, Any] = {**TILED, "subfiletype": 1, "metadata": None, "photometric": "rgb"}
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        if first == "thumbnail":
            file.write(SMALL, **{**macro, **options})
        file.write(IMAGE, photometric="rgb", **{**TILED, "metadata": None, **options})
        file.write(texture(64, 200), **macro)
    with open_slide(path, mpp=0.25) as slide:
        assert shows(slide, IMAGE)
        assert all(abs(width / height - 4 / 3) < 0.1 for width, height in slide.level_dimensions)


@pytest.mark.parametrize("storage", [TILED, STRIPPED])
def test_other_large_images_are_told_and_smaller_copies_are_not(tmp_path: Path, storage: dict[str, Any]) -> None:
    other = texture(290, 380, seed=1)
    half = np.ascontiguousarray(IMAGE[::2, ::2])
    with open_slide(several(tmp_path / "a.tif", (IMAGE, storage), (other, storage)), mpp=0.25) as slide:
        assert ["1 further large image" in text for text in said(slide)] == [True]
    with open_slide(several(tmp_path / "b.tif", (IMAGE, storage), (half, storage)), mpp=0.25) as slide:
        assert shows(slide, IMAGE)
        assert said(slide) == []


@pytest.mark.parametrize("storage", [TILED, STRIPPED])
@pytest.mark.parametrize("metadata", [{"axes": "ZYXS"}, None])
def test_of_a_stack_the_first_plane_is_read_and_said(
    tmp_path: Path, storage: dict[str, Any], metadata: dict[str, Any] | None
) -> None:
    planes = np.stack([IMAGE, 255 - IMAGE, IMAGE // 2])
    path = tmp_path / ("s.ome.tif" if metadata else "s.tif")
    tifffile.imwrite(path, planes, photometric="rgb", metadata=metadata, **storage)
    with open_slide(path, mpp=0.25) as slide:
        assert shows(slide, IMAGE)
        assert ["3 images of this size" in text for text in said(slide)] == [True]


def test_dicom_planes_and_a_missing_base_are_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "s.dcm").write_bytes(b"DICM")
    base = {"dicom.ImageType[3]": "NONE"}
    assert dicom_concerns(base, tmp_path / "s.dcm") == ()
    (concern,) = dicom_concerns({"dicom.ImageType[3]": "RESAMPLED"}, tmp_path / "s.dcm")
    assert concern.kind is ConcernKind.PICTURE
    assert "base level is missing" in concern.message
    assert "z-stack of 3 focal planes" in explained("Couldn't open: TotalPixelMatrixFocalPlanes value 3 != 1")
    assert explained("Bad frame") == "Bad frame"


# ---- how pixels are stored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage", [TILED, STRIPPED])
@pytest.mark.parametrize(
    ("pixels", "named"),
    [
        (IMAGE.astype(np.uint16) * 16, "uint16"),
        (IMAGE.astype(np.int16), "int16"),
        (IMAGE.view(np.int8), "int8"),
        ((IMAGE / 255).astype(np.float32), "float32"),
        (IMAGE.astype(np.uint32), "uint32"),
    ],
)
def test_values_that_are_not_of_eight_bits_are_refused(
    tmp_path: Path, storage: dict[str, Any], pixels: NDArray[Any], named: str
) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", **storage)
    with pytest.raises(SlideError, match=rf"s\.tif: .*{named}.*8-bit RGB"):
        open_slide(path, mpp=0.25)


@pytest.mark.parametrize("storage", [TILED, STRIPPED])
@pytest.mark.parametrize("ome", [False, True])
def test_colours_in_three_grey_images_are_refused(tmp_path: Path, storage: dict[str, Any], ome: bool) -> None:
    path = tmp_path / ("s.ome.tif" if ome else "s.tif")
    channels = np.ascontiguousarray(np.moveaxis(IMAGE, 2, 0))
    metadata = {"axes": "CYX"} if ome else None
    tifffile.imwrite(path, channels, photometric="minisblack", metadata=metadata, **storage)
    with pytest.raises(SlideError, match="3 separate grey images"):
        open_slide(path, mpp=0.25)


def test_separate_planes_in_strips_are_refused_for_what_they_are(tmp_path: Path) -> None:
    channels = np.ascontiguousarray(np.moveaxis(IMAGE, 2, 0))
    for name, storage in (("tiled", TILED), ("stripped", STRIPPED)):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, channels, photometric="rgb", planarconfig="separate", **storage)
    with open_slide(tmp_path / "tiled.tif", mpp=0.25) as slide:
        assert shows(slide, IMAGE)
    with pytest.raises(SlideError, match="stored in separate planes"):
        open_slide(tmp_path / "stripped.tif", mpp=0.25)


@pytest.mark.parametrize("storage", [TILED, STRIPPED, {**TILED, **APERIO}])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_refused(tmp_path: Path, storage: dict[str, Any], orientation: int) -> None:
    path = tmp_path / "s.tif"
    options = {"metadata": None, **storage}
    tifffile.imwrite(path, IMAGE, photometric="rgb", extratags=[(274, "H", 1, orientation, True)], **options)
    if orientation == 1:
        with open_slide(path, mpp=0.25) as slide:
            assert shows(slide, IMAGE)
    else:
        with pytest.raises(SlideError, match=rf"orientation tag \({orientation}\)"):
            open_slide(path, mpp=0.25)


@pytest.mark.parametrize("photometric", [5, 8])
@pytest.mark.parametrize("storage", [TILED, STRIPPED])
def test_colours_that_are_not_rgb_are_refused(tmp_path: Path, storage: dict[str, Any], photometric: int) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, IMAGE, photometric="rgb", **storage)
    set_tag(path, 0, "PhotometricInterpretation", photometric)
    with pytest.raises(SlideError, match=r"RGB (or|nor) grey"):
        open_slide(path, mpp=0.25)


def test_ycbcr_that_tifffile_would_show_as_rgb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    stored = np.asarray(Image.fromarray(IMAGE).convert("YCbCr"))
    tifffile.imwrite(path, stored, photometric="rgb", compression="lzw", **STRIPPED)
    set_tag(path, 0, "PhotometricInterpretation", 6)
    with pytest.raises(SlideError, match="YCbCr colours that are not compressed as JPEG"):
        open_slide(path, mpp=0.25)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_of_sixteen_bits_is_refused(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "s.png"
    path.write_bytes(bytes(imagecodecs.png_encode(IMAGE if depth == 8 else IMAGE.astype(np.uint16) * 16)))
    if depth == 8:
        with open_slide(path, mpp=0.25) as slide:
            assert shows(slide, IMAGE)
    else:
        with pytest.raises(SlideError, match="more than 8 bits per channel"):
            open_slide(path, mpp=0.25)


@pytest.mark.parametrize("turned", [False, True])
def test_a_turned_photograph_is_refused(tmp_path: Path, turned: bool) -> None:
    path, exif = tmp_path / "s.jpg", Image.Exif()
    exif[274] = 6 if turned else 1
    Image.fromarray(IMAGE).save(path, exif=exif)
    if turned:
        with pytest.raises(SlideError, match="orientation"):
            open_slide(path, mpp=0.25)
    else:
        open_slide(path, mpp=0.25).close()


# ---- colours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_sound_colours_raise_no_concern(tmp_path: Path, kind: str) -> None:
    with open_slide(write(tmp_path / "s.tif", IMAGE, levels=2, **KINDS[kind]), mpp=0.25) as slide:
        assert slide.concerns == ()


@pytest.mark.parametrize(("photometric", "stored"), [("ycbcr", "RGB"), ("ycbcr", ""), ("rgb", "")])
def test_a_photometric_tag_that_its_jpegs_contradict_is_told(tmp_path: Path, photometric: str, stored: str) -> None:
    """Adobe's marker tells RGB."""
    wanted = stored.upper() or photometric.upper()
    tiles = [bytes(imagecodecs.jpeg8_encode(tile, level=90, outcolorspace=wanted)) for tile in tiles_of(IMAGE)]
    path = write_stored(tmp_path / "s.tif", tiles, 400, 300, photometric="ycbcr", subsampling=(1, 1))
    set_tag(path, 0, "PhotometricInterpretation", {"rgb": 2, "ycbcr": 6}[photometric])
    with open_slide(path, mpp=0.25) as slide:
        found = said(slide, ConcernKind.COLOURS)
    assert [f"its tiles say {stored}" in text for text in found] == ([True] if stored else [])


def test_strips_that_tifffile_decodes_rightly_raise_no_concern(tmp_path: Path) -> None:
    """Bio-Formats, and so QuPath, calls YCbCr in JFIF strips RGB; tifffile goes by JFIF's mark."""
    path = tmp_path / "s.tif"
    storage: dict[str, Any] = {"photometric": "ycbcr", "subsampling": (1, 1), "compression": "jpeg"}
    strip = bytes(imagecodecs.jpeg8_encode(IMAGE, level=90))
    rows, columns = IMAGE.shape[:2]
    tifffile.imwrite(path, iter([strip]), shape=(rows, columns, 3), dtype=np.uint8, rowsperstrip=rows, **storage)
    set_tag(path, 0, "PhotometricInterpretation", 2)
    with open_slide(path, mpp=0.25) as slide:
        assert slide.decoder == "tifffile"
        assert slide.concerns == ()
        read = slide.read_region((0, 0), 0, (IMAGE.shape[1], IMAGE.shape[0]))
    assert np.abs(read.astype(int) - IMAGE).mean() < 6, "JPEG's own loss; YCbCr shown as RGB has over 50"


def ycbcr_said_to_be_rgb(path: Path, tiles: list[bytes], **options: Any) -> Path:  # noqa: ANN401 - tifffile's options
    write_stored(path, tiles, 400, 300, photometric="ycbcr", subsampling=(1, 1), **options)
    set_tag(path, 0, "PhotometricInterpretation", 2)
    return path


def test_jfif_tiles_are_ycbcr_whatever_the_tag_says(tmp_path: Path) -> None:
    """Bio-Formats writes such files, which OpenSlide would show in false colours."""
    tiles = [jpeg(tile) for tile in tiles_of(IMAGE)]
    with open_slide(ycbcr_said_to_be_rgb(tmp_path / "s.tif", tiles), mpp=0.25) as slide:
        assert slide.concerns == ()
        found = slide.read_region((64, 64), 0, (64, 64))
    np.testing.assert_array_equal(found, imagecodecs.jpeg8_decode(tiles[8]))


def test_false_colours_that_cannot_be_put_right_are_told(tmp_path: Path) -> None:
    """Of an SVS, and where nothing but the resolution of the chroma tells."""
    jfif = [jpeg(tile) for tile in tiles_of(IMAGE)]
    unmarked = [tile.replace(b"JFIF\0", b"NONE\0") for tile in jfif]
    for path in (
        ycbcr_said_to_be_rgb(tmp_path / "s.svs", jfif, **APERIO),
        ycbcr_said_to_be_rgb(tmp_path / "s.tif", unmarked),
    ):
        with open_slide(path, mpp=0.25) as slide:
            assert ["its tiles say YCbCr" in text for text in said(slide, ConcernKind.COLOURS)] == [True]


def test_what_a_jpeg_says_of_its_colours() -> None:
    tile = IMAGE[:64, :64]
    assert jpeg_colours(jpeg(tile)) is StoredColours.YCBCR, "JFIF"
    rgb = bytes(imagecodecs.jpeg8_encode(tile, outcolorspace="RGB"))
    assert jpeg_colours(rgb) is StoredColours.RGB
    grey = jpeg(tile[..., 0])
    assert jpeg_colours(grey) is None
    unmarked = jpeg(tile, subsampling=0).replace(b"JFIF\0", b"NONE\0")
    assert jpeg_colours(unmarked) is None, "nothing but habit says what it is"
    assert jpeg_colours(jpeg(tile, subsampling=2).replace(b"JFIF\0", b"NONE\0")) is StoredColours.YCBCR
    for length in range(len(rgb)):
        jpeg_colours(rgb[:length])  # never an error


@given(st.binary(max_size=200))
def test_headers_of_anything_give_no_error(data: bytes) -> None:
    assert jpeg_colours(b"\xff\xd8" + data) in {None, *StoredColours}
    assert has_colour_transform(b"\xff\x4f\xff\x51" + data) in {None, True, False}


def encapsulated(path: Path, frame: bytes, before: int = 0) -> Path:
    """The pixels of a DICOM file, with an offset table of one frame before them."""
    item = b"\xfe\xff\x00\xe0"
    start = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + item + struct.pack("<II", 4, 0)
    path.write_bytes(b"\1" * before + start + item + struct.pack("<I", len(frame)) + frame)
    return path


@pytest.mark.parametrize("before", [0, 1000, (1 << 20) - 5, 1 << 20])
def test_the_first_frame_of_a_dicom_file_is_found(tmp_path: Path, before: int) -> None:
    assert first_frame(encapsulated(tmp_path / "s.dcm", b"frame", before)) == b"frame"
    (tmp_path / "s.dcm").write_bytes(b"\1" * before)
    assert first_frame(tmp_path / "s.dcm") == b""


@pytest.mark.parametrize("has_transform", [True, False])
@pytest.mark.parametrize("photometric", ["YBR_ICT", "YBR_RCT", "RGB"])
def test_dicom_that_only_says_it_is_transformed_is_told(tmp_path: Path, photometric: str, has_transform: bool) -> None:
    stream = bytes(imagecodecs.jpeg2k_encode(IMAGE[:64, :64], codecformat="j2k", mct=has_transform, reversible=True))
    path = encapsulated(tmp_path / "s.dcm", stream)
    concerns = dicom_concerns({"dicom.PhotometricInterpretation": photometric}, path)
    assert [concern.kind for concern in concerns] == (
        [ConcernKind.COLOURS] if photometric != "RGB" and not has_transform else []
    )


def test_dicom_whose_jpegs_contradict_it_is_told(tmp_path: Path) -> None:
    path = encapsulated(tmp_path / "s.dcm", jpeg(IMAGE[:64, :64]))
    assert dicom_concerns({"dicom.PhotometricInterpretation": "YBR_FULL_422"}, path) == ()
    (concern,) = dicom_concerns({"dicom.PhotometricInterpretation": "RGB"}, path)
    assert concern.message.startswith("the file says that its colours are RGB, but its tiles say YCbCr")


# ---- the size of pixels ---------------------------------------------------------------------------------------------

UM_IN = {
    "nm": 1000.0,
    "pm": 1e6,
    "\u00c5": 1e4,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "mm": 1e-3,
    "cm": 1e-4,
    "m": 1e-6,
    "in": 1 / 25400,
    "thou": 1 / 25.4,
}


def ome_xml(value: float, unit: str, *, more: str = "", images: int = 1) -> str:
    """The description of images, of which the last is 400 x 300 px."""
    pixels = [
        f'<Image ID="Image:{n}">{more}<Pixels SizeX="{400 - 300 * (n < images - 1)}" SizeY="300" '
        f'PhysicalSizeX="{value * (1 + images - 1 - n)!r}" PhysicalSizeXUnit="{unit}" '
        f'PhysicalSizeY="{value!r}" PhysicalSizeYUnit="{unit}"/></Image>'
        for n in range(images)
    ]
    return (
        f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{"".join(pixels)}</OME>'
    )


@given(st.floats(0.05, 2.0), st.sampled_from(sorted(UM_IN)), st.integers(1, 3))
def test_units_of_ome_xml_mean_what_they_say(um: float, unit: str, images: int) -> None:
    (claim,) = ome_sizes(ome_xml(um * UM_IN[unit], unit, images=images), (400, 300)).claims
    assert (claim.x, claim.y) == pytest.approx((um, um))


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "ly", "furlong", ""])
def test_units_that_are_no_length_say_nothing(unit: str) -> None:
    assert ome_sizes(ome_xml(0.25, unit), (400, 300)).claims == ()


def test_a_description_of_another_image_says_nothing() -> None:
    xml = ome_xml(0.25, "nm")
    assert ome_sizes(xml, (200, 150)).claims == (), "somebody scaled the image and kept its description"
    assert ome_sizes("no XML", (400, 300)).claims == ()
    assert ome_sizes(xml[:-20] + "OME>", (400, 300)).claims == ()
    bomb = '<!DOCTYPE OME [<!ENTITY a "a">]>' + xml.removeprefix('<?xml version="1.0"?>')
    assert ome_sizes(bomb, (400, 300)).claims == ()


@pytest.mark.parametrize("storage", [TILED, STRIPPED])
@pytest.mark.parametrize(("size", "unit"), [(250, "nm"), (0.25, "\u00b5m"), (0.00025, "mm")])
def test_ome_tiff_has_the_size_of_its_xml(tmp_path: Path, storage: dict[str, Any], size: float, unit: str) -> None:
    metadata = {"axes": "YXS"} | {f"PhysicalSize{axis}": size for axis in "XY"}
    metadata |= {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    path = tmp_path / "s.ome.tif"
    tifffile.imwrite(path, IMAGE, photometric="rgb", metadata=metadata, **storage)
    with open_slide(path) as slide:
        assert known_mpp(slide).x == pytest.approx(0.25)
        assert slide.concerns == ()
    tags: dict[str, Any] = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, IMAGE, photometric="rgb", metadata=metadata, **tags, **storage)
    with open_slide(path) as slide:
        assert known_mpp(slide).x == pytest.approx(0.25), "QuPath goes by the XML too"
        assert ["0.5 x 0.5" in text for text in said(slide, ConcernKind.PIXEL_SIZE)] == [True]


@pytest.mark.parametrize(
    ("mpp", "magnification", "told"),
    [("0.25", "40", False), ("0.5", "20", False), ("0.23", "40", False), ("0.5", "40", True), ("0.25", "20", True)],
)
@pytest.mark.parametrize("storage", [TILED, STRIPPED])
def test_a_magnification_that_does_not_fit_is_told(
    tmp_path: Path, storage: dict[str, Any], mpp: str, magnification: str, told: bool
) -> None:
    path = tmp_path / "s.svs"
    description = f"Aperio test\r\n|AppMag = {magnification}|MPP = {mpp}"
    tifffile.imwrite(path, IMAGE, photometric="rgb", metadata=None, description=description, **storage)
    with open_slide(path) as slide:
        assert known_mpp(slide).x == float(mpp)
        assert [f"{magnification}x" in text for text in said(slide, ConcernKind.PIXEL_SIZE)] == [True] * told


def test_the_objective_of_ome_xml_is_the_images_own() -> None:
    objectives = "".join(f'<Objective ID="O:{n}" NominalMagnification="{n}"/>' for n in (20, 40))
    xml = ome_xml(0.5, "\u00b5m", more='<ObjectiveSettings ID="O:40"/>')
    xml = xml.replace("<Image ", f"<Instrument>{objectives}</Instrument><Image ", 1)
    assert ome_sizes(xml, (400, 300)).magnification == 40
    assert ome_sizes(xml.replace('Settings ID="O:40"', 'Settings ID="O:7"'), (400, 300)).magnification is None


def test_aperios_two_sizes_are_told_if_they_disagree(tmp_path: Path) -> None:
    path = tmp_path / "s.svs"
    tifffile.imwrite(path, IMAGE, photometric="rgb", **TILED, **APERIO, **PER_CM)
    with open_slide(path) as slide:
        assert slide.concerns == ()
    with open_slide(path, mpp=0.26) as slide:
        assert slide.concerns == ()
    with open_slide(path, mpp=0.5) as slide:
        first, *_ = said(slide, ConcernKind.PIXEL_SIZE)
        assert "0.5 x 0.5 µm/px (given by the user) are not of 0.25 x 0.25 µm/px (slide properties)" in first
    tags: dict[str, Any] = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, IMAGE, photometric="rgb", **TILED, **APERIO, **tags)
    with open_slide(path) as slide:
        assert ["TIFF resolution tags" in text for text in said(slide, ConcernKind.PIXEL_SIZE)] == [True]


def test_an_impossible_size_is_named_when_none_is_left(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tags: dict[str, Any] = {"resolution": (1 << 31, 1 << 31), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, IMAGE, photometric="rgb", **tags, **TILED)
    with open_slide(path) as slide:
        assert slide.mpp is None
        assert len(slide.concerns) == 1
        with pytest.raises(MppError, match="no pixels are") as caught:
            known_mpp(slide)
        assert caught.value.options == ("mpp",)


# ---- the right cause ------------------------------------------------------------------------------------------------


def test_a_crop_that_aperios_viewer_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, IMAGE, photometric="rgb", **STRIPPED, **APERIO)
    with open_slide(path) as slide:
        assert shows(slide, IMAGE)
        assert (known_mpp(slide).x, known_mpp(slide).source) == (0.25, MppSource.PROPERTIES)


def test_mrxs_without_its_folder_is_refused_whatever_the_user_says(tmp_path: Path) -> None:
    path = tmp_path / "s.mrxs"
    path.write_bytes(jpeg(IMAGE))
    for mpp in (None, 0.25):
        with pytest.raises(SlideError, match=r"its folder s, with Slidedat\.ini .* copy it too"):
            open_slide(path, mpp=mpp)
    (tmp_path / "s").mkdir()
    index = "\ufeff[HIERARCHICAL]\r\nINDEXFILE = Index.dat\r\n[DATAFILE]\r\nFILE_COUNT = 1\r\nFILE_0 = Data0000.dat\r\n"
    (tmp_path / "s" / "Slidedat.ini").write_text(index, encoding="utf-8", newline="")
    (tmp_path / "s" / "Index.dat").touch()
    with pytest.raises(SlideError, match=r"s\.mrxs: Data0000\.dat, named in Slidedat\.ini, is not beside it"):
        open_slide(path)


@pytest.mark.parametrize("suffix", [".svs", ".ndpi", ".scn", ".bif", ".svslide", ".dcm"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_under_a_slides_name_is_no_slide(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"s{suffix}"
    Image.fromarray(IMAGE).save(path, kind)
    with pytest.raises(SlideError, match=rf"only a {kind} picture, not a {suffix[1:].upper()} slide"):
        open_slide(path, mpp=0.25)


def test_vsi_holds_overviews_only(tmp_path: Path) -> None:
    path = several(tmp_path / "s.vsi", (IMAGE, TILED))
    with pytest.raises(SlideError, match="VSI is not supported"):
        open_slide(path, mpp=0.25)


def test_hamamatsu_lists_name_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "s.vms"
    path.write_text("[Virtual Microscope Specimen]\nNoLayers=1\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=m.jpg\n")
    (tmp_path / "a.jpg").write_bytes(jpeg(IMAGE))
    with pytest.raises(SlideError, match=r"b\.jpg and 1 more, named in s\.vms, is not beside it"):
        open_slide(path)


# ---- bounds on time -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    for suffix in (".svs", ".vms", ".mrxs", ".dcm", ".tif"):
        os.mkfifo(tmp_path / f"p{suffix}")
        assert slide_parts(tmp_path / f"p{suffix}") == (tmp_path / f"p{suffix}",)
        with pytest.raises(SlideError, match=rf"p\{suffix}: a pipe or device"):
            open_slide(tmp_path / f"p{suffix}")


def directories(path: Path, count: int) -> Path:
    """A TIFF of images of 16 x 16 px that share their pixels."""
    entries = [(256, 3, 16), (257, 3, 16), (273, 4, 8), (277, 3, 1), (279, 4, 256)]
    length = 2 + 12 * len(entries) + 4
    parts = [struct.pack("<2sHI", b"II", 42, 8)]
    for number in range(count):
        following = 8 + (number + 1) * length if number + 1 < count else 0
        fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        parts.append(struct.pack("<H", len(entries)) + fields + struct.pack("<I", following))
    path.write_bytes(b"".join(parts))
    return path


def test_a_file_of_too_many_images_is_refused_at_once(tmp_path: Path) -> None:
    path = directories(tmp_path / "s.tif", 100_000)
    started = time.monotonic()
    with pytest.raises(SlideError, match=f"more than {MAX_IMAGES} images"):
        open_slide(path, mpp=0.25)
    assert time.monotonic() - started < 30, "it takes a second; OpenSlide would take minutes"


def test_planes_that_only_a_description_has_fill_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "s.ome.tif"
    xml = ome_xml(0.25, "um").replace('SizeY="300"', 'SizeY="300" SizeZ="100000000" SizeC="3" SizeT="1"')
    tifffile.imwrite(path, IMAGE, photometric="rgb", description=xml, metadata=None, **STRIPPED)
    with pytest.raises(SlideError, match=f"an OME-TIFF of more than {MAX_IMAGES} images"):
        open_slide(path)


def test_a_few_bytes_are_no_slide_of_gigapixels(tmp_path: Path) -> None:
    """Every tile of the header is the same one."""
    side, tile = 200_000, 4096
    blob = imagecodecs.zlib_encode(np.zeros((tile, tile, 3), np.uint8).tobytes())
    path = tmp_path / "s.tif"
    count = (-(-side // tile)) ** 2
    tifffile.imwrite(
        path, np.zeros((64, 64, 3), np.uint8), photometric="rgb", tile=(64, 64), compression="deflate", metadata=None
    )
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages.first
        for name, value in (("ImageWidth", side), ("ImageLength", side), ("TileWidth", tile), ("TileLength", tile)):
            page.tags[name].overwrite(value)
        at = path.stat().st_size
        page.tags["TileOffsets"].overwrite((at,) * count)
        page.tags["TileByteCounts"].overwrite((len(blob),) * count)
    with path.open("ab") as stream:
        stream.write(bytes(blob))
    with pytest.raises(SlideError, match="cannot hold the 200000 x 200000 px"):
        open_slide(path, mpp=0.25)

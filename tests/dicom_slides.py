"""DICOM slides with pixels, written for tests in all the ways in which tiles are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from slide_files import jpeg, texture, tiles_of

from signetscan.testing.dicom_source import write_dicom_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

TILE = 64
MPP = 0.5
WIDTH, HEIGHT = 212, 156
WHOLE = (WIDTH, HEIGHT)
GAPS = ((0, 1), (2, 3), (1, 1))
"""Rows and columns of tiles that are not stored."""


def _rle(tile: Pixels) -> bytes:
    rows, columns = tile.shape[:2]
    return get_encoder(pydicom.uid.RLELossless).encode(
        tile,
        rows=rows,
        columns=columns,
        samples_per_pixel=3,
        bits_allocated=8,
        bits_stored=8,
        pixel_representation=0,
        photometric_interpretation="RGB",
        planar_configuration=0,
        number_of_frames=1,
    )


def _jpeg2000(tile: Pixels) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(tile, codecformat="j2k", mct=True, reversible=True))


def _jpeg_ls(tile: Pixels) -> bytes:
    return bytes(imagecodecs.jpegls_encode(tile))


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


CODINGS: dict[str, tuple[str, str, Callable[[Pixels], bytes]]] = {
    "native": ("1.2.840.10008.1.2.1", "RGB", lambda tile: tile.tobytes()),
    "jpeg": ("1.2.840.10008.1.2.4.50", "YBR_FULL_422", lambda tile: jpeg(tile, subsampling="4:2:2")),
    "jpeg-2000": ("1.2.840.10008.1.2.4.90", "YBR_RCT", _jpeg2000),
    "jpeg-ls": ("1.2.840.10008.1.2.4.80", "RGB", _jpeg_ls),
    "rle": ("1.2.840.10008.1.2.5", "RGB", _rle),
}
"""Transfer syntax, photometric interpretation and encoder of each way to store a tile."""
OPENSLIDE_READS = ("native", "jpeg", "jpeg-2000")


def write_dicom_slide(
    path: Path,
    image: Pixels,
    coding: str,
    *,
    left_out: Sequence[tuple[int, int]] | None = None,
    tiles: Sequence[bytes] | None = None,
    **changes: Any,  # noqa: ANN401
) -> Path:
    """A level of a slide.

    Args:
        path: the file to write.
        image: its pixels, (height, width, 3).
        coding: one of `CODINGS`.
        left_out: rows and columns of tiles that are not stored, each of which says where it lies; None for a full one.
        tiles: stored tiles in place of those of the image.
        changes: other values of attributes, by keyword; None for none.
    """
    syntax, colours, encode = CODINGS[coding]
    height, width = image.shape[:2]
    columns = -(-width // TILE)
    places = [divmod(number, columns) for number in range(columns * -(-height // TILE))]
    kept = [place for place in places if place not in (left_out or ())]
    encoded = dict(zip(places, map(encode, tiles_of(image, TILE)), strict=True))
    frames = [encoded[place] for place in kept] if tiles is None else list(tiles)
    values = {
        "Rows": TILE,
        "Columns": TILE,
        "NumberOfFrames": len(frames),
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "PhotometricInterpretation": colours,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "NumberOfOpticalPaths": 1,
        "TotalPixelMatrixFocalPlanes": 1,
        "OpticalPathSequence": [_optical_path()],
        "ImageOrientationSlide": [0, -1, 0, -1, 0, 0],
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "01" if coding == "jpeg" else "00",
    }
    if left_out is not None:
        values["DimensionOrganizationType"] = "TILED_SPARSE"
        values["PerFrameFunctionalGroupsSequence"] = [_frame_place(row, column) for row, column in kept]
    mpp = changes.pop("mpp", MPP)
    write_dicom_source(path, (width, height), mpp=mpp, **(values | changes))
    written = pydicom.dcmread(path)
    written.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    written.file_meta.MediaStorageSOPInstanceUID = written.SOPInstanceUID
    is_native = coding == "native"
    written.PixelData = _even(b"".join(frames)) if is_native else encapsulate([_even(frame) for frame in frames])
    written["PixelData"].VR = "OB"
    written["PixelData"].is_undefined_length = not is_native
    written.save_as(path, enforce_file_format=True)
    return path


def picture() -> Pixels:
    """The pixels of the test slides."""
    return texture(HEIGHT, WIDTH)


def write_series(folder: Path) -> Path:
    """A slide of two levels with a label, in a folder with a level of another slide."""
    path = write_dicom_slide(folder / "a.dcm", picture(), "jpeg-ls")
    small = picture()[::2, ::2]
    write_dicom_slide(folder / "b.dcm", small, "jpeg-ls", mpp=1.0, SOPInstanceUID="1.2.3.41")
    label = ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]
    write_dicom_slide(folder / "c.dcm", small, "native", SOPInstanceUID="1.2.3.42", ImageType=label)
    write_dicom_slide(folder / "d.dcm", small, "rle", SOPInstanceUID="1.2.3.43", SeriesInstanceUID="1.2.3.99")
    return path


def write_parts(folder: Path) -> list[Path]:
    """A slide in a concatenation of two parts."""
    tiles = list(map(CODINGS["jpeg-ls"][2], tiles_of(picture(), TILE)))
    return [
        write_dicom_slide(
            folder / f"part-{part}.dcm",
            picture(),
            "jpeg-ls",
            tiles=tiles[start:stop],
            SOPInstanceUID=f"1.2.3.4.{part}",
            SOPInstanceUIDOfConcatenationSource="1.2.3.40",
            ConcatenationUID="1.2.3.50",
            ConcatenationFrameOffsetNumber=start,
            InConcatenationNumber=part,
            InConcatenationTotalNumber=2,
        )
        for part, start, stop in ((1, 0, 5), (2, 5, 12))
    ]


def _optical_path() -> Dataset:
    path, light = Dataset(), Dataset()
    light.CodeValue, light.CodingSchemeDesignator, light.CodeMeaning = "111744", "DCM", "Brightfield illumination"
    path.IlluminationTypeCodeSequence = [light]
    path.OpticalPathIdentifier = "1"
    path.ObjectiveLensPower = 20
    return path


def _frame_place(row: int, column: int) -> Dataset:
    group, position = Dataset(), Dataset()
    position.ColumnPositionInTotalImagePixelMatrix = column * TILE + 1
    position.RowPositionInTotalImagePixelMatrix = row * TILE + 1
    position.XOffsetInSlideCoordinateSystem = position.YOffsetInSlideCoordinateSystem = "0"
    position.ZOffsetInSlideCoordinateSystem = "0"
    group.PlanePositionSlideSequence = [position]
    return group

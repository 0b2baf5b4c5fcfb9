"""TIFF images that OpenSlide refuses, such as stripped or OME-TIFF files, read strip by strip or tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.errors import SlideError
from signetscan.slides.fingerprint import file_fingerprint
from signetscan.slides.mpp import Mpp, MppSource, is_possible, mpp_from_resolution
from signetscan.slides.protocol import Window
from signetscan.slides.tiff_decoders import DECODE_ERRORS, tolerant_decoder
from signetscan.slides.tiff_pixels import PieceError, TiffLevel, TiffPixels

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.slides.concerns import Concern

MAX_SEGMENT_BYTES = 1 << 29
"""Largest strip or tile that is decoded, bytes: a plain TIFF may store the whole image as one strip."""

WHITE = (255, 255, 255)

READABLE_PHOTOMETRICS = {
    tifffile.PHOTOMETRIC.RGB,
    tifffile.PHOTOMETRIC.YCBCR,
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
}


class TiffSlide:
    """An 8-bit RGB or grey TIFF, pyramidal or not.

    Args:
        path: the file.

    Raises:
        SlideError: the file is not a TIFF, is damaged, or stores its pixels in a way that is not supported.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            file = tifffile.TiffFile(path)
        except DECODE_ERRORS as error:
            message = f"{path}: not a slide that OpenSlide or tifffile can read ({error})"
            raise SlideError(message) from error
        try:
            _refuse_damaged(file, path)
            pages = _readable_levels(file, path)
            self.mpp = _mpp(file, pages[0])
            self.format_name = "OME-TIFF" if file.is_ome else "TIFF"
            self._pixels = TiffPixels(file, [TiffLevel.of(page, tolerant_decoder(page)) for page in pages])
        except SlideError:
            file.close()
            raise
        except DECODE_ERRORS as error:
            file.close()
            message = f"{path}: a TIFF file whose directory cannot be read ({error}); copy or export it again"
            raise SlideError(message) from error
        self.name = path.name.removesuffix(path.suffix).removesuffix(".ome")
        self.fingerprint = file_fingerprint(path)
        self.bounds = None
        self.concerns: tuple[Concern, ...] = ()

    @property
    def decoder(self) -> str:
        """What decodes the pixels."""
        return "tifffile"

    @property
    def dimensions(self) -> tuple[int, int]:
        """Width and height, level-0 pixels."""
        return self.level_dimensions[0]

    @property
    def level_dimensions(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level."""
        return tuple((level.width, level.height) for level in self._pixels.levels)

    @property
    def level_downsamples(self) -> tuple[float, ...]:
        """Level-0 pixels per pixel of each level."""
        width, height = self.dimensions
        return tuple((width / w + height / h) / 2 for w, h in self.level_dimensions)

    def read_region(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Read pixels; white outside the image. See `Slide.read_region`."""
        x, y = (round(edge / self.level_downsamples[level]) for edge in location)
        try:
            return self._pixels.read(level, x, y, size, WHITE)
        except PieceError as error:
            message = f"{self._path}: {error}. The file is damaged or cut short: copy or export it again"
            raise SlideError(message) from error

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read pixels; a strip or tile that the file does not hold is an error. See `Slide.read_window`."""
        return Window(pixels=self.read_region(location, level, size))

    def close(self) -> None:
        """Close the file."""
        self._pixels.close()

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _refuse_damaged(file: tifffile.TiffFile, path: Path) -> None:
    """Refuse scanners' formats: they come here only if OpenSlide, which supports them, has refused the file."""
    for maker in ("svs", "ndpi", "scn", "bif", "philips"):
        if getattr(file, f"is_{maker}"):
            message = f"{path}: an {maker.upper()} slide that is damaged or cut short; copy or scan it again"
            raise SlideError(message)


def _readable_levels(file: tifffile.TiffFile, path: Path) -> list[tifffile.TiffPage]:
    """The pages of the first image's pyramid, checked to be 8-bit RGB or grey."""
    if not file.series:
        message = f"{path}: a TIFF file without an image; it is damaged or cut short: copy it again"
        raise SlideError(message)
    pages = []
    for level in file.series[0].levels:
        page = level.keyframe
        if (
            len(level.pages) != 1
            or page.dtype != np.uint8
            or page.samplesperpixel not in {1, 3, 4}
            or page.photometric not in READABLE_PHOTOMETRICS
            or (page.samplesperpixel > 1 and page.planarconfig != tifffile.PLANARCONFIG.CONTIG)
            or page.imagedepth != 1
        ):
            message = (
                f"{path}: a TIFF of {level.dtype} {level.axes} {level.shape}, "
                "not an 8-bit RGB or grey image; export it as 8-bit RGB"
            )
            raise SlideError(message)
        _check_segments(page, path)
        pages.append(page)
    return pages


def _check_segments(page: tifffile.TiffPage, path: Path) -> None:
    height, width = page.chunks[-3:-1] if page.samplesperpixel > 1 else page.chunks[-2:]
    if min(height, width) < 1 or min(page.imagelength, page.imagewidth) < 1:
        message = f"{path}: its directory declares strips or tiles of {width} x {height} px; the file is damaged"
        raise SlideError(message)
    if height * width * page.samplesperpixel > MAX_SEGMENT_BYTES:
        message = f"{path}: its strips or tiles of {width} x {height} px are too large to read; save it as a tiled TIFF"
        raise SlideError(message)
    ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends, default=0) > path.stat().st_size:
        message = f"{path}: the file is cut short: its pixels lie beyond its end; copy it again"
        raise SlideError(message)


def _mpp(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Mpp | None:
    if file.is_ome and file.ome_metadata:
        mpp = _ome_mpp(file.ome_metadata)
        if mpp is not None:
            return mpp
    tags = page.tags
    if not {"XResolution", "YResolution", "ResolutionUnit"} <= {tag.name for tag in tags}:
        return None
    x, y = (_ratio(tags.valueof(f"{axis}Resolution")) for axis in "XY")
    unit = tifffile.RESUNIT(tags.valueof("ResolutionUnit")).name
    return mpp_from_resolution(x, y, unit)


def _ome_mpp(xml: str) -> Mpp | None:
    """PhysicalSizeX and PhysicalSizeY of the first image; None if they are missing or not in µm."""
    from defusedxml import DefusedXmlException, ElementTree  # noqa: PLC0415 - only OME-TIFF needs it

    try:
        root = ElementTree.fromstring(xml)
    except (DefusedXmlException, ElementTree.ParseError):
        return None
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None or {pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m") for axis in "XY"} != {"\u00b5m"}:
        return None
    try:
        x, y = (float(pixels.get(f"PhysicalSize{axis}", "0")) for axis in "XY")
    except ValueError:
        return None
    return Mpp(x, y, MppSource.PROPERTIES) if is_possible(x, y) else None


def _ratio(value: object) -> float:
    """A TIFF rational (two whole numbers) as a float; 0 if the value is none."""
    match value:
        case (int(top), int(bottom)) if bottom:
            return top / bottom
        case int(number) | float(number):
            return float(number)
        case _:
            return 0.0

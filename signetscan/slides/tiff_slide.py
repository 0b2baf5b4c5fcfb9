"""TIFF images that OpenSlide refuses, such as stripped or OME-TIFF files, read strip by strip or tile by tile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from signetscan.errors import SlideError
from signetscan.slides.averaging import averaged
from signetscan.slides.fingerprint import file_fingerprint
from signetscan.slides.mpp import SizeClaims, resolution_claim, size_claim
from signetscan.slides.protocol import Window
from signetscan.slides.tiff_checks import stack_concerns
from signetscan.slides.tiff_decoders import DECODE_ERRORS, JPEG2000S, JPEGS, tolerant_decoder
from signetscan.slides.tiff_pixels import Blocks, PieceError, TiffLevel, TiffPixels

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from signetscan.slides.concerns import Concern
    from signetscan.slides.mpp import Claim

MAX_SEGMENT_BYTES = 1 << 29
"""Largest strip or tile that is decoded, bytes: a plain TIFF may store the whole image as one strip."""

WHITE = (255, 255, 255)

READABLE_PHOTOMETRICS = {
    tifffile.PHOTOMETRIC.RGB,
    tifffile.PHOTOMETRIC.YCBCR,
    tifffile.PHOTOMETRIC.MINISBLACK,
    tifffile.PHOTOMETRIC.MINISWHITE,
}

CONVERTED = JPEGS | JPEG2000S | {tifffile.COMPRESSION.WEBP, tifffile.COMPRESSION.JPEGXL}
"""Compressions whose decoders turn YCbCr into RGB."""

APERIO_PAIR = re.compile(r"\|\s*(MPP|AppMag)\s*=\s*([^|\s]+)")
"""Facts in a description by Aperio's software."""


class TiffSlide:
    """An 8-bit RGB or grey TIFF, pyramidal or not.

    Args:
        path: the file.
        is_whole: whether OpenSlide could open the file, so that it is not damaged.

    Raises:
        SlideError: the file is not a TIFF, is damaged, or stores its pixels in a way that is not supported.
    """

    def __init__(self, path: Path, *, is_whole: bool = False) -> None:
        self._path = path
        try:
            file = tifffile.TiffFile(path)
        except DECODE_ERRORS as error:
            message = f"{path}: not a slide that OpenSlide or tifffile can read ({error})"
            raise SlideError(message) from error
        try:
            if not is_whole:
                _refuse_damaged(file, path)
            series = _largest(file, path)
            pages = _readable_levels(series, path)
            self.said = _said(pages[0])
            self.mpp = self.said.mpp
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
        self.concerns: tuple[Concern, ...] = stack_concerns(_planes(series))

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
            raise self._unread(error) from error

    def read_window(self, location: tuple[int, int], level: int, size: tuple[int, int]) -> Window:
        """Read pixels; a strip or tile that the file does not hold is an error. See `Slide.read_window`."""
        return Window(pixels=self.read_region(location, level, size))

    def read_averaged(
        self, location: tuple[int, int], level: int, size: tuple[int, int], block: tuple[int, int]
    ) -> Window:
        """Read the means of blocks of pixels; white outside the image. See `Slide.read_averaged`."""
        x, y = (round(edge / self.level_downsamples[level]) for edge in location)
        blocks = Blocks.of(self._pixels.levels[level], x, y, size, block)
        if blocks is None:
            return averaged(self.read_window(location, level, (size[0] * block[0], size[1] * block[1])), block)
        try:
            return self._pixels.read_averaged(level, blocks, WHITE)
        except PieceError as error:
            raise self._unread(error) from error

    def close(self) -> None:
        """Close the file."""
        self._pixels.close()

    def _unread(self, error: PieceError) -> SlideError:
        return SlideError(f"{self._path}: {error}. The file is damaged or cut short: copy or export it again")

    def __enter__(self) -> Self:
        """Use in a `with` block, which closes the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def _refuse_damaged(file: tifffile.TiffFile, path: Path) -> None:
    """Refuse scanners' formats: they come here only if OpenSlide, which supports them, has refused the file.

    What a scanner's viewer exports bears its maker's name too, but is stored in strips.
    """
    if not file.pages.first.is_tiled and not file.is_ndpi:
        return
    for maker in ("svs", "ndpi", "scn", "bif", "philips"):
        if getattr(file, f"is_{maker}"):
            message = f"{path}: an {maker.upper()} slide that is damaged or cut short; copy or scan it again"
            raise SlideError(message)


def _largest(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """The first of the largest images: others are labels, macro images and overviews."""
    if not file.series:
        message = f"{path}: a TIFF file without an image; it is damaged or cut short: copy it again"
        raise SlideError(message)
    return max(file.series, key=lambda series: series.keyframe.imagewidth * series.keyframe.imagelength)


def _readable_levels(series: tifffile.TiffPageSeries, path: Path) -> list[tifffile.TiffPage]:
    """The pages of an image's pyramid, checked to be 8-bit RGB or grey; of a stack those of its first plane."""
    pages = []
    for level in series.levels:
        page = level.keyframe
        why = _unreadable(page, _planes(level))
        if why:
            message = f"{path}: a TIFF of {level.dtype} {level.axes} {level.shape}, {why}"
            raise SlideError(message)
        _check_segments(page, path)
        pages.append(page)
    return pages


def _unreadable(page: tifffile.TiffPage, planes: int) -> str:
    """Why a page is not read, and what to do; empty if it is."""
    if page.samplesperpixel == 1 and planes > 1:
        return f"whose channels are {planes} separate grey images; export it as 8-bit RGB"
    if page.samplesperpixel > 1 and page.planarconfig != tifffile.PLANARCONFIG.CONTIG:
        return "whose channels are stored in separate planes; export it with its channels interleaved, or in tiles"
    if page.photometric == tifffile.PHOTOMETRIC.YCBCR and page.compression not in CONVERTED:
        return "of YCbCr colours that are not compressed as JPEG; export it as 8-bit RGB"
    if (
        page.dtype != np.uint8
        or page.samplesperpixel not in {1, 3, 4}
        or page.photometric not in READABLE_PHOTOMETRICS
        or page.imagedepth != 1
    ):
        return "not an 8-bit RGB or grey image; export it as 8-bit RGB"
    return ""


def _planes(level: tifffile.TiffPageSeries) -> int:
    """Images of the same size that are a level, such as focal planes or channels."""
    page = level.keyframe
    values = page.imagewidth * page.imagelength * page.samplesperpixel
    return max(int(level.size) // values, 1) if values else 1


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


def _said(page: tifffile.TiffPage) -> SizeClaims:
    """What a page says of the size of its pixels; Aperio's viewer describes its exports like a slide."""
    described = dict(APERIO_PAIR.findall(page.description)) if page.description.startswith("Aperio") else {}
    own = size_claim(*(_decimal(described.get("MPP")),) * 2)
    claims = (own, _resolution(page))
    return SizeClaims(
        claims=tuple(claim for claim in claims if claim is not None),
        magnification=_decimal(described.get("AppMag")) or None,
    )


def _resolution(page: tifffile.TiffPage) -> Claim | None:
    tags = page.tags
    if not {"XResolution", "YResolution", "ResolutionUnit"} <= {tag.name for tag in tags}:
        return None
    x, y = (_ratio(tags.valueof(f"{axis}Resolution")) for axis in "XY")
    return resolution_claim(x, y, tifffile.RESUNIT(tags.valueof("ResolutionUnit")).name)


def _decimal(text: str | None) -> float:
    """A number with a point or a comma; 0 if it is none."""
    try:
        return float((text or "0").replace(",", "."))
    except ValueError:
        return 0.0


def _ratio(value: object) -> float:
    """A TIFF rational (two whole numbers) as a float; 0 if the value is none."""
    match value:
        case (int(top), int(bottom)) if bottom:
            return top / bottom
        case int(number) | float(number):
            return float(number)
        case _:
            return 0.0

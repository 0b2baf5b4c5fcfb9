"""Opening a file as a slide, with the slide reader that fits."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import openslide

from signetscan.errors import MissingExtraError, SlideError
from signetscan.extras import require
from signetscan.slides.addresses import SeriesAddress, StudyAddress, parse_place
from signetscan.slides.archives import series_of, series_state
from signetscan.slides.companions import check_companions, check_no_picture
from signetscan.slides.dicom_checks import explained
from signetscan.slides.fingerprint import content_of
from signetscan.slides.mpp import Mpp, MppSource, SizeClaims
from signetscan.slides.mpp_checks import size_concerns
from signetscan.slides.ome import ome_planes, ome_sizes
from signetscan.slides.openslide_slide import OpenSlideSlide
from signetscan.slides.parts import slide_parts
from signetscan.slides.picture import open_picture, picture_format
from signetscan.slides.protocol import MAX_SIDE
from signetscan.slides.tiff_checks import check_storage, only_jfif_tells, picture_concerns
from signetscan.slides.tiff_header import MAX_IMAGES, TiffHeader, TiffImage, is_tiff, read_header
from signetscan.slides.tiff_slide import TiffSlide
from signetscan.suffixes import is_dicom_slide

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from signetscan.slides.addresses import SlidePlace
    from signetscan.slides.array_slide import ArraySlide
    from signetscan.slides.dicom_slide import DicomSlide
    from signetscan.slides.protocol import Slide

    Opened = OpenSlideSlide | TiffSlide | DicomSlide | ArraySlide

PLAIN_TIFFS = ("generic-tiff", "aperio", "TIFF", "OME-TIFF")
"""Formats of TIFF files whose slide is one of their images, as the slide readers name them."""
OTHER_SHAPE = 1.25
"""Proportions that differ by this factor are those of another picture; tiles that fill up a level change them less."""
ADAPTED = ("mirax", "zeiss", "dicom")
"""Formats of scanners that may have lenses between objective and camera."""


def open_slide(
    place: str | os.PathLike[str] | SeriesAddress | StudyAddress,
    *,
    mpp: float | None = None,
    default_mpp: float | None = None,
) -> Slide:
    """Open a slide: by OpenSlide, by tifffile or wsidicom if it refuses a readable TIFF or DICOM, or as a JPEG or PNG.

    Args:
        place: the slide's file (for MRXS and multi-file DICOM, one of its files), or the address of a series in an
            archive that speaks DICOMweb, or of a study that has one: `https://HOST/dicom-web/studies/UID/series/UID`.
            Only an address leads to a connection.
        mpp: size of a level-0 pixel in µm/px, instead of what the slide says.
        default_mpp: the size if neither `mpp` nor the slide gives one.

    Raises:
        SlideError: the file is missing, is not a slide or cannot be read, or the archive does not give it; the message
            says which.
        MppError: `mpp` or `default_mpp` is not the size of a pixel.
        OptionError: the address is none, or the token for the archive cannot be used.
        MissingExtraError: it is an address, and wsidicom is not installed.
    """
    if isinstance(place, str):
        place = parse_place(place)
    if isinstance(place, StudyAddress):
        place = only_series(place)
    if isinstance(place, SeriesAddress):
        return _open_archived(place, mpp=mpp, default_mpp=default_mpp)
    path = Path(place)
    given, default = (None if um is None else Mpp(um, um, MppSource.GIVEN) for um in (mpp, default_mpp))
    _check_is_file(path)
    with as_slide_errors(path):
        check_companions(path)
    header = read_header(path) if is_tiff(path) else None
    slide = _open(path, header)
    try:
        _refuse_size(path, slide.dimensions)
        if header is not None and slide.format_name in PLAIN_TIFFS:
            check_storage(header, slide.dimensions, path)
            heeds_jfif = isinstance(slide, TiffSlide)  # as tifffile does
            found = (*slide.concerns, *picture_concerns(header, slide.dimensions, heeds_jfif=heeds_jfif))
            slide.concerns = tuple(dict.fromkeys(found))  # tifffile may have counted the planes too
        said = slide.said if header is None else _with_ome(slide.said, ome_sizes(header.description, slide.dimensions))
        _set_mpp(slide, said, given, default)
    except SlideError:
        slide.close()
        raise
    return slide


def only_series(study: StudyAddress) -> SeriesAddress:
    """The one slide of a study.

    Raises:
        SlideError: it has none or several, or the archive gives no answer.
        MissingExtraError: wsidicom is not installed.
    """
    found = series_of(study)
    if len(found) > 1:
        message = f"{study}: a study of {len(found)} slides; name one, such as {found[0]}"
        raise SlideError(message)
    return found[0]


def _open_archived(address: SeriesAddress, *, mpp: float | None, default_mpp: float | None) -> Slide:
    given, default = (None if um is None else Mpp(um, um, MppSource.GIVEN) for um in (mpp, default_mpp))
    require("wsidicom")
    from signetscan.slides.dicom_archive import open_archived  # noqa: PLC0415 - an extra, and slow to import

    slide = open_archived(address)
    _set_mpp(slide, slide.said, given, default)
    return slide


def _set_mpp(slide: Opened, said: SizeClaims, given: Mpp | None, default: Mpp | None) -> None:
    slide.mpp = given or said.mpp or default
    is_adapted = slide.format_name in ADAPTED
    slide.concerns += size_concerns(slide.mpp, slide.dimensions, said, is_adapted=is_adapted)


def _refuse_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        message = f"{path}: its header declares {width} x {height} px, more than any slide has; the file is damaged"
        raise SlideError(message)


def _with_ome(said: SizeClaims, ome: SizeClaims) -> SizeClaims:
    """What a file says of its pixels, first by OME-XML, by which QuPath goes too."""
    return SizeClaims(claims=ome.claims + said.claims, magnification=ome.magnification or said.magnification)


def _open(path: Path, header: TiffHeader | None) -> Opened:
    try:
        slide = OpenSlideSlide(path)
    except openslide.OpenSlideError as error:
        return _open_otherwise(path, header, error)
    if header is None or slide.format_name not in PLAIN_TIFFS:
        return slide
    is_rightly_coloured = slide.format_name == "aperio" or not only_jfif_tells(header.largest)
    if is_rightly_coloured and _shows_largest(slide, header.largest):
        return slide
    slide.close()
    return _open_by_tifffile(path, header, is_whole=True)


def _open_otherwise(path: Path, header: TiffHeader | None, error: openslide.OpenSlideError) -> Opened:
    """Open a file that OpenSlide refuses with this error."""
    if is_dicom_slide(path):
        return _open_by_wsidicom(path, error)
    if isinstance(error, openslide.OpenSlideUnsupportedFormatError):
        picture = picture_format(path)
        if picture is not None:
            check_no_picture(path, picture)
            return open_picture(path, picture)
        if not is_tiff(path):
            message = f"{path}: not a slide: OpenSlide does not know this format and it is not a TIFF, JPEG or PNG"
            raise SlideError(message) from error
    elif not is_tiff(path):
        message = f"{path}: OpenSlide cannot read this slide: {error}"
        raise SlideError(message) from error
    return _open_by_tifffile(path, header)


def _open_by_wsidicom(path: Path, error: openslide.OpenSlideError) -> DicomSlide:
    """Open a DICOM slide that OpenSlide refuses with this error."""
    try:
        require("wsidicom")
    except MissingExtraError as missing:
        message = f"{path}: OpenSlide cannot read this slide: {explained(str(error))}. wsidicom may: {missing}"
        raise SlideError(message) from error
    from signetscan.slides.dicom_files import open_dicom_files  # noqa: PLC0415 - an extra, and slow to import

    return open_dicom_files(path)


def _shows_largest(slide: OpenSlideSlide, image: TiffImage) -> bool:
    """Whether a slide's levels are the largest image of its file and smaller copies of it.

    OpenSlide takes the first image of a plain TIFF, be it a label, and a macro image for a level.
    """
    width, height = slide.dimensions
    return width * height >= image.pixels and all(
        1 / OTHER_SHAPE < (width / w) / (height / h) < OTHER_SHAPE for w, h in slide.level_dimensions
    )


def _open_by_tifffile(path: Path, header: TiffHeader | None, *, is_whole: bool = False) -> TiffSlide:
    # tifffile makes a list of all images of which OME-XML speaks, which may fill the memory.
    if header is not None and ome_planes(header.description) > MAX_IMAGES:
        message = f"{path}: an OME-TIFF of more than {MAX_IMAGES} images, which is no slide"
        raise SlideError(message)
    return TiffSlide(path, is_whole=is_whole)


def _check_is_file(path: Path) -> None:
    with as_slide_errors(path):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            message = f"{path}: a folder, not a slide; name the slide file in it"
            raise SlideError(message)
        if not stat.S_ISREG(mode):  # opening a pipe would wait for whoever writes to it
            message = f"{path}: a pipe or device, not a file"
            raise SlideError(message)
        with path.open("rb") as file:
            if not file.read(1):
                message = f"{path}: the file is empty; copy it again"
                raise SlideError(message)


@contextmanager
def as_slide_errors(path: Path) -> Iterator[None]:
    """Raise the system's errors about a slide's file as a `SlideError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        message = f"{path}: no such file"
        raise SlideError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise SlideError(message) from error


def content_now(place: SlidePlace) -> str:
    """What a slide holds, of one that can be opened: its files by `content_of`, or its series by `archive_state`.

    Raises:
        SlideError: a file cannot be read, or the archive gives no answer.
    """
    if isinstance(place, SeriesAddress):
        return series_state(place)
    with as_slide_errors(place):
        return content_of(slide_parts(place))

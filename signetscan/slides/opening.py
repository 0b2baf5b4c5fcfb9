"""Opening a file as a slide, with the slide reader that fits."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import openslide
import tifffile

from signetscan.errors import SlideError
from signetscan.slides.fingerprint import content_of
from signetscan.slides.mpp import Mpp, MppSource
from signetscan.slides.mpp_checks import size_concerns
from signetscan.slides.openslide_slide import OpenSlideSlide
from signetscan.slides.parts import slide_parts
from signetscan.slides.picture import open_picture, picture_format
from signetscan.slides.protocol import MAX_SIDE
from signetscan.slides.tiff_slide import TiffSlide

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from signetscan.slides.array_slide import ArraySlide
    from signetscan.slides.protocol import Slide

logger = logging.getLogger(__name__)

MAX_PAGES = 64
"""Pages of a TIFF whose size is checked before it is opened; slides have a dozen."""

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(path: str | os.PathLike[str], *, mpp: float | None = None, default_mpp: float | None = None) -> Slide:
    """Open a slide: by OpenSlide, by tifffile if OpenSlide refuses a readable TIFF, or as a plain JPEG or PNG.

    Args:
        path: the slide's file (for MRXS and multi-file DICOM, one of its files).
        mpp: size of a level-0 pixel in µm/px, instead of what the file says.
        default_mpp: the size if neither `mpp` nor the file gives one.

    Raises:
        SlideError: the file is missing, is not a slide or cannot be read; the message says which.
        MppError: `mpp` or `default_mpp` is not the size of a pixel.
    """
    path = Path(path)
    known, default = (None if um is None else Mpp(um, um, MppSource.GIVEN) for um in (mpp, default_mpp))
    _check_is_file(path)
    slide = _open(path)
    width, height = slide.dimensions
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        slide.close()
        message = f"{path}: its header declares {width} x {height} px, more than any slide has; the file is damaged"
        raise SlideError(message)
    slide.mpp = known or slide.mpp or default
    if slide.mpp is not None:
        slide.concerns = (*slide.concerns, *size_concerns(slide.mpp, slide.dimensions))
    return slide


def _check_sizes(path: Path) -> None:
    """Refuse a TIFF that claims to be huge: OpenSlide allocates gigabytes for it on opening."""
    if not _is_tiff(path):
        return
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page for page in file.pages[:MAX_PAGES] if isinstance(page, tifffile.TiffPage)]
            sizes: list[tuple[object, object]] = [(page.imagewidth, page.imagelength) for page in pages]
    except Exception:  # the slide boundary: damaged in any way; the slide reader that opens it next says how
        logger.debug("%s: its directories cannot be read", path, exc_info=True)
        return
    for width, height in sizes:
        # A tag whose count is damaged is several numbers.
        if not (isinstance(width, int) and isinstance(height, int)) or max(width, height) > MAX_SIDE:
            message = f"{path}: its header declares {width} x {height} px, more than any slide has; the file is damaged"
            raise SlideError(message)


def _open(path: Path) -> OpenSlideSlide | TiffSlide | ArraySlide:
    _check_sizes(path)
    try:
        return OpenSlideSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        picture = picture_format(path)
        if picture is not None:
            return open_picture(path, picture)
        if not _is_tiff(path):
            message = f"{path}: not a slide: OpenSlide does not know this format and it is not a TIFF, JPEG or PNG"
            raise SlideError(message) from error
    except openslide.OpenSlideError as error:
        if not _is_tiff(path):
            message = f"{path}: OpenSlide cannot read this slide: {error}"
            raise SlideError(message) from error
    return TiffSlide(path)


def _check_is_file(path: Path) -> None:
    with as_slide_errors(path):
        if path.is_dir():
            message = f"{path}: a folder, not a slide; name the slide file in it"
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


def content_now(path: Path) -> str:
    """What the files of a slide hold, from `content_of`; of one that can be opened.

    Raises:
        SlideError: a file cannot be read.
    """
    with as_slide_errors(path):
        return content_of(slide_parts(path))


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in TIFF_SIGNATURES

"""Slides of several files of which some are missing, and files that hold no more than a picture of their slide.

What is left can often be opened: as an overview that looks like a slide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from signetscan.errors import SlideError
from signetscan.suffixes import SLIDE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OVERVIEWS_ONLY = (".vsi",)
"""Suffixes of files that hold only overviews and lead to files in formats that no slide reader here knows."""
HAMAMATSU = (".vms", ".vmu")
"""Suffixes of text files that name the pictures of a slide."""
INDEX_BYTES = 1 << 20
"""Most bytes of such an index that are read; it takes some kilobytes."""
NAMED = re.compile(
    rb"^[ \t]*(?:ImageFile|MapFile|OptimisationFile|INDEXFILE|FILE_\d+)[^=\r\n]*=[ \t]*([^\r\n]*?)[ \t\r]*$",
    re.MULTILINE,
)
"""A line that names a picture."""


def check_companions(path: Path) -> None:
    """Refuse a file whose slide is mostly in other files, if these are missing or cannot be read.

    Raises:
        SlideError: they are; the message says which.
        OSError: an index cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in OVERVIEWS_ONLY:
        message = (
            f"{path}: Olympus VSI is not supported: the file itself holds only overviews of the slide, which is in a "
            "folder beside it. Export the slide as a tiled or OME-TIFF"
        )
        raise SlideError(message)
    if suffix == ".mrxs":
        index = path.with_suffix("") / "Slidedat.ini"
        if not index.is_file():
            folder = index.parent.name
            message = f"{path}: its folder {folder}, with {index.name} and the tiles, is not beside it; copy it too"
            raise SlideError(message)
        _refuse_missing(index, path)
    if suffix in HAMAMATSU:
        _refuse_missing(path, path)


def check_no_picture(path: Path, format_name: str) -> None:
    """Refuse a plain picture under the name of a slide: it is an overview or the rest of one.

    Raises:
        SlideError: its suffix is one that only slides have.
    """
    if path.suffix.lower() in SLIDE_SUFFIXES:
        message = (
            f"{path}: only a {format_name} picture, not a {path.suffix.upper()[1:]} slide; copy the slide again, with "
            f"its folder if it has one, or name the picture .{format_name.lower()} if it is one"
        )
        raise SlideError(message)


def _refuse_missing(index: Path, path: Path) -> None:
    missing = list(_missing(index))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        what = f"{missing[0][:80]}{more}, named in {index.name},"
        message = f"{path}: {what} is not beside it; copy all files of the slide"
        raise SlideError(message)


def _missing(index: Path) -> Iterator[str]:
    """Names of the files that an index names, and that are not beside it."""
    with index.open("rb") as file:
        head = file.read(INDEX_BYTES)
    for name in NAMED.findall(head):
        text = name.decode(errors="replace")
        if text and not (index.parent / text).is_file():
            yield text

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
LIST_BYTES = 1 << 16
"""Most bytes of such a list that are read; it takes a kilobyte."""
NAMED = re.compile(rb"^\s*(?:ImageFile|MapFile|OptimisationFile)[^=\r\n]*=[ \t]*([^\r\n]*?)[ \t]*$", re.MULTILINE)
"""A line that names a picture."""


def check_companions(path: Path) -> None:
    """Refuse a file whose slide is mostly in other files, if these are missing or cannot be read.

    Raises:
        SlideError: they are; the message says which.
    """
    suffix = path.suffix.lower()
    if suffix in OVERVIEWS_ONLY:
        message = (
            f"{path}: Olympus VSI is not supported: the file itself holds only overviews of the slide, which is in a "
            "folder beside it. Export the slide as a tiled or OME-TIFF"
        )
        raise SlideError(message)
    if suffix == ".mrxs":
        folder = path.with_suffix("")
        if not (folder / "Slidedat.ini").is_file():
            message = (
                f"{path}: its folder {folder.name}, with Slidedat.ini and the tiles in it, is not beside it; copy the "
                "folder too"
            )
            raise SlideError(message)
    if suffix in HAMAMATSU:
        missing = list(_missing(path))
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            message = f"{path}: {missing[0]}{more}, which it names, is not beside it; copy all files of its folder"
            raise SlideError(message)


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


def _missing(path: Path) -> Iterator[str]:
    """Names of the files that a list names, and that are not beside it."""
    with path.open("rb") as file:
        head = file.read(LIST_BYTES)
    for name in NAMED.findall(head):
        text = name.decode(errors="replace")
        if text and not (path.parent / text).is_file():
            yield text

"""The frame of an image's boxes: the pixels as they are stored, or the picture as its EXIF orientation turns it.

Some programs that draw boxes turn a picture by its EXIF orientation and others do not, so only the image's size in the
annotation file tells the frame. Where the size is another one altogether, the boxes are of another picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signetscan.dataset.images import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from signetscan.dataset.remarks import Remarks

OTHER_SIZE = "Images left out, because their boxes were drawn on an image of another size"
TURNED = (
    "Images left out, because they are to be turned by their EXIF orientation, and nothing says whether the boxes were "
    "drawn before or after that; save them upright, and check the boxes"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The frame of an image's boxes."""

    width: int
    """Width of the image, pixels."""
    height: int
    """Height of the image, pixels."""
    upright: bool
    """Whether the image is to be turned as its EXIF orientation says."""


def frame_of(
    path: Path, name: str, drawn_on: tuple[int, int] | None, remarks: Remarks, *, marked: bool
) -> Frame | None:
    """The frame of an image's boxes.

    Args:
        path: the image.
        name: name of the image, for remarks.
        drawn_on: width and height of the image by the annotation file; None if that does not say.
        remarks: collects why an image is left out.
        marked: whether there is any box or area, which would be of no use in the wrong frame.

    Returns:
        The frame; None if the image must be left out.

    Raises:
        AnnotationError: the file is not an image, or too large.
    """
    header = read_header(path)
    sizes = {upright: header.upright if upright else header.stored for upright in (header.always_upright, True)}
    if drawn_on is None or not marked:
        fitting = list(sizes)
    else:
        fitting = [upright for upright, size in sizes.items() if size == drawn_on]
    if marked and not fitting:
        width, height = sizes[header.always_upright]
        drawn = "" if drawn_on is None else f"{drawn_on[0]} x {drawn_on[1]}"
        remarks.add(OTHER_SIZE, f"{name} ({drawn} px by its annotations, {width} x {height} px by itself)")
        return None
    # Turned by a half, or square, an image has the same size either way. A TIFF is read upright only, but others may
    # have drawn on its pixels as they are stored.
    told = drawn_on is not None and header.stored != header.upright
    if marked and header.is_turned and not told:
        remarks.add(TURNED, name)
        return None
    upright = fitting[0]
    width, height = sizes[upright]
    return Frame(width=width, height=height, upright=upright and header.is_turned and not header.always_upright)

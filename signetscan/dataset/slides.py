"""Slides with the GeoJSON that QuPath exported for each beside it.

Only a part of a slide is ever annotated, so rectangles must say which: an annotation of the class `Region`,
`Region*`, `ROI` or `Positive region`, or of none, surrounds a part in which cells were boxed; one of the class `Normal`
or `Normal region` surrounds a part that holds none. Each becomes one image, or several if it is large; their pixels
are read from the slide when they are needed.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Unclassified, interpret
from signetscan.boxes import centres
from signetscan.dataset.file_pairs import by_stem, paired
from signetscan.dataset.images import MAX_PIXELS, AnnotatedImage, Place
from signetscan.dataset.options import MIN_SIDE
from signetscan.dataset.parsed import NO_LABEL, ParsedFolder, ParsedImage
from signetscan.dataset.qupath import boxes_around, read_counted, remark_marks
from signetscan.errors import AnnotationError, SlideError
from signetscan.slides import SlideAtMpp, open_slide, qupath_origin
from signetscan.slides.at_mpp import MAX_ENLARGEMENT
from signetscan.suffixes import SLIDE_SUFFIXES, TIFF_SUFFIXES, TRAINING_GEOJSON_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Region
    from signetscan.boxes import Box
    from signetscan.dataset.remarks import Remarks
    from signetscan.slides import Slide

MAX_SIDE = 2048
"""Largest side of an image cut from a slide, pixels: a larger region becomes several."""

LAYOUT = "slides with QuPath GeoJSON"

NO_REGION = (
    "no annotation says which part of a slide was looked through. In QuPath draw a rectangle around each part in which "
    "you boxed cells, of the class Region* or of none, and one of the class Normal around each part that holds no "
    "cell; then export all objects as GeoJSON to NAME.geojson beside the slide"
)


def is_slide(path: Path) -> bool:
    """Whether a file is a slide rather than an image: by its suffix; a TIFF if it has several levels or is huge."""
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return path.suffix.lower() in SLIDE_SUFFIXES
    try:
        with open_slide(path) as slide:
            return len(slide.level_dimensions) > 1 or math.prod(slide.dimensions) > MAX_PIXELS
    except SlideError:
        return False  # it will be named when it is read as an image


def read_slides(
    folder: Path, slides: dict[str, Path], files: Sequence[Path], mpp: float, remarks: Remarks
) -> ParsedFolder:
    """Read all annotations.

    Args:
        folder: the folder, for messages.
        slides: slides by their names without suffix.
        files: the GeoJSON files.
        mpp: size of the pixels of the images to cut, µm.
        remarks: takes what was left out.

    Raises:
        AnnotationError: a file cannot be used, or no region is marked; the message says how to mark one.
        SlideError: a slide cannot be opened.
    """
    parsed = ParsedFolder(layout=LAYOUT)
    for path, file in paired(slides, by_stem(files, TRAINING_GEOJSON_SUFFIXES), remarks):
        with open_slide(path) as slide:
            images, outside = _read_slide(path, slide, file, mpp, remarks)
        parsed.images += images
        parsed.outside[file.name] = outside
        if not images:
            remarks.add("Slides left out, without a region that was annotated", path.name)
    if not parsed.images:
        message = f"{folder}: {NO_REGION}"
        raise AnnotationError(message)
    return parsed


def _read_slide(
    path: Path, slide: Slide, file: Path, mpp: float, remarks: Remarks
) -> tuple[list[ParsedImage], Counter[str]]:
    """Images of all regions, and the classes of the objects outside of them."""
    scale = np.array(view_of(path, slide, mpp).scale)
    read = read_counted(file, remarks).moved(*qupath_origin(slide, crop_to_bounds=True))
    marked = interpret(read, (mpp / scale[0], mpp / scale[1]), Unclassified.REGION)
    remark_marks(marked, file.name, remarks)
    boxes, ignored = (each / np.tile(scale, 2) for each in (marked.cells.boxes, boxes_around(marked.ignored)))
    names = np.array(marked.cells.names, np.object_)
    inside = np.zeros(len(boxes), np.bool_)
    images = []
    for region in sorted(marked.regions, key=region_order):
        edges = region_edges(region, slide, scale)
        if min(edges[2] - edges[0], edges[3] - edges[1]) < MIN_SIDE:
            remarks.add(f"Regions left out, outside their slide or thinner than {MIN_SIDE} px in it", file.name)
            continue
        if region.normal and not region.is_rectangle:
            remarks.add("Normal regions that are no rectangles: all of the rectangle around each counts", file.name)
        inside |= centres_within(boxes, edges)
        for piece in pieces(edges, MAX_SIDE):
            x0, y0, x1, y1 = piece
            here = centres_within(boxes, piece)
            image = AnnotatedImage(
                path=path,
                width=x1 - x0,
                height=y1 - y0,
                boxes=boxes[here] - (x0, y0, x0, y0),
                labels=np.full(int(here.sum()), NO_LABEL, np.int64),
                ignored=ignored[touching(ignored, piece)] - (x0, y0, x0, y0),
                normal=region.normal,
                slide=path.stem,
                place=Place(x0, y0, mpp),
            )
            where = f"{file.name} in {' '.join(f'{edge:g}' for edge in region.box)}"
            images.append(ParsedImage(image=image, names=tuple(names[here].tolist()), file=file.name, region=where))
    return images, Counter(names[~inside].tolist())


def region_order(region: Region) -> tuple[Box, bool, bool]:
    """Sorts regions from left to right."""
    return region.box, region.normal, region.is_rectangle


def view_of(path: Path, slide: Slide, mpp: float) -> SlideAtMpp:
    """The slide at the data set's mpp.

    Raises:
        AnnotationError: its pixels are of unknown size, or too coarse.
    """
    if slide.mpp is None:
        message = (
            f"{path}: does not say how large its pixels are, and a data set has one mpp for all slides; convert it to "
            "a format that says it, or cut images from it"
        )
        raise AnnotationError(message)
    coarse = max(slide.mpp.x, slide.mpp.y)
    if coarse > mpp * MAX_ENLARGEMENT:
        message = (
            f"{path}: its pixels are {coarse:g} µm wide, too coarse for a data set at {mpp:g} µm/px; leave the slide "
            "out, or choose a larger mpp"
        )
        raise AnnotationError(message, options=("mpp", "image_mpp"))
    return SlideAtMpp(slide, mpp)


def region_edges(region: Region, slide: Slide, scale: NDArray[np.float64]) -> tuple[int, int, int, int]:
    """A region in whole pixels of the data set's mpp, cut to the slide; it may be empty."""
    corners = np.array(region.box).reshape(2, 2)
    whole = np.rint(np.clip(corners, 0, slide.dimensions) / scale).astype(np.int64)
    x0, y0, x1, y1 = np.minimum(whole, np.floor(slide.dimensions / scale).astype(np.int64)).ravel().tolist()
    return x0, y0, x1, y1


def centres_within(boxes: NDArray[np.float64], edges: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which boxes have their centre inside, so that of pieces side by side only one has each box."""
    x, y = centres(boxes).T
    inside: NDArray[np.bool_] = (x >= edges[0]) & (x < edges[2]) & (y >= edges[1]) & (y < edges[3])
    return inside


def touching(boxes: NDArray[np.float64], edges: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which boxes, (N,), have a part inside."""
    return np.asarray(((boxes[:, :2] < edges[2:]) & (boxes[:, 2:] > edges[:2])).all(axis=1))


def pieces(edges: tuple[int, int, int, int], side: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a region into as few pieces of about the same size as can be, no side of which is longer than `side`."""
    columns, rows = (_cuts(edges[axis], edges[axis + 2], side) for axis in (0, 1))
    for y0, y1 in pairwise(rows):
        for x0, x1 in pairwise(columns):
            yield x0, y0, x1, y1


def _cuts(start: int, end: int, side: int) -> list[int]:
    count = -(-(end - start) // side)
    return [start + (end - start) * number // count for number in range(count + 1)]

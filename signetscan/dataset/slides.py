"""Parser of folders of slides with QuPath's GeoJSON beside each.

Nobody annotates a whole slide, so rectangles must show the annotated parts: an annotation of the class `Region`,
`Region*`, `ROI` or `Positive region`, or without a class, surrounds a part in which cells were boxed; one of the class
`Normal` or `Normal region` surrounds a part without cells. Each becomes one image, or several if it is large; pixels
are read from the slide when they are needed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from signetscan.annotations import Unclassified, interpret
from signetscan.annotations.marks import by_people
from signetscan.annotations.objects import in_any
from signetscan.boxes import centres
from signetscan.dataset.images import AnnotatedImage, Place
from signetscan.dataset.options import MIN_SIDE
from signetscan.dataset.parsed import NO_LABEL, ParsedFolder, ParsedImage
from signetscan.dataset.qupath import boxes_around, read_counted, remark_marks
from signetscan.dataset.rectangles_inside import rectangles_inside
from signetscan.dataset.remarks import remark_concerns
from signetscan.dataset.same_slide import check_same_slide
from signetscan.errors import AnnotationError
from signetscan.slides import SlideAtMpp, open_slide, qupath_origin
from signetscan.slides.at_mpp import MAX_ENLARGEMENT
from signetscan.suffixes import TRAINING_GEOJSON_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from signetscan.annotations import Annotations, MarkedObjects, Region
    from signetscan.boxes import Box
    from signetscan.dataset.found import FoundFiles
    from signetscan.dataset.remarks import Remarks
    from signetscan.slides import Slide

    Edges = tuple[int, int, int, int]

MAX_SIDE = 2048
"""Largest side of an image cut from a slide, pixels: a larger region becomes several."""

LAYOUT = "slides with QuPath GeoJSON"

NO_REGION = (
    "no annotation shows which parts of a slide were looked through. In QuPath, draw a rectangle around each part in "
    "which you boxed cells, with the class Region* or without a class, and one of the class Normal around each part "
    "without cells; then export all objects as GeoJSON to NAME.geojson beside the slide"
)
"""Message for slides without regions."""


def has_slides(found: FoundFiles) -> bool:
    """Whether a slide has a GeoJSON file of its name."""
    slides = found.slides_by_key()
    return any(found.key(path, TRAINING_GEOJSON_SUFFIXES) in slides for path in found.geojson)


def read_slides(found: FoundFiles, mpp: float, remarks: Remarks) -> ParsedFolder:
    """Read all annotations.

    Args:
        found: the files of the folder.
        mpp: size of the pixels of the images to cut, µm.
        remarks: collects what was left out.

    Raises:
        AnnotationError: a file cannot be used, or no region is marked; the message says how to mark one.
        SlideError: a slide cannot be opened.
    """
    parsed = ParsedFolder(layout=LAYOUT)
    files = found.by_key(found.geojson, TRAINING_GEOJSON_SUFFIXES)
    for path, file in found.paired(found.slides_by_key(), files, remarks):
        name = found.name(file)
        with open_slide(path) as slide:
            remark_concerns(slide, found.name(path), remarks)
            check_same_slide(file, slide, path, remarks)
            annotations = read_counted(file, name, remarks).moved(*qupath_origin(slide, crop_to_bounds=True))
            view = view_of(path, slide, mpp)
            images, outside = _read_slide(path, view, mpp, annotations, name, remarks)
        slide_name = PurePosixPath(found.name(path)).with_suffix("").as_posix()
        parsed.images += [replace(image, image=replace(image.image, slide=slide_name)) for image in images]
        parsed.outside[name] = outside
        if not images:
            remarks.add("Slides left out, without an annotated region", found.name(path))
    if not parsed.images:
        message = f"{found.root}: {NO_REGION}"
        raise AnnotationError(message)
    return parsed


def _read_slide(
    path: Path, view: SlideAtMpp, mpp: float, annotations: Annotations, file: str, remarks: Remarks
) -> tuple[list[ParsedImage], Counter[str]]:
    """Images of all regions, and the classes of the objects outside of them."""
    scale = np.array(view.scale)
    marked = interpret(annotations, (mpp / scale[0], mpp / scale[1]), Unclassified.REGION)
    remark_marks(marked, file, remarks)
    cells = _confirmed(marked, file, remarks)
    boxes = cells.boxes / np.tile(scale, 2)
    ignored = boxes_around(marked.ignored) / np.tile(scale, 2)
    names = np.array(cells.names, np.object_)
    inside = np.zeros(len(boxes), np.bool_)
    images: list[ParsedImage] = []
    for region in sorted((*marked.regions, *marked.reviewed), key=region_order):
        edges = region_edges(region, view.slide, scale)
        if min(edges[2] - edges[0], edges[3] - edges[1]) < MIN_SIDE:
            remarks.add(f"Regions left out, outside their slide or thinner than {MIN_SIDE} px in it", file)
            continue
        inside |= centres_within(boxes, edges)
        is_clear = region.normal and not centres_within(boxes, edges).any()
        parts = normal_parts(region, edges, view.scale, remarks, file) if is_clear else pieces(edges, MAX_SIDE)
        for piece in parts:
            x0, y0, x1, y1 = piece
            within = centres_within(boxes, piece)
            image = AnnotatedImage(
                path=path,
                width=x1 - x0,
                height=y1 - y0,
                boxes=boxes[within] - (x0, y0, x0, y0),
                labels=np.full(int(within.sum()), NO_LABEL, np.int64),
                ignored=ignored[touching(ignored, piece)] - (x0, y0, x0, y0),
                normal=region.normal,
                slide=path.stem,
                place=Place(x0, y0, mpp),
            )
            region_name = f"{file} in {' '.join(f'{edge:g}' for edge in region.box)}"
            images.append(ParsedImage(image=image, names=tuple(names[within].tolist()), file=file, region=region_name))
    return images, Counter(names[~inside].tolist())


def _confirmed(marked: MarkedObjects, file: str, remarks: Remarks) -> Annotations:
    """The cells without the detections that nobody confirmed: those in reviewed regions, but not in positive ones."""
    cells = marked.cells
    middle = centres(cells.boxes)
    positive = [region for region in marked.regions if not region.normal]
    undecided = ~by_people(cells) & in_any(marked.reviewed, middle) & ~in_any(positive, middle)
    remarks.add("Detections left out, because nobody said that they are cells", file, int(undecided.sum()))
    return cells.select(~undecided)


def region_order(region: Region) -> tuple[Box, bool, bool]:
    """Key that sorts regions from left to right."""
    return region.box, region.normal, region.is_rectangle


def view_of(path: Path, slide: Slide, mpp: float) -> SlideAtMpp:
    """The slide at the data set's mpp.

    Raises:
        AnnotationError: the slide's mpp is unknown or too coarse.
    """
    if slide.mpp is None:
        message = (
            f"{path}: has no mpp, which a slide in a data set needs; convert it to a format that stores the mpp, or "
            "cut images from it"
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


def region_edges(region: Region, slide: Slide, scale: NDArray[np.float64]) -> Edges:
    """Edges of a region in whole pixels of the data set's mpp, clipped to the slide; it may be empty."""
    corners = np.array(region.box).reshape(2, 2)
    whole = np.rint(np.clip(corners, 0, slide.dimensions) / scale).astype(np.int64)
    x0, y0, x1, y1 = np.minimum(whole, np.floor(slide.dimensions / scale).astype(np.int64)).ravel().tolist()
    return x0, y0, x1, y1


def normal_parts(
    region: Region, edges: Edges, scale: tuple[float, float], remarks: Remarks, name: str = ""
) -> Iterator[Edges]:
    """Edges of the images of a normal region, view pixels; of one that is no rectangle, of rectangles inside it.

    Args:
        region: the region, level-0 pixels.
        edges: the rectangle around it on the slide, view pixels.
        scale: level-0 pixels per view pixel, x and y.
        remarks: collects what was left out.
        name: name of the region's file for remarks; empty if it needs none.
    """
    if not region.is_rectangle:
        remarks.add("Normal regions that are no rectangles: only rectangles inside them count", name)
    for rectangle in rectangles_inside(region, edges, scale, MIN_SIDE):
        yield from pieces(rectangle, MAX_SIDE)


def centres_within(boxes: NDArray[np.float64], edges: Edges) -> NDArray[np.bool_]:
    """Which boxes, (N,), have their centre inside; so each box belongs to one of several adjoining pieces."""
    x, y = centres(boxes).T
    inside: NDArray[np.bool_] = (x >= edges[0]) & (x < edges[2]) & (y >= edges[1]) & (y < edges[3])
    return inside


def touching(boxes: NDArray[np.float64], edges: Edges) -> NDArray[np.bool_]:
    """Which boxes, (N,), lie inside at least in part."""
    return np.asarray(((boxes[:, :2] < edges[2:]) & (boxes[:, 2:] > edges[:2])).all(axis=1))


def pieces(edges: Edges, side: int) -> Iterator[Edges]:
    """Cut a region into as few pieces of about the same size as possible, with no side longer than `side`."""
    columns, rows = (_cuts(edges[axis], edges[axis + 2], side) for axis in (0, 1))
    for y0, y1 in pairwise(rows):
        for x0, x1 in pairwise(columns):
            yield x0, y0, x1, y1


def _cuts(start: int, end: int, side: int) -> list[int]:
    count = -(-(end - start) // side)
    return [start + (end - start) * number // count for number in range(count + 1)]

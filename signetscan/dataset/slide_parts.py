"""The parts of a slide that become training images, by a reviewer's corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from signetscan.dataset.classes import MIN_BOX_SIDE
from signetscan.dataset.corrections import inside
from signetscan.dataset.options import MIN_SIDE
from signetscan.dataset.qupath import boxes_around
from signetscan.dataset.slides import MAX_SIDE, centres_within, pieces, region_edges, touching
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.dataset.corrections import Corrections
    from signetscan.dataset.remarks import Remarks
    from signetscan.slides import SlideAtMpp

    Edges = tuple[int, int, int, int]

MAX_IMAGES = 1000
"""Most images of one slide, about 10 GB: nobody looks through regions that need more cell by cell."""


class SlidePart(NamedTuple):
    """A part of the slide that becomes an image."""

    edges: Edges
    """x0, y0, x1, y1, view pixels."""
    boxes: NDArray[np.float64]
    """(N, 4), cells, pixels of the image."""
    names: tuple[str, ...]
    """Class of each cell."""
    normal: bool
    """Whether it has no cell."""
    ignored: NDArray[np.float64]
    """(M, 4), ignored areas, pixels of the image; they may reach over its edges."""


def slide_parts(
    view: SlideAtMpp, corrections: Corrections, remarks: Remarks, *, window: int, rejected_windows: bool
) -> list[SlidePart]:
    """All images of a slide.

    Args:
        view: the slide, at the mpp of the data set.
        corrections: the reviewer's corrections of its objects.
        remarks: collects what was left out.
        window: longest side of an image if no positive region was drawn, view pixels.
        rejected_windows: whether a window in which everything was rejected is a normal image.

    Raises:
        AnnotationError: there are too many images.
    """
    scale = np.array(view.scale)
    in_level0 = (corrections.cells, corrections.rejected, corrections.unsure, boxes_around(corrections.ignored))
    cells, rejected, unsure, ignored = (boxes / np.tile(scale, 2) for boxes in in_level0)
    names = np.array(corrections.names, np.object_)
    chosen: dict[Edges, SlidePart] = {}  # by edges, because a region that was drawn twice must not give two images
    for edges, normal in _parts_of_regions(view, corrections, cells, remarks):
        part = _part(edges, cells, names, ignored, remarks, normal=normal)
        if normal or part.names:
            chosen.setdefault(edges, part)
        else:
            remarks.add("Parts of positive regions left out, without a cell: nothing is learnt from them", "")
    if any(not region.normal for region in corrections.regions):
        for kind, boxes in (("Cells", corrections.cells), ("Rejected objects", corrections.rejected)):
            remarks.add(f"{kind} left out, outside all regions", "", int((~inside(boxes, corrections.regions)).sum()))
    else:
        outside = ~inside(corrections.rejected, corrections.regions)
        for edges, normal in _windows(
            view, (cells, rejected[outside], unsure), window, remarks, rejected_windows=rejected_windows
        ):
            part = _part(edges, cells, names, ignored, remarks, normal=normal)
            if normal or part.names:
                chosen.setdefault(edges, part)
    if len(chosen) > MAX_IMAGES:
        message = (
            f"its regions give {len(chosen)} images, more than {MAX_IMAGES}; draw smaller regions around the parts "
            "that you looked through"
        )
        raise AnnotationError(message)
    return list(chosen.values())


def _parts_of_regions(
    view: SlideAtMpp, corrections: Corrections, cells: NDArray[np.float64], remarks: Remarks
) -> Iterator[tuple[Edges, bool]]:
    """Edges of the images of regions, and whether they are normal. A region with a cell in it is not."""
    for region in corrections.regions:
        edges = region_edges(region, view.slide, np.array(view.scale))
        if min(edges[2] - edges[0], edges[3] - edges[1]) < MIN_SIDE:
            remarks.add(f"Regions left out, outside the slide or thinner than {MIN_SIDE} px in it", "")
            continue
        normal = region.normal and not centres_within(cells, edges).any()
        if region.normal and not normal:
            remarks.add("Regions declared normal, but with cells in them: taken for positive ones", "")
        elif normal and not region.is_rectangle:
            remarks.add("Normal regions that are no rectangles: all of the rectangle around each counts", "")
        for part in pieces(edges, MAX_SIDE):
            yield part, normal


def _windows(
    view: SlideAtMpp,
    boxes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    window: int,
    remarks: Remarks,
    *,
    rejected_windows: bool,
) -> Iterator[tuple[Edges, bool]]:
    """Edges of the images of a slide without positive regions, and whether they are normal.

    The whole slide is cut into windows. Those with the centre of a cell are kept. A window with rejected objects is
    normal if no cell, and no detection about which nobody decided, reaches into it.

    Args:
        view: the slide, at the mpp of the data set.
        boxes: boxes of cells, of rejected objects, and of undecided detections, view pixels.
        window: longest side of a window, view pixels.
        remarks: collects what was left out.
        rejected_windows: whether there are normal windows at all.
    """
    cells, rejected, unsure = boxes
    width, height = np.floor(np.array(view.slide.dimensions) / view.scale).astype(int).tolist()
    for edges in pieces((0, 0, width, height), window):
        if centres_within(cells, edges).any():
            yield edges, False
        elif number := int(centres_within(rejected, edges).sum()):
            if rejected_windows and not touching(np.concatenate([cells, unsure]), edges).any():
                remarks.add("Windows in which everything was rejected, taken for normal images", "")
                yield edges, True
            else:
                remarks.add("Rejected objects left out, in windows that are not taken for normal", "", number)


def _part(
    edges: Edges,
    cells: NDArray[np.float64],
    names: NDArray[np.object_],
    ignored: NDArray[np.float64],
    remarks: Remarks,
    *,
    normal: bool,
) -> SlidePart:
    """An image with the cells whose centre lies in it, clipped at its edges."""
    x0, y0, x1, y1 = edges
    within = centres_within(cells, edges)
    boxes = np.clip(cells[within] - (x0, y0, x0, y0), 0, (x1 - x0, y1 - y0) * 2)
    solid = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    remarks.add(f"Cells left out, thinner than {MIN_BOX_SIDE:g} px in their image", "", int((~solid).sum()))
    return SlidePart(
        edges,
        boxes[solid],
        tuple(names[within][solid].tolist()),
        normal,
        ignored[touching(ignored, edges)] - (x0, y0, x0, y0),
    )

"""The parts of a slide that become training images, by a reviewer's corrections.

A part is learnt as one without cells only where a person said so: in a normal region, or where everything was rejected
in a region that was looked through. That nothing is marked somewhere says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from signetscan.boxes import centre_in_any
from signetscan.dataset.classes import MIN_BOX_SIDE
from signetscan.dataset.options import MIN_SIDE
from signetscan.dataset.qupath import boxes_around
from signetscan.dataset.rectangles_inside import rectangles_inside
from signetscan.dataset.slides import MAX_SIDE, centres_within, normal_parts, pieces, region_edges, touching
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.annotations import Region
    from signetscan.dataset.corrections import Corrections
    from signetscan.dataset.remarks import Remarks
    from signetscan.slides import SlideAtMpp

    Boxes = NDArray[np.float64]
    Edges = tuple[int, int, int, int]

MAX_IMAGES = 1000
"""Most images of one slide, about 10 GB: nobody looks through regions that need more cell by cell."""


class SlidePart(NamedTuple):
    """A part of the slide that becomes an image."""

    edges: Edges
    """x0, y0, x1, y1, view pixels."""
    boxes: Boxes
    """(N, 4), cells, pixels of the image."""
    names: tuple[str, ...]
    """Class of each cell."""
    normal: bool
    """Whether it has no cell."""
    ignored: Boxes
    """(M, 4), ignored areas, pixels of the image; they may reach over its edges."""


class _InView(NamedTuple):
    """A slide's corrections in view pixels."""

    cells: Boxes
    names: NDArray[np.object_]
    rejected: Boxes
    undecided: Boxes
    unfit: Boxes
    ignored: Boxes


def slide_parts(
    view: SlideAtMpp, corrections: Corrections, remarks: Remarks, *, window: int, rejected_windows: bool
) -> list[SlidePart]:
    """All images of a slide.

    Args:
        view: the slide, at the mpp of the data set.
        corrections: the reviewer's corrections of its objects.
        remarks: collects what was left out.
        window: longest side of an image if no positive or reviewed region was drawn, view pixels.
        rejected_windows: whether a part of a reviewed region in which everything was rejected is a normal image.

    Raises:
        AnnotationError: there are too many images.
    """
    marks = _in_view(view, corrections)
    chosen: dict[Edges, SlidePart] = {}  # by edges, because a region that was drawn twice must not give two images
    for edges, normal in _all_parts(view, corrections, marks, remarks, window, rejected_windows=rejected_windows):
        part = _part(edges, marks, remarks, normal=normal)
        if normal or part.names:
            chosen.setdefault(edges, part)
        else:
            remarks.add("Parts of positive regions left out, without a cell: nothing is learnt from them", "")
    if len(chosen) > MAX_IMAGES:
        message = (
            f"its regions give {len(chosen)} images, more than {MAX_IMAGES}; draw smaller regions around the parts "
            "that you looked through"
        )
        raise AnnotationError(message)
    return list(chosen.values())


def _in_view(view: SlideAtMpp, corrections: Corrections) -> _InView:
    scale = np.tile(np.array(view.scale), 2)
    return _InView(
        cells=corrections.cells / scale,
        names=np.array(corrections.names, np.object_),
        rejected=corrections.rejected / scale,
        undecided=corrections.undecided / scale,
        unfit=corrections.unfit / scale,
        ignored=boxes_around(corrections.ignored) / scale,
    )


def _all_parts(
    view: SlideAtMpp,
    corrections: Corrections,
    marks: _InView,
    remarks: Remarks,
    window: int,
    *,
    rejected_windows: bool,
) -> Iterator[tuple[Edges, bool]]:
    """Edges of all images, and whether they are normal."""
    yield from _parts_of_regions(view, corrections.regions, marks, remarks)
    yield from _parts_of_reviewed(view, corrections.reviewed, marks, remarks, rejected_windows=rejected_windows)
    looked_through = boxes_around((*corrections.regions, *corrections.reviewed))
    rejected_outside = ~centre_in_any(corrections.rejected, looked_through)
    if corrections.reviewed or any(not region.normal for region in corrections.regions):
        cells_outside = ~centre_in_any(corrections.cells, looked_through)
        for kind, outside in (("Cells", cells_outside), ("Rejected objects", rejected_outside)):
            remarks.add(f"{kind} left out, outside all regions", "", int(outside.sum()))
    else:
        yield from _windows(view, marks._replace(rejected=marks.rejected[rejected_outside]), window, remarks)


def _parts_of_regions(
    view: SlideAtMpp, regions: tuple[Region, ...], marks: _InView, remarks: Remarks
) -> Iterator[tuple[Edges, bool]]:
    """Edges of the images of positive and normal regions, and whether they are normal.

    A region with a cell in it is not, and one with an object that may be a cell is neither.
    """
    for region in regions:
        edges = _edges_of(view, region, remarks)
        if edges is None:
            continue
        has_cells = bool(centres_within(marks.cells, edges).any())
        if region.normal and not has_cells:
            if touching(marks.unfit, edges).any():
                what = "Normal regions left out, because somebody drew in them what may be a cell"
                remarks.add(f"{what}: nothing is learnt from them", "")
            else:
                yield from ((part, True) for part in normal_parts(region, edges, view.scale, remarks))
            continue
        if region.normal:
            remarks.add("Regions declared normal, but with cells in them: taken for positive ones", "")
        yield from ((part, False) for part in pieces(edges, MAX_SIDE))


def _parts_of_reviewed(
    view: SlideAtMpp, regions: tuple[Region, ...], marks: _InView, remarks: Remarks, *, rejected_windows: bool
) -> Iterator[tuple[Edges, bool]]:
    """Edges of the images of reviewed regions, and whether they are normal.

    Parts with cells are kept. A part is normal if something was rejected in it, and nothing that is or may be a cell
    reaches into it. All other parts are left out, because a slide that was looked through is mostly glass.
    """
    may_be_cells = np.concatenate([marks.cells, marks.undecided, marks.unfit])
    for region in regions:
        edges = _edges_of(view, region, remarks)
        if edges is None:
            continue
        positive = [part for part in pieces(edges, MAX_SIDE) if centres_within(marks.cells, part).any()]
        yield from ((part, False) for part in positive)
        for rectangle in rectangles_inside(region, edges, view.scale, MIN_SIDE):
            for part in pieces(rectangle, MAX_SIDE):
                if centres_within(marks.cells, part).any():
                    continue
                rejected = int(centres_within(marks.rejected, part).sum())
                if rejected and rejected_windows and not touching(may_be_cells, part).any():
                    remarks.add("Parts of reviewed regions in which all was rejected, taken for normal images", "")
                    yield part, True
                elif rejected:
                    remarks.add("Rejected objects left out, in parts that are not taken for normal", "", rejected)
                else:
                    remarks.add("Parts of reviewed regions left out, in which nobody marked anything", "")


def _edges_of(view: SlideAtMpp, region: Region, remarks: Remarks) -> Edges | None:
    """The edges of a region, view pixels; None if it is too thin."""
    edges = region_edges(region, view.slide, np.array(view.scale))
    if min(edges[2] - edges[0], edges[3] - edges[1]) >= MIN_SIDE:
        return edges
    remarks.add(f"Regions left out, outside the slide or thinner than {MIN_SIDE} px in it", "")
    return None


def _windows(view: SlideAtMpp, marks: _InView, window: int, remarks: Remarks) -> Iterator[tuple[Edges, bool]]:
    """Edges of the images of a slide of which nobody said what was looked through: the windows with a cell.

    None of them is normal: that a window has nothing but rejected objects does not say that anybody looked for others.
    """
    width, height = np.floor(np.array(view.slide.dimensions) / view.scale).astype(int).tolist()
    for edges in pieces((0, 0, width, height), window):
        if centres_within(marks.cells, edges).any():
            yield edges, False
            continue
        number = int(centres_within(marks.rejected, edges).sum())
        remarks.add("Rejected objects left out, where nobody said that all was looked through", "", number)


def _part(edges: Edges, marks: _InView, remarks: Remarks, *, normal: bool) -> SlidePart:
    """An image with the cells whose centre lies in it, clipped at its edges."""
    x0, y0, x1, y1 = edges
    within = centres_within(marks.cells, edges)
    boxes = np.clip(marks.cells[within] - (x0, y0, x0, y0), 0, (x1 - x0, y1 - y0) * 2)
    solid = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    remarks.add(f"Cells left out, thinner than {MIN_BOX_SIDE:g} px in their image", "", int((~solid).sum()))
    return SlidePart(
        edges,
        boxes[solid],
        tuple(marks.names[within][solid].tolist()),
        normal,
        marks.ignored[touching(marks.ignored, edges)] - (x0, y0, x0, y0),
    )

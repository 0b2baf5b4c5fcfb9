"""Which parts of a slide become training images, by what a reader said of its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from signetscan.dataset.classes import MIN_BOX_SIDE
from signetscan.dataset.corrections import inside
from signetscan.dataset.slides import MAX_SIDE, MIN_SIDE, area_edges, centres_within, pieces
from signetscan.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from signetscan.dataset.corrections import Corrections
    from signetscan.dataset.notes import Notes
    from signetscan.slides import SlideAtMpp

    Edges = tuple[int, int, int, int]

MAX_IMAGES = 1000
"""Most images of one slide, some 10 GB; regions that need more were not looked through cell by cell."""


class Piece(NamedTuple):
    """A part of the slide that becomes an image."""

    edges: Edges
    """x0, y0, x1, y1, view pixels."""
    boxes: NDArray[np.float64]
    """(N, 4), cells, pixels of the image."""
    names: tuple[str, ...]
    """Class of each cell."""
    normal: bool
    """Whether it holds no cell."""


def cut_pieces(
    view: SlideAtMpp, found: Corrections, notes: Notes, *, window: int, rejected_windows: bool
) -> list[Piece]:
    """All images of a slide.

    Args:
        view: the slide, at the mpp of the data set.
        found: what a reader said of its objects.
        notes: takes what was left out.
        window: longest side of an image where no region was drawn, view pixels.
        rejected_windows: whether a window in which all was rejected is a normal image.

    Raises:
        AnnotationError: there are too many.
    """
    scale = np.array(view.scale)
    cells, rejected, unsure = (boxes / np.tile(scale, 2) for boxes in (found.cells, found.rejected, found.unsure))
    names = np.array(found.names, np.object_)
    chosen: dict[Edges, Piece] = {}
    for edges, normal in _parts_of_areas(view, found, cells, notes):
        piece = _piece(edges, cells, names, notes, normal=normal)
        if normal or piece.names:
            chosen.setdefault(edges, piece)
        else:
            notes.add("Parts of positive regions left out, without a cell: nothing is learnt from them", "")
    if any(not area.normal for area in found.areas):
        for what, boxes in (("Cells", found.cells), ("Rejected objects", found.rejected)):
            notes.add(f"{what} left out, outside all regions", "", int((~inside(boxes, found.areas)).sum()))
    else:
        outside = ~inside(found.rejected, found.areas)
        for edges, normal in _windows(
            view, (cells, rejected[outside], unsure), window, notes, rejected_windows=rejected_windows
        ):
            piece = _piece(edges, cells, names, notes, normal=normal)
            if normal or piece.names:
                chosen.setdefault(edges, piece)
    if len(chosen) > MAX_IMAGES:
        message = f"its regions make {len(chosen)} images, more than {MAX_IMAGES}; draw smaller ones around what you "
        message += "looked through"
        raise AnnotationError(message)
    return list(chosen.values())


def _parts_of_areas(
    view: SlideAtMpp, found: Corrections, cells: NDArray[np.float64], notes: Notes
) -> Iterator[tuple[Edges, bool]]:
    """Where the images of regions lie, and whether they are normal. A region that holds a cell is not."""
    for area in found.areas:
        edges = area_edges(area, view.slide, np.array(view.scale))
        if min(edges[2] - edges[0], edges[3] - edges[1]) < MIN_SIDE:
            notes.add(f"Regions left out, outside the slide or thinner than {MIN_SIDE} px in it", "")
            continue
        normal = area.normal and not centres_within(cells, edges).any()
        if area.normal and not normal:
            notes.add("Regions declared normal, but with cells in them: taken for positive ones", "")
        elif normal and not area.is_rectangle:
            notes.add("Normal regions that are no rectangles: all of the rectangle around each counts", "")
        for part in pieces(edges, MAX_SIDE):
            yield part, normal


def _windows(
    view: SlideAtMpp,
    boxes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    window: int,
    notes: Notes,
    *,
    rejected_windows: bool,
) -> Iterator[tuple[Edges, bool]]:
    """Where images lie on a slide without positive regions: all of it is cut, and what has an object is kept.

    A window is normal where objects were rejected and no cell reaches into it, nor anything that may be one. The boxes
    are those of cells, of what was rejected, and of what may be either.
    """
    cells, rejected, unsure = boxes
    width, height = np.floor(np.array(view.slide.dimensions) / view.scale).astype(int).tolist()
    for edges in pieces((0, 0, width, height), window):
        if centres_within(cells, edges).any():
            yield edges, False
        elif number := int(centres_within(rejected, edges).sum()):
            if rejected_windows and not _touches(np.concatenate([cells, unsure]), edges):
                notes.add("Windows in which all was rejected, taken for normal images", "")
                yield edges, True
            else:
                notes.add("Rejected objects left out, in windows that are not taken for normal", "", number)


def _touches(boxes: NDArray[np.float64], edges: Edges) -> bool:
    return bool(((boxes[:, :2] < edges[2:]) & (boxes[:, 2:] > edges[:2])).all(axis=1).any())


def _piece(
    edges: Edges, cells: NDArray[np.float64], names: NDArray[np.object_], notes: Notes, *, normal: bool
) -> Piece:
    """An image with the cells whose centre lies in it, cut at its edges."""
    x0, y0, x1, y1 = edges
    own = centres_within(cells, edges)
    boxes = np.clip(cells[own] - (x0, y0, x0, y0), 0, (x1 - x0, y1 - y0) * 2)
    solid = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= MIN_BOX_SIDE
    notes.add(f"Cells left out, thinner than {MIN_BOX_SIDE:g} px in their image", "", int((~solid).sum()))
    return Piece(edges, boxes[solid], tuple(names[own][solid].tolist()), normal)

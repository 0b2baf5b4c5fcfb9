"""One field of view: tissue, look-alikes, and signet ring cells with their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.simulate.backdrop import draw_tissue
from signetscan.simulate.camera import photograph
from signetscan.simulate.canvas import TISSUE_STEP, nucleus
from signetscan.simulate.lookalikes import scatter_lookalikes
from signetscan.simulate.signet import draw_signet_cell, random_signet_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.camera import Camera
    from signetscan.simulate.canvas import Canvas
    from signetscan.simulate.stain import Stain

LEAST_VISIBLE = 0.4
"""A cell of which less than this share shows, because others lie over it or the edge cuts it, gets no box."""

REAL_LOOKALIKES = 0.35
"""Look-alikes on a real backdrop, as a share of those on a drawn one: it has its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """A picture and its truth."""

    image: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    boxes: NDArray[np.float64]
    """(N, 4), the boxes of all signet ring cells, image pixels."""


def render_field(
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    stain: Stain,
    camera: Camera,
    with_cells: bool,
    canvas: Canvas | None = None,
    tissue: NDArray[np.float32] | None = None,
) -> Field:
    """Draw a field.

    Args:
        rng: source of randomness; the field depends on nothing else but the arguments.
        size: width and height, pixels of 0.25 µm.
        stain: stain vectors, their strengths, and the glass.
        camera: the scanner.
        with_cells: whether it holds signet ring cells.
        canvas: tissue to draw on, such as a real image; drawn anew where there is none.
        tissue: (height, width), share of tissue at each pixel, 0 to 1; outside there is bare glass.
    """
    density = 1.0 if canvas is None else REAL_LOOKALIKES
    canvas = canvas or draw_tissue(rng, (size[1], size[0]))
    if tissue is not None:
        canvas.tissue &= tissue[::TISSUE_STEP, ::TISSUE_STEP] > 0.5
    scatter_lookalikes(canvas, density)
    areas = _scatter_signet_cells(canvas) if with_cells else {}
    if tissue is not None:
        canvas.amounts *= tissue
        canvas.owner[tissue < 0.5] = 0
    boxes = visible_boxes(canvas.owner, areas)
    return Field(image=photograph(rng, stain.to_rgb(canvas.amounts), camera), boxes=boxes)


def visible_boxes(owner: NDArray[np.int32], areas: dict[int, int]) -> NDArray[np.float64]:
    """The tight box of each cell that shows enough.

    Args:
        owner: (H, W), which cell shows at each pixel; 0 for none.
        areas: whole area of each cell, pixels.

    Returns:
        (N, 4), image pixels.
    """
    boxes = []
    places = ndimage.find_objects(owner, max_label=max(areas, default=0))
    for identity, area in areas.items():
        place = places[identity - 1]
        if not place:  # None, which scipy's types do not say: others cover this cell whole
            continue
        rows, columns = place
        if np.count_nonzero(owner[place] == identity) >= LEAST_VISIBLE * area:
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
    return np.array(boxes, np.float64).reshape(-1, 4)


def _scatter_signet_cells(canvas: Canvas) -> dict[int, int]:
    """Draw clusters and single cells; returns the whole area of each by its identity."""
    rng = canvas.rng
    megapixels = canvas.width * canvas.height / 1e6
    wanted = int(max(3, megapixels * rng.gamma(2.5, 34 / 2.5)))
    areas: dict[int, int] = {}
    centres: list[tuple[float, float, float]] = []
    for x, y in _places(rng, canvas, wanted):
        cell = random_signet_cell(rng, x, y)
        if not canvas.has_room(x, y):
            continue
        # Neighbours may share a wall or overlap a little, but do not lie in each other.
        if any(np.hypot(x - a, y - b) < 0.78 * (cell.radius + other) for a, b, other in centres):
            continue
        centres.append((x, y, cell.radius))
        identity = len(areas) + 1
        area = draw_signet_cell(canvas, cell, identity)
        areas[identity] = max(area, int(np.pi * cell.radius**2 * 0.9))
        if rng.random() < 0.12:  # half hidden under another nucleus
            turn, away = rng.uniform(0, 2 * np.pi), cell.radius * rng.uniform(0.6, 1.1)
            side = rng.uniform(26, 38)
            place = (x + np.cos(turn) * away, y + np.sin(turn) * away)
            nucleus(canvas, place, (side, side * 0.8), rng.uniform(0, 3), dark=rng.uniform(0.8, 1.2))
    return areas


def _places(rng: np.random.Generator, canvas: Canvas, wanted: int) -> list[tuple[float, float]]:
    """Where cells lie: crowded around a few centres, and some alone."""
    size = np.array([canvas.width, canvas.height])
    centres = rng.uniform(0, 1, (int(rng.integers(2, 8)), 2)) * size
    spread = rng.uniform(70, 260, len(centres))
    places = []
    for _ in range(wanted):
        if rng.random() < 0.2:
            place = rng.uniform(0, 1, 2) * size
        else:
            cluster = int(rng.integers(len(centres)))
            place = centres[cluster] + rng.normal(0, spread[cluster], 2)
        if (place >= 0).all() and (place < size).all():
            places.append((float(place[0]), float(place[1])))
    return places

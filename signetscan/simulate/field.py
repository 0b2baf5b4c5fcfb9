"""One field of view, with tissue, look-alikes, and signet ring cells with their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from signetscan.simulate.backdrop import draw_tissue
from signetscan.simulate.camera import photograph
from signetscan.simulate.canvas import TISSUE_STEP, nucleus
from signetscan.simulate.composed import compose_cells
from signetscan.simulate.decoys import scatter_decoys
from signetscan.simulate.lookalikes import scatter_lookalikes
from signetscan.simulate.signet import draw_signet_cell, random_signet_cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.camera import Camera
    from signetscan.simulate.canvas import Canvas
    from signetscan.simulate.composed import Family
    from signetscan.simulate.real_canvas import RealCanvas
    from signetscan.simulate.stain import Stain

LEAST_VISIBLE = 0.4
"""Least part of a cell that must be visible for it to get a box; other cells or the edge may cover the rest."""


FEWEST_NUCLEI = 3
"""Least number of nuclei that a real image must show for cells to swell beside them; else they are drawn on it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """An image and its ground truth."""

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
    cell_size: float = 1.0,
    tissue: NDArray[np.float32] | None = None,
) -> Field:
    """Draw a field.

    Args:
        rng: source of randomness; the field depends on nothing but the arguments.
        size: width and height, pixels of 0.25 µm.
        stain: stain vectors, their strengths, and the glass.
        camera: the scanner.
        with_cells: whether to draw signet ring cells.
        cell_size: size of the cells over the usual.
        tissue: (height, width), fraction of tissue at each pixel, 0 to 1; the rest is bare glass.
    """
    canvas = draw_tissue(rng, (size[1], size[0]))
    if tissue is not None:
        canvas.tissue &= tissue[::TISSUE_STEP, ::TISSUE_STEP] > 0.5
    scatter_lookalikes(canvas)
    areas = _scatter_signet_cells(canvas, cell_size) if with_cells else {}
    if tissue is not None:
        canvas.amounts *= tissue
        canvas.owner[tissue < 0.5] = 0
    boxes = visible_boxes(canvas.owner, areas)
    return Field(image=photograph(rng, stain.to_rgb(canvas.amounts), camera), boxes=boxes)


def compose_field(
    canvas: RealCanvas,
    *,
    stain: Stain,
    camera: Camera,
    with_cells: bool,
    with_decoys: bool = True,
    family: Family | None = None,
) -> Field:
    """Compose a field of real tissue.

    Args:
        canvas: the tissue; drawn on in place, with its source of randomness.
        stain: stain vectors, their strengths, and the glass.
        camera: the scanner.
        with_cells: whether signet ring cells swell in it.
        with_decoys: whether there are look-alikes besides those that the tissue has.
        family: the look of the cells; random if None.
    """
    if with_decoys:
        scatter_decoys(canvas)
    areas: dict[int, int] = {}
    if with_cells and len(canvas.nuclei.radii) >= FEWEST_NUCLEI:
        areas = compose_cells(canvas, family)
    elif with_cells:
        areas = _scatter_signet_cells(canvas, 1.0)
    boxes = visible_boxes(canvas.owner, areas)
    return Field(image=photograph(canvas.rng, stain.to_rgb(canvas.amounts), camera), boxes=boxes)


def visible_boxes(owner: NDArray[np.int32], areas: dict[int, int]) -> NDArray[np.float64]:
    """The tight box of each cell that is visible enough.

    Args:
        owner: (H, W), identity of the cell that is visible at each pixel; 0 for none.
        areas: full area of each cell by its identity, pixels.

    Returns:
        (N, 4), image pixels.
    """
    boxes: list[list[int]] = []
    slices = ndimage.find_objects(owner, max_label=max(areas, default=0))
    for identity, area in areas.items():
        window = slices[identity - 1]
        if not window:  # None, which is missing in scipy's types: other cells cover this one completely
            continue
        rows, columns = window
        if np.count_nonzero(owner[window] == identity) >= LEAST_VISIBLE * area:
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
    return np.array(boxes, np.float64).reshape(-1, 4)


def _scatter_signet_cells(canvas: Canvas, size: float) -> dict[int, int]:
    """Draw clusters and single cells, and return the full area of each by its identity."""
    rng = canvas.rng
    megapixels = canvas.width * canvas.height / 1e6
    count = int(max(3, megapixels * rng.gamma(2.5, 34 / 2.5)))  # 34 in a megapixel on average
    areas: dict[int, int] = {}
    centres: list[tuple[float, float, float]] = []
    for x, y in _positions(rng, canvas, count):
        cell = random_signet_cell(rng, x, y, size)
        if not canvas.has_room(x, y):
            continue
        # Neighbours may share a wall or overlap a little, but must not lie inside each other.
        if any(np.hypot(x - a, y - b) < 0.78 * (cell.radius + other) for a, b, other in centres):
            continue
        centres.append((x, y, cell.radius))
        identity = len(areas) + 1
        area = draw_signet_cell(canvas, cell, identity)
        # At the edge of the canvas only a part of a cell is drawn, so its full area is at least about a circle's.
        areas[identity] = max(area, int(np.pi * cell.radius**2 * 0.9))
        if rng.random() < 0.12:  # some are half hidden under another nucleus
            turn, away = rng.uniform(0, 2 * np.pi), cell.radius * rng.uniform(0.6, 1.1)
            side = rng.uniform(26, 38)
            centre = (x + np.cos(turn) * away, y + np.sin(turn) * away)
            nucleus(canvas, centre, (side, side * 0.8), rng.uniform(0, 3), dark=rng.uniform(0.8, 1.2))
    return areas


def _positions(rng: np.random.Generator, canvas: Canvas, count: int) -> list[tuple[float, float]]:
    """Positions of at most `count` cells: crowded around a few centres, and some alone."""
    size = np.array([canvas.width, canvas.height])
    centres = rng.uniform(0, 1, (int(rng.integers(2, 8)), 2)) * size
    spread = rng.uniform(70, 260, len(centres))
    positions: list[tuple[float, float]] = []
    for _ in range(count):
        if rng.random() < 0.2:
            position = rng.uniform(0, 1, 2) * size
        else:
            cluster = int(rng.integers(len(centres)))
            position = centres[cluster] + rng.normal(0, spread[cluster], 2)
        if (position >= 0).all() and (position < size).all():
            positions.append((float(position[0]), float(position[1])))
    return positions

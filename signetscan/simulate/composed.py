"""Signet ring cells composed into real tissue: a vacuole opens beside a real nucleus and presses it into a crescent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import HAEM, turned
from signetscan.simulate.mucin import fill_with_mucin, random_mucin
from signetscan.simulate.noise import log_uniform, step
from signetscan.simulate.nuclei import darkest, put_stamp
from signetscan.simulate.swelling import Vacuole, swell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.real_canvas import RealCanvas
    from signetscan.simulate.swelling import Opening

SMALLEST, LARGEST = 0.75, 2.0
"""Least and most size of a field's cells over the usual: fields differ more than the cells of one field."""
USUAL_RADIUS = 19.0
"""Radius of a vacuole in a field of usual cells, pixels of 0.25 µm; with its nucleus the cell is about 46 px wide."""
RIM_REACH = 1.9
"""Distance from the middle, in radii of the vacuole, beyond which a nucleus is not the cell's."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """What the cells of one field have in common."""

    size: float
    """Size of the cells over the usual."""
    mucin: NDArray[np.float64]
    """(5,), how common each kind of mucin is."""
    likeness: float
    """How much the mucin's amounts follow the tissue around, 0 to 1."""
    rim: float
    """Haematoxylin that a membrane has more than the mucin."""
    crowding: float
    """Part of the cells that lie in groups."""
    hidden: float
    """Part of the cells with a nucleus in front of them."""


def random_family(rng: np.random.Generator) -> Family:
    """The look of the cells of one field."""
    return Family(
        size=log_uniform(rng, SMALLEST, LARGEST),
        mucin=rng.dirichlet([0.5, 0.7, 1.2, 0.7, 0.3]),
        likeness=float(rng.uniform(0, 1)),
        rim=float(rng.uniform(0.0, 0.35)),
        crowding=float(rng.uniform(0.3, 1.0)),
        hidden=float(rng.uniform(0.0, 0.5)),
    )


def compose_cells(canvas: RealCanvas, family: Family | None = None) -> dict[int, int]:
    """Let signet ring cells of one family swell in a canvas.

    Returns:
        Full area of each by its identity, pixels.
    """
    rng = canvas.rng
    family = family or random_family(rng)
    megapixels = canvas.width * canvas.height / 1e6
    wanted = int(max(2, megapixels * rng.gamma(2.0, 30) / family.size))
    areas: dict[int, int] = {}
    taken: list[tuple[float, float, float]] = []
    for x, y, nucleus_radius in _places(canvas, family, wanted * 4):
        if len(areas) >= wanted:
            break
        radius = USUAL_RADIUS * family.size * float(np.clip(rng.normal(1, 0.17), 0.6, 1.5))
        angle = float(rng.uniform(-np.pi, np.pi))
        away = nucleus_radius * float(rng.uniform(0.6, 1.25))
        vacuole = Vacuole(
            x=x + np.cos(angle) * away,
            y=y + np.sin(angle) * away,
            radius=radius,
            aspect=float(rng.uniform(1.0, 1.5)),
            tilt=float(rng.uniform(0, np.pi)),
            wobble=float(rng.uniform(0.01, 0.06)),
        )
        # Neighbours may share a wall, but must not open inside each other.
        if any(np.hypot(vacuole.x - a, vacuole.y - b) < 0.9 * (radius + other) for a, b, other in taken):
            continue
        if not (0 <= vacuole.x < canvas.width and 0 <= vacuole.y < canvas.height):
            continue
        taken.append((vacuole.x, vacuole.y, radius))
        identity = len(areas) + 1
        areas[identity] = _compose_cell(canvas, vacuole, family, identity)
    return areas


def _places(canvas: RealCanvas, family: Family, count: int) -> list[tuple[float, float, float]]:
    """Nuclei (x, y, radius) beside which cells may swell: in groups, and some alone."""
    rng, nuclei = canvas.rng, canvas.nuclei
    usable = [i for i, (x, y) in enumerate(nuclei.centres) if canvas.has_room(x, y)]
    if not usable:
        return []
    order = rng.permutation(usable)[:count]
    middles = nuclei.centres[rng.choice(usable, int(rng.integers(1, 5)))]
    spread = USUAL_RADIUS * family.size * rng.uniform(1.5, 6)
    gaps = np.linalg.norm(nuclei.centres[order][:, None] - middles, axis=2).min(axis=1)
    # Sorted by the distance from a group's middle, with those that lie alone dealt in between.
    rank = np.where(rng.random(len(order)) < family.crowding, gaps, rng.uniform(0, 2 * spread + 1, len(order)))
    chosen = order[np.argsort(rank)]
    return [(float(nuclei.centres[i, 0]), float(nuclei.centres[i, 1]), float(nuclei.radii[i])) for i in chosen]


def _compose_cell(canvas: RealCanvas, vacuole: Vacuole, family: Family, identity: int) -> int:
    rng = canvas.rng
    number = _nucleus_at(canvas, vacuole)
    opening = swell(canvas, vacuole)
    if opening is None:
        return 0
    window = opening.window
    fill(canvas, opening, family)
    alpha = step(opening.depth, canvas.softness)
    if number and rng.random() < 0.8:
        _darken(canvas, opening, number, float(rng.uniform(1.0, 1.5)))
    labels = canvas.nuclei.labels[window.rows, window.columns]
    nucleus = (labels == number) & (opening.part > 1) & (opening.part < RIM_REACH) & bool(number)
    labels[alpha >= 0.5] = 0
    if nucleus.sum() < 25:
        nucleus = _copied_crescent(canvas, vacuole, opening)
    cell = (alpha >= 0.5) | nucleus
    canvas.claim(window, cell.astype(np.float32), identity)
    if rng.random() < family.hidden:
        _half_hide(canvas, vacuole)
    return max(int(cell.sum()), int(np.pi * vacuole.radius**2))


def fill(canvas: RealCanvas, opening: Opening, family: Family) -> None:
    """Fill an opening with mucin, and give it the membrane of its field's cells."""
    rng, window, depth = canvas.rng, opening.window, opening.depth
    mucin = random_mucin(rng, family.mucin, family.likeness, canvas.around(window, opening.part))
    alpha = step(depth, canvas.softness)
    fill_with_mucin(canvas, window, alpha, depth, mucin)
    width = float(rng.uniform(0.8, 1.8)) + 0.4 * canvas.softness
    rim = np.exp(-(((depth - 0.5) / width) ** 2)) * (1 + 0.3 * canvas.grain(window))
    strength = family.rim * float(rng.uniform(0.3, 1.5))
    canvas.add(window, np.clip(rim, 0, None), strength, 0.5 * strength)


def _nucleus_at(canvas: RealCanvas, vacuole: Vacuole) -> int:
    """Number of the nucleus that lies at a vacuole's middle, or most of it near there; 0 for none."""
    window = canvas.window(vacuole.x, vacuole.y, vacuole.radius * 0.9)
    if window is None:
        return 0
    labels = canvas.nuclei.labels[window.rows, window.columns]
    return int(np.bincount(labels[labels > 0], minlength=1).argmax())


def _darken(canvas: RealCanvas, opening: Opening, number: int, factor: float) -> None:
    """Make the pressed nucleus as dense as such nuclei are."""
    part = (opening.window.rows, opening.window.columns)
    inside = (canvas.nuclei.labels[part] == number) & (opening.part > 1) & (opening.part < RIM_REACH)
    canvas.amounts[HAEM][part][inside] *= factor


def _copied_crescent(canvas: RealCanvas, vacuole: Vacuole, opening: Opening) -> NDArray[np.bool_]:
    """Put a copy of a real nucleus, flattened, at the rim; where it lies, (h, w) in the opening's window."""
    rng, window = canvas.rng, opening.window
    stamp = darkest(canvas.stamps, rng)
    if stamp is None:
        return np.zeros(opening.depth.shape, np.bool_)
    angle = float(rng.uniform(-np.pi, np.pi))
    away = vacuole.radius * float(rng.uniform(0.9, 1.1))
    dx, dy = np.cos(angle) * away, np.sin(angle) * away
    sides = (stamp.radius * float(rng.uniform(1.8, 2.6)), stamp.radius * float(rng.uniform(0.7, 1.2)))
    put_stamp(canvas, stamp, (vacuole.x + dx, vacuole.y + dy), sides, angle + np.pi / 2, soft=canvas.softness)
    along, across = turned(window.dx - dx, window.dy - dy, angle + np.pi / 2)
    return np.asarray(np.hypot(along / sides[0], across / sides[1]) < 0.5, np.bool_)


def _half_hide(canvas: RealCanvas, vacuole: Vacuole) -> None:
    """Put a real nucleus in front of a part of the cell."""
    rng = canvas.rng
    if not canvas.stamps:
        return
    stamp = canvas.stamps[int(rng.integers(len(canvas.stamps)))]
    turn, away = rng.uniform(-np.pi, np.pi), vacuole.radius * rng.uniform(0.6, 1.1)
    centre = (vacuole.x + float(np.cos(turn) * away), vacuole.y + float(np.sin(turn) * away))
    sides = (stamp.radius * 2.1, stamp.radius * float(rng.uniform(1.5, 2.1)))
    put_stamp(canvas, stamp, centre, sides, float(rng.uniform(0, np.pi)), soft=canvas.softness)

"""What looks like a signet ring cell in real tissue and is none, made of the tissue itself.

They lie in fields with and without signet ring cells alike, so that paint alone means nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import HAEM, blob
from signetscan.simulate.composed import fill, random_family
from signetscan.simulate.crypts import crypt
from signetscan.simulate.mucin import Mucin, MucinKind, fill_with_mucin
from signetscan.simulate.noise import log_uniform, step
from signetscan.simulate.swelling import Vacuole, swell

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.simulate.real_canvas import RealCanvas

    Decoy = Callable[[RealCanvas, float, float, float], None]


def pale_middle(canvas: RealCanvas, x: float, y: float, radius: float) -> None:
    """A vesicular nucleus: pale in its middle, dark all around."""
    window = canvas.window(x, y, radius * 1.6)
    if window is None:
        return
    rng = canvas.rng
    distance = np.hypot(window.dx, window.dy) / (radius * float(rng.uniform(0.5, 0.95)))
    pale = step(1 - distance, 0.8) * float(rng.uniform(0.3, 0.8))
    layer = canvas.amounts[HAEM, window.rows, window.columns]
    layer *= 1 - pale
    if rng.random() < 0.5:  # with a nucleolus
        side = radius * rng.uniform(0.15, 0.3)
        offset = rng.normal(0, radius * 0.2, 2)
        spot = step(1 - np.hypot(window.dx - offset[0], window.dy - offset[1]) / side, 0.9)
        layer += spot * float(rng.uniform(0.3, 0.8))


def halo(canvas: RealCanvas, x: float, y: float, radius: float) -> None:
    """A nucleus in a shrinkage halo: it lies free in the middle of the gap."""
    rng = canvas.rng
    wide = radius * float(rng.uniform(1.25, 1.9))
    vacuole = Vacuole(x=x, y=y, radius=wide, wobble=float(rng.uniform(0.02, 0.1)), core=min(radius * 1.05 / wide, 0.85))
    opening = swell(canvas, vacuole)
    if opening is None:
        return
    ring = step(opening.depth, canvas.softness) * step((opening.part - vacuole.core) * wide, canvas.softness)
    canvas.put(opening.window, ring * float(rng.uniform(0.7, 1)), *_palest(canvas))
    canvas.claim(opening.window, step(opening.depth, 1.0), 0)


def foamy_cell(canvas: RealCanvas, x: float, y: float, radius: float) -> None:
    """A macrophage: foamy all over, its round nucleus in its middle or near it."""
    rng = canvas.rng
    wide = radius * float(rng.uniform(1.6, 2.6))
    turn, away = rng.uniform(-np.pi, np.pi), (wide - radius) * float(rng.uniform(0, 0.7))
    window = canvas.window(x + float(np.cos(turn) * away), y + float(np.sin(turn) * away), wide * 1.2)
    if window is None:
        return
    cell, depth = blob(
        rng, window, (2 * wide, 2 * wide * float(rng.uniform(0.7, 1))), float(rng.uniform(0, np.pi)), 0.06
    )
    kept = np.hypot(window.dx + np.cos(turn) * away, window.dy + np.sin(turn) * away)
    alpha = cell * step(kept - radius * 1.05, canvas.softness) * float(rng.uniform(0.6, 0.95))
    haem, eosin = canvas.amounts[:2, window.rows, window.columns].mean(axis=(1, 2)) * float(rng.uniform(0.4, 0.9))
    foam = Mucin(kind=MucinKind.FOAMY, haem=float(haem), eosin=float(eosin), grain=float(rng.uniform(0.3, 1.2)))
    fill_with_mucin(canvas, window, alpha, depth, foam)
    canvas.claim(window, cell, 0)


def gap(canvas: RealCanvas, x: float, y: float, radius: float) -> None:
    """An empty space between cells: angular or long, with no rim."""
    rng = canvas.rng
    wide = radius * log_uniform(rng, 0.6, 3.0)
    turn = rng.uniform(-np.pi, np.pi)
    away = (radius + wide) * float(rng.uniform(1.1, 1.6))
    vacuole = Vacuole(
        x=x + float(np.cos(turn) * away),
        y=y + float(np.sin(turn) * away),
        radius=wide,
        aspect=float(rng.uniform(1.2, 3.5)),
        tilt=float(rng.uniform(0, np.pi)),
        wobble=float(rng.uniform(0.1, 0.25)),
    )
    opening = swell(canvas, vacuole)
    if opening is None:
        return
    alpha = step(opening.depth + canvas.grain(opening.window), canvas.softness)
    canvas.put(opening.window, alpha * float(rng.uniform(0.7, 1)), *_palest(canvas))
    canvas.claim(opening.window, alpha, 0)


def lone_mucin(canvas: RealCanvas, x: float, y: float, radius: float) -> None:
    """A pool of mucin or a vacuole far larger than a cell, whatever lies at its rim."""
    rng = canvas.rng
    vacuole = Vacuole(
        x=x,
        y=y,
        radius=radius * float(rng.uniform(3.5, 6.0)),
        aspect=float(rng.uniform(1.0, 2.5)),
        tilt=float(rng.uniform(0, np.pi)),
        wobble=float(rng.uniform(0.05, 0.15)),
    )
    opening = swell(canvas, vacuole)
    if opening is not None:
        fill(canvas, opening, random_family(rng))
        inside = step(opening.depth, 1.0)
        canvas.claim(opening.window, inside, 0)
        canvas.fill(opening.window, inside)


def _palest(canvas: RealCanvas) -> tuple[float, float]:
    factor = float(canvas.rng.uniform(0.8, 1.3))
    return max(float(canvas.palest[0]), 0.0) * factor, max(float(canvas.palest[1]), 0.0) * factor


PER_MEGAPIXEL: dict[Decoy, float] = {
    crypt: 1.6,
    lone_mucin: 0.4,
    gap: 14.0,
    foamy_cell: 9.0,
    halo: 16.0,
    pale_middle: 80.0,
}
"""Mean number of each in a million pixels, in the order in which they are made."""


def scatter_decoys(canvas: RealCanvas) -> None:
    """Make decoys at some of a canvas's nuclei, in numbers that vary from field to field."""
    rng, nuclei = canvas.rng, canvas.nuclei
    megapixels = canvas.height * canvas.width / 1e6
    for decoy, mean in PER_MEGAPIXEL.items():
        count = rng.poisson(mean * megapixels * rng.gamma(0.8, 1 / 0.8))
        for index in rng.permutation(len(nuclei.radii))[:count]:
            x, y = map(float, nuclei.centres[index])
            if canvas.has_room(x, y):
                decoy(canvas, x, y, float(nuclei.radii[index]))

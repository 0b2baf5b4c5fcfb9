"""Signet ring cells: a vacuole of mucin fills the cell and presses the nucleus into a crescent at its rim.

Proportions follow real fields at 0.25 µm/px: cells of 37 to 92 px, vacuoles of 25 to 60 px, a crisp violet rim of 2 to
4 px, a crescent of 90 to 160 degrees, 8 to 16 px thick in its middle and fading into the rim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import EDGE, wobbly_radius
from signetscan.simulate.noise import step

if TYPE_CHECKING:
    from signetscan.simulate.canvas import Canvas, Window
    from signetscan.simulate.noise import Map


@dataclass(frozen=True, slots=True, kw_only=True)
class SignetCell:
    """Appearance of a cell. Lengths are in image pixels, angles in radians."""

    x: float
    """Column of the centre."""
    y: float
    """Row of the centre."""
    radius: float
    """Mean radius of the cell."""
    aspect: float
    """Length over width of the cell."""
    tilt: float
    """Direction of its length."""
    wobble: float
    """Irregularity of its outline."""
    nucleus_at: float
    """Direction of the nucleus from the centre."""
    nucleus_span: float
    """Angle that the crescent covers."""
    nucleus_thickness: float
    """Thickness of the crescent in its middle."""
    nucleus_dark: float
    """Amount of haematoxylin in the nucleus."""
    rim: float
    """Thickness of the rim."""
    rim_dark: float
    """Amount of haematoxylin in the rim."""
    mucin: tuple[float, float]
    """Amounts of haematoxylin and eosin in the vacuole."""
    foam: float
    """Graininess of the mucin, from 0 (clear) to 1 (foamy)."""
    bubbles: int
    """Number of vacuoles; most cells have 1."""
    broken: float
    """Angle over which the rim is torn open; 0 for an intact rim."""


def random_signet_cell(rng: np.random.Generator, x: float, y: float, size: float = 1.0) -> SignetCell:
    """A cell of random appearance at a point, `size` times as large as is usual."""
    radius = size * float(np.clip(rng.normal(28, 6.5), 18.5, 45))
    kind = rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])  # glassy, pale lilac, basophilic, eosinophilic mucin
    mucin = (
        (rng.uniform(0.0, 0.06), rng.uniform(0.0, 0.06)),
        (rng.uniform(0.06, 0.16), rng.uniform(0.03, 0.12)),
        (rng.uniform(0.18, 0.38), rng.uniform(0.03, 0.15)),
        (rng.uniform(0.02, 0.08), rng.uniform(0.18, 0.35)),
    )[kind]
    thickness = size * float(np.clip(rng.normal(0.36, 0.07) * radius / size, 7.0, 16.0))
    return SignetCell(
        x=x,
        y=y,
        radius=radius,
        aspect=float(rng.uniform(1.0, 1.28)),
        tilt=float(rng.uniform(0, np.pi)),
        wobble=float(rng.uniform(0.01, 0.045)),
        nucleus_at=float(rng.uniform(-np.pi, np.pi)),
        nucleus_span=float(np.radians(rng.uniform(85, 165))),
        nucleus_thickness=thickness,
        nucleus_dark=float(rng.uniform(0.85, 1.6)),
        rim=float(rng.uniform(1.8, 4.0)),
        rim_dark=float(rng.uniform(0.25, 0.75)),
        mucin=mucin,
        foam=float(rng.choice([0.15, 0.5, 1.0], p=[0.4, 0.35, 0.25])),
        bubbles=int(rng.choice([1, 2, 3, 4, 5], p=[0.84, 0.06, 0.05, 0.03, 0.02])),
        broken=float(np.radians(rng.uniform(20, 60))) if rng.random() < 0.12 else 0.0,
    )


def draw_signet_cell(canvas: Canvas, cell: SignetCell, identity: int) -> int:
    """Draw a cell.

    Returns:
        Number of pixels of the canvas that the cell covers, as long as nothing is drawn over it.
    """
    window = canvas.window(cell.x, cell.y, cell.radius * 1.5 + 4)
    if window is None:
        return 0
    rng = canvas.rng
    theta, radius, outline = _polar(rng, cell, window)
    depth = (outline - radius).astype(np.float32)  # pixels below the cell's surface
    body = step(depth, EDGE)
    from_nucleus = np.abs((theta - cell.nucleus_at + np.pi) % (2 * np.pi) - np.pi)  # angle, 0 to pi
    crescent = np.clip(1 - (from_nucleus / (cell.nucleus_span / 2)) ** 2, 0, 1) ** 0.6 * cell.nucleus_thickness

    _draw_cytoplasm(canvas, cell, window, body, depth)
    wall = cell.rim + 0.8 * np.clip(canvas.grain(window), -0.8, 0.8)
    wall = np.maximum(wall, crescent * 0.9)
    vacuole = step(depth - wall, 2 * EDGE)
    if cell.bubbles > 1:
        vacuole = vacuole * _septa(rng, cell, window)
    _draw_mucin(canvas, cell, window, vacuole, depth)
    if cell.broken:
        torn_at = cell.nucleus_at + np.pi + float(rng.uniform(-1.2, 1.2))
        torn = np.abs((theta - torn_at + np.pi) % (2 * np.pi) - np.pi) < cell.broken / 2
        canvas.put(window, body * (1 - vacuole) * torn * 0.85, *cell.mucin)
    _draw_crescent(canvas, cell, window, depth, crescent)
    canvas.claim(window, body, identity)
    return int(np.count_nonzero(body >= 0.5))


def _polar(rng: np.random.Generator, cell: SignetCell, window: Window) -> tuple[Map, Map, Map]:
    """Angle and radius of each pixel, and the radius of the outline at that angle."""
    theta = np.arctan2(window.dy, window.dx)
    radius = np.hypot(window.dx, window.dy)
    long, short = cell.radius * cell.aspect**0.5, cell.radius / cell.aspect**0.5
    turned = theta - cell.tilt
    ellipse = long * short / np.hypot(short * np.cos(turned), long * np.sin(turned))
    return theta, radius, ellipse * wobbly_radius(rng, theta, cell.wobble)


def _draw_cytoplasm(canvas: Canvas, cell: SignetCell, window: Window, body: Map, depth: Map) -> None:
    """Draw the thin violet wall, darkest at the cell's surface."""
    surface = np.exp(-((depth - 1.2) ** 2) / 3.0)
    haem = 0.6 * cell.rim_dark + 0.5 * cell.rim_dark * surface + 0.12 * canvas.grain(window)
    canvas.put(window, body, np.clip(haem, 0.03, None), 0.32 + 0.15 * surface)


def _draw_mucin(canvas: Canvas, cell: SignetCell, window: Window, vacuole: Map, depth: Map) -> None:
    """Draw the mucin, brightest in the middle, a little shaded towards one side, and grainy."""
    side = canvas.rng.uniform(-np.pi, np.pi)
    lean = (window.dx * np.cos(side) + window.dy * np.sin(side)) / cell.radius
    shade = 1 + 0.35 * lean + 0.5 * np.exp(-np.clip(depth - cell.rim, 0, None) / 5)
    grain = (canvas.grain(window) + 0.5 * canvas.grain(window)) * cell.foam
    haem = cell.mucin[0] * shade + (0.03 + 0.4 * cell.mucin[0]) * grain + 0.03 * cell.foam
    eosin = cell.mucin[1] * shade + 0.25 * cell.mucin[1] * grain
    canvas.put(window, vacuole * 0.97, np.clip(haem, 0, None), np.clip(eosin, 0, None))


def _septa(rng: np.random.Generator, cell: SignetCell, window: Window) -> Map:
    """Alpha that is 0 on the walls between vacuoles, and 1 inside them."""
    spread = cell.radius * 0.5
    seeds = rng.normal(0, spread, (cell.bubbles, 2))
    distance = np.sort(np.stack([np.hypot(window.dx - x, window.dy - y) for x, y in seeds]), axis=0)
    return step((distance[1] - distance[0]) / 2 - 1.2, EDGE)


def _draw_crescent(canvas: Canvas, cell: SignetCell, window: Window, depth: Map, crescent: Map) -> None:
    """Draw the nucleus, between the surface and the vacuole."""
    inner = crescent * (1 + 0.1 * canvas.grain(window)) - depth
    alpha = step(np.minimum(inner, depth + 0.8), EDGE) * step(crescent - 2.0, 2.5)
    haem = cell.nucleus_dark * (0.85 + 0.22 * canvas.grain(window)) + 0.2 * np.exp(-np.abs(inner) / 1.5)
    canvas.put(window, alpha * 0.95, np.clip(haem, 0.2, None), 0.25)

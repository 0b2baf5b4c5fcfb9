"""Room for a vacuole in real tissue: what was there is pressed aside, and a nucleus beside it becomes a crescent.

A point at distance s from the middle goes to sqrt(s^2 + r^2), which keeps areas: nothing is lost, and what lies near
the vacuole becomes thin and wide. The pressure fades away up to REACH radii, where the tissue is a little denser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import wobbly_radius

if TYPE_CHECKING:
    from signetscan.simulate.canvas import Window
    from signetscan.simulate.noise import Map
    from signetscan.simulate.real_canvas import RealCanvas

REACH = 2.6
"""Distance from the middle, in radii of the vacuole, at which the tissue lies as it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacuole:
    """Where a vacuole opens. Lengths in image pixels, angles in radians."""

    x: float
    """Column of its middle."""
    y: float
    """Row of its middle."""
    radius: float
    """Its mean radius."""
    aspect: float = 1.0
    """Its length over its width."""
    tilt: float = 0.0
    """Direction of its length."""
    wobble: float = 0.03
    """Irregularity of its outline."""
    core: float = 0.0
    """Radius, as a part of the vacuole's, within which the tissue stays as it is: 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opening:
    """A vacuole that has opened on a canvas, still to be filled."""

    window: Window
    """The part of the canvas around it, as far as the tissue has moved."""
    depth: Map
    """(h, w), pixels below its surface; negative outside."""
    part: Map
    """(h, w), distance from its middle in parts of its radius in that direction."""


def swell(canvas: RealCanvas, vacuole: Vacuole) -> Opening | None:
    """Press the tissue of a canvas aside; None if the vacuole lies outside of it."""
    window = canvas.window(vacuole.x, vacuole.y, vacuole.radius * REACH * vacuole.aspect**0.5 * 1.1 + 4)
    if window is None:
        return None
    theta, distance = np.arctan2(window.dy, window.dx), np.hypot(window.dx, window.dy)
    long, short = vacuole.radius * vacuole.aspect**0.5, vacuole.radius / vacuole.aspect**0.5
    turned = theta - vacuole.tilt
    ellipse = long * short / np.hypot(short * np.cos(turned), long * np.sin(turned))
    outline = ellipse * wobbly_radius(canvas.rng, theta, vacuole.wobble)
    part = np.maximum(distance / outline, 1e-3)
    pressure = 0.5 * (1 + np.cos(np.pi * np.clip((part - 1) / (REACH - 1), 0, 1)))
    from_outside = np.sqrt(np.maximum(part**2 - (1 - vacuole.core**2) * pressure, vacuole.core**2))
    source = np.where(part < 1, np.minimum(part, vacuole.core), from_outside)
    canvas.move(window, np.asarray(source / part, np.float32))
    return Opening(window=window, depth=np.asarray(outline - distance, np.float32), part=np.asarray(part, np.float32))

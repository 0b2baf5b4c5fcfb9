"""A canvas of stain to draw on, and the shapes that all cells are made of. Coordinates are image pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.noise import smooth_noise, step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.noise import Map

HAEM, EOSIN = 0, 1
"""Index of the stains in a canvas."""

TISSUE_STEP = 16
"""Side, in pixels of the canvas, of a pixel of its tissue map."""

EDGE = 1.6
"""Width of a soft outline, pixels: optics give no sharper one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """A part of the canvas around a point."""

    rows: slice[int, int, None]
    """Rows of the canvas."""
    columns: slice[int, int, None]
    """Columns of the canvas."""
    dx: Map
    """Horizontal distance of each pixel's centre from the point."""
    dy: Map
    """Vertical distance of each pixel's centre from the point."""


class Canvas:
    """Amounts of stain, (3, H, W), and textures to make them uneven.

    Args:
        rng: source of randomness for all that is drawn.
        amounts: amounts of haematoxylin, of eosin and of the rest; drawn on in place.
    """

    def __init__(self, rng: np.random.Generator, amounts: NDArray[np.float32]) -> None:
        self.rng = rng
        self.amounts = amounts
        self.height, self.width = amounts.shape[1:]
        shape = (512, 512)
        self._grain = 0.6 * smooth_noise(rng, shape, 3.0) + 0.5 * smooth_noise(rng, shape, 7.0)
        self.tissue = np.ones((-(-self.height // TISSUE_STEP), -(-self.width // TISSUE_STEP)), np.bool_)
        """(H / 16, W / 16), where there is tissue in which a cell may lie."""
        self.owner = np.zeros((self.height, self.width), np.int32)
        """Identity of the signet ring cell that is visible at each pixel; 0 for none."""

    def has_room(self, x: float, y: float) -> bool:
        """Whether a point lies in tissue."""
        return bool(self.tissue[int(y) // TISSUE_STEP, int(x) // TISSUE_STEP])

    def fill(self, window: Window, alpha: Map) -> None:
        """Keep later cells out of the area where alpha is at least one half."""
        rows, columns = np.nonzero(alpha >= 0.5)
        self.tissue[(rows + window.rows.start) // TISSUE_STEP, (columns + window.columns.start) // TISSUE_STEP] = False

    def window(self, x: float, y: float, reach: float) -> Window | None:
        """The square of half-side `reach` around a point; None if all of it lies outside of the canvas."""
        left, right = max(int(x - reach), 0), min(int(x + reach) + 2, self.width)
        top, bottom = max(int(y - reach), 0), min(int(y + reach) + 2, self.height)
        if left >= right or top >= bottom:
            return None
        across = np.arange(left - x + 0.5, right - x, dtype=np.float32)
        down = np.arange(top - y + 0.5, bottom - y, dtype=np.float32)
        dy, dx = np.meshgrid(down, across, indexing="ij")
        return Window(rows=slice(top, bottom), columns=slice(left, right), dx=dx, dy=dy)

    def grain(self, window: Window) -> Map:
        """A random piece of texture for a window, mean 0, standard deviation about 0.8."""
        rows, columns = window.dx.shape
        top, left = self.rng.integers(0, 512 - min(rows, 500)), self.rng.integers(0, 512 - min(columns, 500))
        piece = self._grain[top : top + rows, left : left + columns]
        if piece.shape != (rows, columns):
            piece = np.resize(piece, (rows, columns))
        return piece

    def put(self, window: Window, alpha: Map, haem: Map | float, eosin: Map | float) -> None:
        """Blend these amounts over those on the canvas, with alpha as the weight."""
        for stain, amount in ((HAEM, haem), (EOSIN, eosin)):
            area = self.amounts[stain, window.rows, window.columns]
            area += alpha * (amount - area)
        self.put_rest(window, alpha)

    def put_rest(self, window: Window, alpha: Map) -> None:
        """Blend what the stains do not express, of which drawn things have little, over that on the canvas."""
        rest = self.amounts[2, window.rows, window.columns]
        rest *= 1 - 0.8 * alpha

    def add(self, window: Window, alpha: Map, haem: float, eosin: float) -> None:
        """Add stain to the amounts on the canvas."""
        self.amounts[HAEM, window.rows, window.columns] += alpha * haem
        self.amounts[EOSIN, window.rows, window.columns] += alpha * eosin

    def claim(self, window: Window, alpha: Map, identity: int) -> None:
        """Record that a cell, or 0 for anything else, is visible where alpha is at least one half."""
        self.owner[window.rows, window.columns][alpha >= 0.5] = identity


def wobbly_radius(rng: np.random.Generator, theta: Map, amount: float) -> Map:
    """A closed outline as a radius around 1 for each angle, from low-order Fourier terms."""
    radius = np.ones_like(theta)
    for order in (2, 3, 4, 5):
        radius += amount / (order - 1) * float(rng.normal()) * np.cos(order * theta + float(rng.uniform(0, 6.3)))
    return np.clip(radius, 0.5, 1.6)


def turned(dx: Map, dy: Map, angle: float) -> tuple[Map, Map]:
    """Distances along a direction (an angle in radians) and across it, of points with these distances in x and y."""
    return dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)


def blob(
    rng: np.random.Generator, window: Window, sides: tuple[float, float], angle: float, wobble: float
) -> tuple[Map, Map]:
    """An irregular ellipse.

    Args:
        rng: source of randomness.
        window: where to draw; the ellipse is centred on the window's point.
        sides: length and width, pixels.
        angle: direction of the length, radians.
        wobble: irregularity of the outline; 0 is an ellipse, 0.1 is lumpy.

    Returns:
        alpha (0 outside, 1 inside) and depth below the outline in pixels (negative outside).
    """
    along, across = turned(window.dx, window.dy, angle)
    u, v = along / (sides[0] / 2), across / (sides[1] / 2)
    radius = np.hypot(u, v)
    outline = wobbly_radius(rng, np.arctan2(v, u), wobble) if wobble else 1.0
    depth = ((outline - radius) * min(sides) / 2).astype(np.float32)
    return step(depth, EDGE), depth


def nucleus(
    canvas: Canvas,
    centre: tuple[float, float],
    sides: tuple[float, float],
    angle: float,
    *,
    dark: float = 1.0,
    vesicular: float = 0.0,
) -> None:
    """Draw a nucleus.

    Args:
        canvas: canvas to draw on.
        centre: x and y of the nucleus.
        sides: length and width, pixels.
        angle: direction of the length, radians.
        dark: amount of haematoxylin.
        vesicular: paleness of its middle, 0 to 1.
    """
    rng = canvas.rng
    window = canvas.window(*centre, max(sides) * 0.75 + 3)
    if window is None:
        return
    alpha, depth = blob(rng, window, sides, angle, 0.06)
    rim = np.clip(1 - depth / 3.5, 0, 1)
    haem = dark * (0.8 + 0.22 * canvas.grain(window) + 0.25 * rim - vesicular * 0.55 * np.clip(depth / 6, 0, 1))
    canvas.put(window, alpha * float(rng.uniform(0.85, 1.0)), np.clip(haem, 0.08, None), 0.25 * dark)
    canvas.claim(window, alpha, 0)

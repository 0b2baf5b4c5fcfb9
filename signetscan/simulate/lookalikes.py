"""Structures that are no signet ring cells, many of which look like one. Positions and sizes are in image pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import EDGE, blob, nucleus
from signetscan.simulate.noise import step

if TYPE_CHECKING:
    from collections.abc import Callable

    from signetscan.simulate.canvas import Canvas

    Draw = Callable[[Canvas, float, float], None]


def goblet_gland(canvas: Canvas, x: float, y: float) -> None:
    """A ring of columnar cells around a lumen; many have a cup of mucin, with the nucleus below it at the base."""
    rng = canvas.rng
    outer = rng.uniform(95, 190)
    height = rng.uniform(50, 75)
    squash, tilt = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    window = canvas.window(x, y, outer * 1.3)
    if window is None:
        return
    alpha, depth = blob(rng, window, (2 * outer, 2 * outer * squash), tilt, 0.05)
    canvas.put(window, alpha, 0.32 + 0.08 * canvas.grain(window), 0.38)
    canvas.claim(window, alpha, 0)
    lumen = step(depth - height, 4.0)
    canvas.put(window, lumen, 0.04 + 0.03 * np.abs(canvas.grain(window)), 0.05)
    count = int(2 * np.pi * outer * (0.5 + squash / 2) / rng.uniform(24, 30))
    goblets = rng.uniform(0.2, 0.8)
    rotate = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    for turn in np.arange(count) * 2 * np.pi / count:
        turned = rotate @ np.array([np.cos(turn), np.sin(turn) * squash])
        radial = float(np.arctan2(turned[1], turned[0]))
        base = np.array([x, y]) + turned * (outer - rng.uniform(10, 20))
        if rng.random() < goblets:
            cup = np.array([x, y]) + turned * (outer - height * rng.uniform(0.52, 0.62))
            _mucin_cup(canvas, cup, rng.uniform(26, 40), rng.uniform(20, 30), radial)
        sides = (rng.uniform(17, 24), rng.uniform(11, 15))
        nucleus(canvas, (base[0], base[1]), sides, radial + np.pi / 2 * rng.integers(0, 2), dark=rng.uniform(0.8, 1.2))


def _mucin_cup(canvas: Canvas, centre: tuple[float, float], length: float, width: float, angle: float) -> None:
    rng = canvas.rng
    window = canvas.window(centre[0], centre[1], length)
    if window is None:
        return
    alpha, depth = blob(rng, window, (length, width), angle, 0.04)
    rim = np.clip(1 - depth / 3, 0, 1)
    tint = rng.uniform(0.02, 0.3)
    canvas.put(window, alpha * 0.95, tint + 0.3 * rim + 0.05 * canvas.grain(window), 0.05 + 0.15 * rim)


def fat(canvas: Canvas, x: float, y: float) -> None:
    """A group of fat cells: large, empty and thin-walled, with at most a flat speck of a nucleus in a corner."""
    rng = canvas.rng
    reach = rng.uniform(200, 380)
    window = canvas.window(x, y, reach)
    if window is None:
        return
    area = (2 * reach) ** 2
    seeds = rng.uniform(-reach, reach, (max(4, int(area / rng.uniform(160, 260) ** 2)), 2))
    distance = np.partition(np.stack([np.hypot(window.dx - sx, window.dy - sy) for sx, sy in seeds]), 1, axis=0)
    wall = (distance[1] - distance[0]) / 2 - rng.uniform(1.5, 3.5)
    patch, _ = blob(rng, window, (1.8 * reach, 1.8 * reach), 0, 0.12)
    canvas.put(window, patch, 0.18, 0.45)
    canvas.put(window, patch * step(wall, 2.0), 0.015, 0.02)
    canvas.claim(window, patch, 0)
    canvas.fill(window, patch)
    for _ in range(len(seeds) // 2):
        offset = rng.uniform(-reach * 0.6, reach * 0.6, 2)
        nucleus(canvas, (x + offset[0], y + offset[1]), (rng.uniform(14, 22), rng.uniform(4, 7)), rng.uniform(0, np.pi))


def hole(canvas: Canvas, x: float, y: float) -> None:
    """An empty space of a cell's size in the stroma, with neither rim nor crescent."""
    rng = canvas.rng
    length = rng.uniform(22, 70)
    window = canvas.window(x, y, length)
    if window is None:
        return
    alpha, _ = blob(rng, window, (length, length * rng.uniform(0.55, 1.0)), rng.uniform(0, np.pi), 0.12)
    canvas.put(window, alpha * rng.uniform(0.8, 1.0), rng.uniform(0.0, 0.06), rng.uniform(0.0, 0.1))
    canvas.claim(window, alpha, 0)


def lymphocyte(canvas: Canvas, x: float, y: float) -> None:
    """Lymphocytes: small, round, very dark nuclei with hardly any cytoplasm, in crowds."""
    rng = canvas.rng
    for _ in range(int(rng.integers(1, 9))):
        offset = rng.normal(0, 26, 2)
        side = rng.uniform(19, 27)
        nucleus(
            canvas, (x + offset[0], y + offset[1]), (side, side * rng.uniform(0.85, 1)), 0, dark=rng.uniform(1.1, 1.7)
        )


def plasma_cell(canvas: Canvas, x: float, y: float) -> None:
    """An oval cell with violet cytoplasm, a round nucleus at one end and a pale spot beside it."""
    rng = canvas.rng
    length, angle = rng.uniform(36, 52), rng.uniform(-np.pi, np.pi)
    window = canvas.window(x, y, length)
    if window is None:
        return
    alpha, _ = blob(rng, window, (length, length * 0.72), angle, 0.05)
    canvas.put(window, alpha * 0.9, 0.38 + 0.06 * canvas.grain(window), 0.5)
    canvas.claim(window, alpha, 0)
    spot, _ = blob(rng, window, (length * 0.32, length * 0.3), angle, 0.1)
    canvas.put(window, spot * 0.6, 0.14, 0.3)
    centre = (x + np.cos(angle) * length * 0.22, y + np.sin(angle) * length * 0.22)
    nucleus(canvas, centre, (length * 0.48, length * 0.45), angle, dark=1.15, vesicular=0.3)


def foamy_macrophage(canvas: Canvas, x: float, y: float) -> None:
    """A large pale cell full of tiny vacuoles; its nucleus is round, not pressed flat."""
    rng = canvas.rng
    length, angle = rng.uniform(46, 80), rng.uniform(-np.pi, np.pi)
    window = canvas.window(x, y, length)
    if window is None:
        return
    alpha, _ = blob(rng, window, (length, length * rng.uniform(0.75, 1)), angle, 0.07)
    foam = canvas.grain(window)
    canvas.put(window, alpha * 0.92, np.clip(0.1 + 0.1 * foam, 0.01, None), np.clip(0.2 + 0.12 * foam, 0.02, None))
    canvas.claim(window, alpha, 0)
    away = length * rng.uniform(0.0, 0.26)
    side = rng.uniform(19, 26)
    centre = (x + np.cos(angle) * away, y + np.sin(angle) * away)
    sides, dark = (side, side * rng.uniform(0.8, 1)), rng.uniform(0.7, 1.1)
    nucleus(canvas, centre, sides, rng.uniform(0, 3), dark=dark, vesicular=0.4)


def apoptotic_body(canvas: Canvas, x: float, y: float) -> None:
    """A shrunken pink cell with dark crumbs, in a clear halo."""
    rng = canvas.rng
    length = rng.uniform(30, 54)
    window = canvas.window(x, y, length)
    if window is None:
        return
    halo, _ = blob(rng, window, (length, length * rng.uniform(0.8, 1)), 0, 0.06)
    canvas.put(window, halo * 0.9, 0.03, 0.06)
    canvas.claim(window, halo, 0)
    body, _ = blob(rng, window, (length * 0.55, length * 0.48), rng.uniform(0, 3), 0.1)
    canvas.put(window, body, 0.25, 0.9)
    for _ in range(int(rng.integers(1, 4))):
        offset = rng.normal(0, length * 0.1, 2)
        side = rng.uniform(6, 14)
        nucleus(canvas, (x + offset[0], y + offset[1]), (side, side), 0, dark=1.8)


def haloed_nucleus(canvas: Canvas, x: float, y: float) -> None:
    """A nucleus in a shrinkage halo: a white ring, but the nucleus in its middle is round."""
    rng = canvas.rng
    length, angle = rng.uniform(40, 64), rng.uniform(0, np.pi)
    window = canvas.window(x, y, length)
    if window is None:
        return
    halo, _ = blob(rng, window, (length, length * rng.uniform(0.7, 1)), angle, 0.06)
    canvas.put(window, halo * 0.92, 0.03, 0.05)
    canvas.claim(window, halo, 0)
    offset = rng.normal(0, length * 0.05, 2)
    sides = (length * rng.uniform(0.5, 0.68), length * rng.uniform(0.42, 0.58))
    nucleus(
        canvas, (x + offset[0], y + offset[1]), sides, angle, dark=rng.uniform(0.8, 1.4), vesicular=rng.uniform(0, 0.6)
    )


def capillary(canvas: Canvas, x: float, y: float) -> None:
    """A long slit with a pink wall, flat nuclei along it and sometimes red cells inside."""
    rng = canvas.rng
    length, width, angle = rng.uniform(70, 160), rng.uniform(20, 38), rng.uniform(0, np.pi)
    window = canvas.window(x, y, length * 0.7)
    if window is None:
        return
    wall, depth = blob(rng, window, (length, width), angle, 0.05)
    canvas.put(window, wall, 0.15, 0.7)
    canvas.claim(window, wall, 0)
    canvas.put(window, step(depth - 4.5, 2 * EDGE), 0.01, 0.04)
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 3))):
            along = rng.uniform(-0.32, 0.32) * length
            across = side * width * 0.42
            centre = (
                x + along * np.cos(angle) - across * np.sin(angle),
                y + along * np.sin(angle) + across * np.cos(angle),
            )
            nucleus(canvas, centre, (rng.uniform(24, 38), rng.uniform(6, 10)), angle, dark=rng.uniform(0.9, 1.3))
    if rng.random() < 0.5:
        red_cells(canvas, x, y, spread=width * 0.2)


def red_cells(canvas: Canvas, x: float, y: float, spread: float = 30.0) -> None:
    """Bright pink discs of 12 to 20 px."""
    rng = canvas.rng
    for _ in range(int(rng.integers(1, 7))):
        offset = rng.normal(0, spread, 2)
        window = canvas.window(x + offset[0], y + offset[1], 14)
        if window is None:
            continue
        side = rng.uniform(12, 20)
        alpha, depth = blob(rng, window, (side, side * rng.uniform(0.7, 1)), rng.uniform(0, 3), 0.06)
        canvas.put(window, alpha * 0.95, 0.05, 1.35 - 0.25 * np.clip(depth / 6, 0, 1))
        canvas.claim(window, alpha, 0)


def bubble(canvas: Canvas, x: float, y: float) -> None:
    """An air bubble under the glass: a thin dark circle with a second one inside, over the tissue below."""
    rng = canvas.rng
    side = rng.uniform(40, 130)
    window = canvas.window(x, y, side)
    if window is None:
        return
    alpha, depth = blob(rng, window, (side, side * rng.uniform(0.92, 1)), rng.uniform(0, 3), 0.0)
    canvas.put(window, alpha * rng.uniform(0.5, 0.9), 0.02, 0.03)
    for ring_depth, strength in ((1.5, 0.9), (7.0, 0.25)):
        ring = np.exp(-((depth - ring_depth) ** 2) / 2.5).astype(np.float32)
        canvas.add(window, ring, strength, 0.35 * strength)
    canvas.claim(window, alpha, 0)


def debris(canvas: Canvas, x: float, y: float) -> None:
    """A shapeless ink-dark blob, or a small black pyknotic nucleus."""
    rng = canvas.rng
    side = rng.choice([rng.uniform(8, 16), rng.uniform(25, 60)], p=[0.75, 0.25])
    window = canvas.window(x, y, side)
    if window is None:
        return
    alpha, _ = blob(rng, window, (side, side * rng.uniform(0.5, 1)), rng.uniform(0, 3), 0.18)
    canvas.put(window, alpha, rng.uniform(1.6, 3.0), rng.uniform(0.3, 1.2))
    canvas.claim(window, alpha, 0)


PER_MEGAPIXEL: dict[Draw, float] = {
    fat: 0.15,
    goblet_gland: 0.7,
    hole: 18.0,
    capillary: 3.0,
    lymphocyte: 9.0,
    plasma_cell: 8.0,
    foamy_macrophage: 7.0,
    apoptotic_body: 5.0,
    haloed_nucleus: 14.0,
    red_cells: 7.0,
    bubble: 0.7,
    debris: 4.0,
}
"""Mean number of each in a million pixels, in the order of drawing."""


def scatter_lookalikes(canvas: Canvas) -> None:
    """Scatter look-alikes over a canvas, in numbers that vary from field to field, as in real tissue."""
    rng = canvas.rng
    megapixels = canvas.height * canvas.width / 1e6
    for draw, mean in PER_MEGAPIXEL.items():
        expected = mean * megapixels * rng.gamma(1.5, 1 / 1.5)
        for _ in range(rng.poisson(expected)):
            x, y = float(rng.uniform(0, canvas.width)), float(rng.uniform(0, canvas.height))
            if canvas.has_room(x, y):
                draw(canvas, x, y)

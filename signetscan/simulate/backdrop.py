"""Drawn tissue, in which cells lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import EOSIN, HAEM, Canvas, nucleus
from signetscan.simulate.noise import fibres, smooth_noise, step

if TYPE_CHECKING:
    from signetscan.simulate.noise import Map


def draw_tissue(rng: np.random.Generator, shape: tuple[int, int]) -> Canvas:
    """A canvas with stroma, crowds of nuclei and ragged white gaps.

    Args:
        rng: source of randomness.
        shape: rows and columns, pixels of 0.25 µm.
    """
    cellular = step(smooth_noise(rng, shape, rng.uniform(250, 600)) + rng.uniform(-0.6, 1.4), 1.5)
    amounts = np.zeros((3, *shape), np.float32)
    amounts[EOSIN] = _eosin(rng, shape, cellular)
    amounts[HAEM] = 0.06 + 0.14 * cellular + 0.05 * smooth_noise(rng, shape, 5)
    np.clip(amounts[:2], 0.01, None, out=amounts[:2])
    canvas = Canvas(rng, amounts)
    gap = _gaps(rng, shape)
    amounts *= 1 - 0.96 * gap
    _scatter_nuclei(canvas, cellular * (1 - gap), crowded=True)
    _scatter_nuclei(canvas, (1 - cellular) * (1 - gap), crowded=False)
    return canvas


def _eosin(rng: np.random.Generator, shape: tuple[int, int], cellular: Map) -> Map:
    strands = fibres(rng, shape, width=rng.uniform(5, 12), length=rng.uniform(80, 220))
    base = rng.uniform(0.4, 0.75)
    uneven = 0.12 * smooth_noise(rng, shape, 300) + 0.1 * smooth_noise(rng, shape, 60)
    uneven += 0.07 * smooth_noise(rng, shape, 9)
    fine = 0.1 * smooth_noise(rng, shape, 3)
    return np.asarray(base * (1 + uneven + fine + (0.28 - 0.2 * cellular) * strands), np.float32)


def _gaps(rng: np.random.Generator, shape: tuple[int, int]) -> Map:
    """Ragged gaps of bare glass between groups of cells: concave outlines, no rim."""
    ragged = smooth_noise(rng, shape, rng.uniform(50, 110)) + 0.55 * smooth_noise(rng, shape, 22)
    ragged += 0.2 * smooth_noise(rng, shape, 7)
    return step(ragged - rng.uniform(1.5, 2.6), 0.18)


def _scatter_nuclei(canvas: Canvas, where: Map, *, crowded: bool) -> None:
    """Draw crowded round nuclei, or sparse long ones along the strands of the stroma."""
    rng = canvas.rng
    spacing = rng.uniform(38, 56) if crowded else rng.uniform(80, 130)
    rows, columns = int(canvas.height / spacing) + 1, int(canvas.width / spacing) + 1
    # A grid whose points are moved by up to a step: even spacing without visible rows.
    centres = (np.indices((rows, columns)).reshape(2, -1).T + rng.uniform(-0.05, 1.05, (rows * columns, 2))) * spacing
    strand_angle = rng.uniform(0, np.pi)
    dark, pale = rng.uniform(0.7, 1.2), rng.uniform(0, 0.5)
    size = rng.uniform(26, 36)
    for y, x in centres:
        if not (0 <= x < canvas.width and 0 <= y < canvas.height) or rng.random() > where[int(y), int(x)]:
            continue
        if crowded:
            length = float(np.clip(rng.normal(size, 4.5), 18, 48))
            sides, angle = (length, length * rng.uniform(0.62, 1.0)), rng.uniform(0, np.pi)
        else:
            length = rng.uniform(24, 52)
            sides, angle = (length, rng.uniform(7, 13)), strand_angle + rng.normal(0, 0.35)
        if crowded:
            _cytoplasm(canvas, x, y, length)
        ghost = 0.45 if rng.random() < 0.12 else 1.0  # some lie below the focal plane, and look pale
        nucleus(
            canvas, (x, y), sides, angle, dark=ghost * dark * rng.uniform(0.75, 1.3), vesicular=pale * rng.uniform(0, 2)
        )


def _cytoplasm(canvas: Canvas, x: float, y: float, length: float) -> None:
    window = canvas.window(x, y, length)
    if window is None:
        return
    near = np.exp(-(window.dx**2 + window.dy**2) / (0.55 * length) ** 2).astype(np.float32)
    rng = canvas.rng
    canvas.add(window, near, float(rng.uniform(0.0, 0.12)), float(rng.uniform(-0.05, 0.2)))

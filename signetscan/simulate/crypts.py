"""Crypts full of goblet cells: cups of mucin side by side, mouths towards a common lumen, dark nuclei in a row outside.

A cup alone looks like a signet ring cell; what tells is the row, the lumen and the even row of nuclei.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.simulate.canvas import blob
from signetscan.simulate.composed import Family, random_family
from signetscan.simulate.mucin import fill_with_mucin, random_mucin
from signetscan.simulate.noise import step
from signetscan.simulate.nuclei import put_stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.real_canvas import RealCanvas


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One cell of the epithelium. Lengths in image pixels, angles in radians."""

    x: float
    """Column of its base."""
    y: float
    """Row of its base."""
    inward: float
    """Direction of the lumen."""


def crypt(canvas: RealCanvas, x: float, y: float, radius: float) -> None:
    """A crypt cut across, or lengthwise, with cells as wide as suits nuclei of this radius."""
    rng = canvas.rng
    wide = radius * float(rng.uniform(1.8, 3.0))
    height = wide * float(rng.uniform(1.3, 1.9))
    across = rng.random() < 0.5
    lumen = wide * float(rng.uniform(0.2, 0.9))
    length = 0.0 if across else height * float(rng.uniform(2, 5))
    tilt = float(rng.uniform(-np.pi, np.pi))
    _epithelium(canvas, (x, y), (2 * (height + lumen) + length, 2 * (height + lumen)), tilt)
    family = random_family(rng)
    goblets = float(rng.uniform(0.4, 1.0))
    for column in columns_of(x, y, height + lumen, length, tilt, wide):
        _column(canvas, column, family, height, wide, is_goblet=rng.random() < goblets)


def columns_of(x: float, y: float, outer: float, length: float, tilt: float, wide: float) -> list[Column]:
    """Cells around a ring, or around two straight rows with rounded ends."""
    around = 2 * np.pi * outer + 2 * length
    columns = []
    for along in np.arange(0, around - wide / 2, wide):
        position, inward = _on_stadium(along, outer, length)
        turned = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]) @ position
        columns.append(Column(x=x + float(turned[0]), y=y + float(turned[1]), inward=inward + tilt))
    return columns


def _on_stadium(along: float, outer: float, length: float) -> tuple[NDArray[np.float64], float]:
    """Point of a rounded rectangle's outline at a distance along it, and the direction of its inside."""
    half = length / 2
    if along < length:
        return np.array([along - half, -outer]), np.pi / 2
    along -= length
    if along < np.pi * outer:
        angle = along / outer - np.pi / 2
        return np.array([half + outer * np.cos(angle), outer * np.sin(angle)]), angle + np.pi
    along -= np.pi * outer
    if along < length:
        return np.array([half - along, outer]), -np.pi / 2
    angle = (along - length) / outer + np.pi / 2
    return np.array([-half + outer * np.cos(angle), outer * np.sin(angle)]), angle + np.pi


def _epithelium(canvas: RealCanvas, centre: tuple[float, float], sides: tuple[float, float], tilt: float) -> None:
    """The crypt's body, of the colour of the tissue there, with a bright line of lumen in its middle."""
    rng = canvas.rng
    window = canvas.window(*centre, max(sides) * 0.75)
    if window is None:
        return
    alpha, _ = blob(rng, window, sides, tilt, 0.04)
    around = canvas.amounts[:2, window.rows, window.columns].mean(axis=(1, 2))
    haem, eosin = canvas.texture(window)
    canvas.put(window, alpha * 0.9, np.clip(0.8 * around[0] + haem, 0, None), np.clip(around[1] + eosin, 0, None))
    canvas.claim(window, alpha, 0)
    canvas.fill(window, alpha)


def _column(canvas: RealCanvas, column: Column, family: Family, height: float, wide: float, *, is_goblet: bool) -> None:
    rng = canvas.rng
    direction = np.array([np.cos(column.inward), np.sin(column.inward)])
    if is_goblet:
        middle = np.array([column.x, column.y]) + direction * height * float(rng.uniform(0.55, 0.68))
        length = height * float(rng.uniform(0.5, 0.75))
        window = canvas.window(float(middle[0]), float(middle[1]), length)
        if window is not None:
            sides = (length, min(wide * float(rng.uniform(0.8, 1.1)), length))
            _, depth = blob(rng, window, sides, column.inward, 0.05)
            part = 1 - depth / (min(sides) / 2)
            mucin = random_mucin(rng, family.mucin, family.likeness, canvas.around(window, part))
            fill_with_mucin(canvas, window, step(depth, canvas.softness), depth, mucin)
            rim = np.exp(-((depth / (1 + 0.4 * canvas.softness)) ** 2))
            canvas.add(window, rim, family.rim, 0.5 * family.rim)
    if canvas.stamps:
        stamp = canvas.stamps[int(rng.integers(len(canvas.stamps)))]
        base = np.array([column.x, column.y]) + direction * height * float(rng.uniform(0.1, 0.22))
        flat = float(rng.uniform(0.3, 0.6)) if is_goblet else float(rng.uniform(0.5, 0.9))
        sides = (wide * float(rng.uniform(0.75, 1.0)), wide * flat)
        put_stamp(
            canvas, stamp, (float(base[0]), float(base[1])), sides, column.inward + np.pi / 2, soft=canvas.softness
        )

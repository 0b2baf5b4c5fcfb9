"""Mucin: from glass-clear to granular and threadlike, as dark as the tissue around it or far paler."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, assert_never

import numpy as np
from scipy import ndimage

from signetscan.simulate.noise import fibres, smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from signetscan.simulate.canvas import Window
    from signetscan.simulate.noise import Map
    from signetscan.simulate.real_canvas import RealCanvas


class MucinKind(Enum):
    """How the content of a vacuole looks."""

    CLEAR = auto()
    FOAMY = auto()
    GRANULAR = auto()
    THREADS = auto()
    PINK = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mucin:
    """The content of one vacuole."""

    kind: MucinKind
    """How it looks."""
    haem: float
    """Amount of haematoxylin."""
    eosin: float
    """Amount of eosin."""
    grain: float
    """Height of its texture over the amounts."""


RANGES: dict[MucinKind, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    MucinKind.CLEAR: ((0.0, 0.10), (0.0, 0.10), (0.0, 0.3)),
    MucinKind.FOAMY: ((0.06, 0.28), (0.02, 0.2), (0.4, 1.2)),
    MucinKind.GRANULAR: ((0.15, 0.5), (0.02, 0.25), (0.3, 1.2)),
    MucinKind.THREADS: ((0.12, 0.45), (0.0, 0.12), (0.4, 1.2)),
    MucinKind.PINK: ((0.02, 0.15), (0.15, 0.5), (0.1, 0.5)),
}
"""Least and most of haematoxylin, eosin and grain of each kind."""


def random_mucin(rng: np.random.Generator, weights: NDArray[np.float64], likeness: float, around: Map) -> Mucin:
    """The content of a vacuole in a field.

    Args:
        rng: source of randomness.
        weights: (5,), how common each kind is in the field.
        likeness: how much the amounts follow the tissue around, 0 to 1.
        around: (2,), amounts of haematoxylin and eosin of the tissue around.
    """
    kind = list(MucinKind)[int(rng.choice(len(MucinKind), p=weights))]
    haem, eosin, grain = (float(rng.uniform(*limits)) for limits in RANGES[kind])
    pull = 0.0 if kind is MucinKind.CLEAR else likeness * float(rng.uniform(0.3, 1.0))
    return Mucin(
        kind=kind,
        haem=haem + pull * (0.9 * float(around[0]) - haem),
        eosin=eosin + pull * (0.8 * float(around[1]) - eosin),
        grain=grain,
    )


def texture(canvas: RealCanvas, window: Window, mucin: Mucin) -> NDArray[np.float32]:
    """Haematoxylin and eosin, (2, h, w), that a kind of mucin has more or less than its mean."""
    rng, shape = canvas.rng, window.dx.shape
    even = np.array([0.45 * mucin.haem + 0.02, 0.25 * mucin.eosin], np.float32)[:, None, None] * mucin.grain
    match mucin.kind:
        case MucinKind.CLEAR | MucinKind.PINK:
            return np.asarray(even * smooth_noise(rng, shape, float(rng.uniform(10, 25))), np.float32)
        case MucinKind.FOAMY:
            net = (0.65 - np.abs(smooth_noise(rng, shape, float(rng.uniform(6, 12))))) / 0.5
            return np.asarray(even * net, np.float32)  # thin walls between bubbles
        case MucinKind.GRANULAR:
            own = even * canvas.grain(window)
            return np.asarray(own + canvas.texture(window) * float(rng.uniform(0.3, 1.0)), np.float32)
        case MucinKind.THREADS:
            strands = fibres(rng, shape, width=float(rng.uniform(3, 7)), length=float(rng.uniform(15, 40)))
            return np.asarray(even * strands + canvas.texture(window) * float(rng.uniform(0, 0.7)), np.float32)
        case _:
            assert_never(mucin.kind)


def fill_with_mucin(canvas: RealCanvas, window: Window, alpha: Map, depth: Map, mucin: Mucin) -> None:
    """Paint mucin: brightest in its middle and shaded towards one side.

    Args:
        canvas: where to paint.
        window: the part of it around the vacuole.
        alpha: (h, w), where the vacuole is.
        depth: (h, w), pixels below its surface.
        mucin: what it looks like.
    """
    rng = canvas.rng
    side = rng.uniform(-np.pi, np.pi)
    reach = max(float(depth.max()), 1.0)
    lean = np.clip((window.dx * np.cos(side) + window.dy * np.sin(side)) / reach, -1, 1)
    shade = 1 + float(rng.uniform(0, 0.35)) * lean + float(rng.uniform(0, 0.5)) * np.exp(-np.clip(depth, 0, None) / 5)
    uneven = ndimage.gaussian_filter(texture(canvas, window, mucin), (0, canvas.softness / 4, canvas.softness / 4))
    least = np.maximum(canvas.palest[:2] * float(rng.uniform(0.8, 1.1)), 0)
    haem, eosin = (
        np.maximum(amount * shade + more, lowest)
        for amount, more, lowest in zip((mucin.haem, mucin.eosin), uneven, least, strict=True)
    )
    canvas.put(window, alpha * float(rng.uniform(0.85, 1.0)), haem, eosin)

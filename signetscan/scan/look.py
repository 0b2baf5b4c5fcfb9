"""Whether a slide looks like tissue stained with haematoxylin and eosin on glass.

Both stains absorb green light most. So tissue that absorbs more of another colour is stained otherwise, or not at all,
or its colours are wrong: taken for others by a decoder, swapped or inverted. Glass absorbs nothing. All of it is judged
on the overview, where noise is averaged out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from signetscan.slides.concerns import Concern, ConcernKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST_PIXELS = 1_000_000
"""Pixels of the overview that are looked at, spread evenly."""
LIGHT_SHARE = 0.05
"""Share of the pixels, the brightest ones, by which the light is judged that nothing absorbs."""
TINT = 0.12
"""Light whose channels differ by at most this share of the strongest is the lamp's; with more, it is tissue's."""
TISSUE_OD = 0.1
"""Least optical density (natural logarithm) in any channel of tissue that shows a colour."""
MIN_TISSUE_UM2 = 1e4
"""Least area of such tissue by which its stain is judged, µm²: some dust and pen must not decide."""
GREEN_SHARE = 0.5
"""Least share of its optical density that stained tissue has where green is absorbed most."""
GREY = 0.03
"""Tissue whose channels differ by less than this share of the light, on average, is grey."""
MIN_LIGHT = 50
"""Least value of the strongest channel of the light."""
DARK = 0.2
"""A slide whose median is below this share of its light is dark: tissue leaves about a third of the light at least."""
GLASS_STEP = 6
"""Grey levels by which the pixels of bare glass may differ."""
GLASS_SHARE = 0.25
"""A colour that this share of the pixels has, give or take the step, may be that of glass."""
GLASS_MIN = 215
"""Least value of the strongest channel of glass; duller colours may be those of even tissue."""
GLASS_TINT = 0.25
"""The channels of glass differ by less than this share of the strongest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """The colours of a slide."""

    light: float
    """Strongest channel of the brightest pixels, 0 to 255."""
    median: float
    """Lightness of the median pixel as a share of the light's."""
    green_share: float | None
    """Share of the tissue's optical density in pixels that absorb green most; None if there is too little tissue."""
    colour: float
    """By how much channels of tissue differ on average, as a share of the light."""
    glass: tuple[float, float, float]
    """The most frequent colour."""
    glass_share: float
    """Share of the pixels that have it."""


def look_at(pixels: NDArray[np.uint8], pixel_um2: float) -> Look | None:
    """Measure the colours of an overview.

    Args:
        pixels: those that show something, (N, 3).
        pixel_um2: area of a pixel, µm².

    Returns:
        The colours; None if there is no pixel.
    """
    step = -(-len(pixels) // MOST_PIXELS) or 1
    some = pixels[::step].astype(np.float32)
    if len(some) == 0:
        return None
    lightness = some.mean(axis=1)
    light = np.median(some[lightness >= np.quantile(lightness, 1 - LIGHT_SHARE)], axis=0)
    strongest = max(float(light.max()), 1.0)
    lamp = light if np.ptp(light) <= TINT * strongest else np.full(3, strongest)
    density = np.log((lamp + 1) / (some + 1))
    tissue = density.max(axis=1) > TISSUE_OD
    glass, glass_share = _most_frequent(some)
    return Look(
        light=strongest,
        median=float(np.median(lightness)) / strongest,
        green_share=_green_share(density[tissue]) if tissue.sum() * step * pixel_um2 >= MIN_TISSUE_UM2 else None,
        colour=float(np.ptp(some[tissue], axis=1).mean()) / strongest if tissue.any() else 0.0,
        glass=glass,
        glass_share=glass_share,
    )


def _green_share(density: NDArray[np.float32]) -> float:
    """The share of optical densities (N, 3) in those where green is the strongest."""
    red, green, blue = density.T
    is_green = (green > red) & (green > blue)
    return float(density[is_green].sum() / density.sum())


def _most_frequent(pixels: NDArray[np.float32]) -> tuple[tuple[float, float, float], float]:
    """The most frequent colour of (N, 3) pixels, and the share of them that have it."""
    cells = (pixels.astype(np.int32) >> 3) @ np.array([1 << 10, 1 << 5, 1])
    in_cell = cells == np.bincount(cells).argmax()
    red, green, blue = np.median(pixels[in_cell], axis=0).tolist()
    near = (np.abs(pixels - np.array([red, green, blue], np.float32)) <= GLASS_STEP).all(axis=1)
    return (red, green, blue), float(near.mean())


def colour_concerns(look: Look) -> Iterator[Concern]:
    """What is suspicious about a slide's colours."""
    doubts = _doubts(look)
    if doubts:
        message = (
            f"the slide does not look like H&E: {' and '.join(doubts)}. A model that learnt from H&E finds nothing "
            "reliable on it: look at the slide, and at what it is stained with"
        )
        yield Concern(kind=ConcernKind.COLOURS, message=message)


def _doubts(look: Look) -> list[str]:
    doubts = []
    strongest = max(look.glass)
    if look.median < DARK or look.light < MIN_LIGHT:
        doubts.append("it is dark, as in fluorescence or a negative")
    elif (
        look.glass_share >= GLASS_SHARE
        and strongest >= GLASS_MIN
        and strongest - min(look.glass) > GLASS_TINT * strongest
    ):
        red, green, blue = (round(channel) for channel in look.glass)
        doubts.append(
            f"its glass is coloured (red {red}, green {green}, blue {blue}), as where colours are decoded wrongly"
        )
    if look.green_share is not None and look.green_share < GREEN_SHARE:
        doubts.append("its tissue is grey" if look.colour < GREY else "its tissue is neither pink nor violet")
    return doubts
